// muster-loadgen: ten thousand virtual devices in one process. generator.h lists its commands;
// load.py beside it plays whole scenarios with it.
#include <signal.h>
#include <sys/resource.h>

#include <boost/program_options.hpp>
#include <iostream>
#include <string>

#include "proto/core/log.h"
#include "tests/bench/loadgen/generator.h"

namespace muster::load {
namespace {

namespace po = boost::program_options;

constexpr char kHelp[] = R"(NAME
    muster-loadgen - a fleet of virtual devices that load a coordinator

SYNOPSIS
    muster-loadgen --coordinator HOST:PORT --ca-pin sha256:HEX --spool DIR [OPTIONS]

DESCRIPTION
    Each device has its own key, certificate and connection, and says what a real one says: it
    checks in, fetches the package, and sends an update in the clear or through secure aggregation.
    Nothing is trained. Commands are read from standard input, one JSON object a line, and answered
    on standard output; tests/bench/loadgen/generator.h lists them. It ends with its input.

EXIT STATUS
    0  done    1  a command failed; its answer says why    2  wrong usage

)";

// Ten thousand connections need as many files.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int Serve(const GeneratorOptions& options) {
  Generator generator(options);
  bool all_done = true;
  for (std::string line; std::getline(std::cin, line);) {
    const auto command = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const nlohmann::json answer =
        command.is_object() ? generator.Do(command)
                            : nlohmann::json{{"ok", false}, {"error", "this is no JSON object"}};
    all_done &= answer.at("ok").get<bool>();
    std::cout << answer.dump() << std::endl;
  }
  return all_done ? 0 : 1;
}

int Main(int argc, char** argv) {
  GeneratorOptions generator;
  std::string spool;
  po::options_description options("OPTIONS");
  options.add_options()("help,h", "this text")(
      "coordinator", po::value(&generator.coordinator)->required(), "HOST:PORT")(
      "ca-pin", po::value(&generator.ca_pin)->required(), "as `muster-coordinator pin` prints it")(
      "spool", po::value(&spool)->required(), "folder for the vectors that are being sent")(
      "threads", po::value(&generator.threads)->default_value(generator.threads),
      "threads that play devices")("workers",
                                   po::value(&generator.workers)->default_value(generator.workers),
                                   "threads that mask and transfer, each one vector at a time");
  try {
    po::variables_map values;
    po::store(po::parse_command_line(argc, argv, options), values);
    if (values.contains("help")) {
      std::cout << kHelp << options;
      return 0;
    }
    po::notify(values);
  } catch (const po::error& error) {
    std::cerr << "muster-loadgen: " << error.what() << "; see muster-loadgen --help\n";
    return 2;
  }
  generator.spool = spool;
  signal(SIGPIPE, SIG_IGN);
  RaiseFileLimit();
  SetLogLevel(LogLevel::kError);
  return Serve(generator);
}

}  // namespace
}  // namespace muster::load

int main(int argc, char** argv) { return muster::load::Main(argc, argv); }
