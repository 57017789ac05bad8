// muster-coordinator. commands/ has its command line, serve.cc wires the parts together.
#include <iostream>

#include "coordinator/commands/command.h"

int main(int argc, char** argv) {
  return muster::commands::Run({argv + 1, argv + argc}, std::cout, std::cerr);
}
