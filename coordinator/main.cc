// muster-coordinator. commands/ has its command line, serve.cc wires the parts together.
#include <cstdlib>
#include <iostream>

#include "absl/synchronization/mutex.h"
#include "coordinator/commands/command.h"

// Read by jemalloc before main. Few arenas, and memory that nobody used for a second goes back:
// what a large round took is not kept until the next one.
extern "C" const char* malloc_conf;
const char* malloc_conf = "narenas:4,dirty_decay_ms:1000,muzzy_decay_ms:0";

int main(int argc, char** argv) {
  // gRPC 1.51 reads into chunks of 64 KB and keeps them, whatever the limit (rpc/server.cc), unless
  // this experiment of its own is off.
  setenv("GRPC_EXPERIMENTS", "-tcp_read_chunks", /*overwrite=*/0);
  // Distributions compile Abseil with its search for deadlocks, which took 3 % of the coordinator's
  // time under load.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return muster::commands::Run({argv + 1, argv + argc}, std::cout, std::cerr);
}
