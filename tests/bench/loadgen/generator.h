// A fleet of virtual devices in one process, told what to do by commands: one JSON object a line.
//
//   {"do": "enrol", "count": N, "token": T, "tiers": [..]}       makes N more devices over the real
//   RPC
//   {"do": "connect", "first": I, "count": N}                    one channel and one check-in each
//   {"do": "check_in", "first": I, "count": N, "times": K}       K more on the same channels
//   {"do": "fresh", "first": I, "count": N, "resume": B}         a new connection for one check-in
//   each
//   {"do": "round", "job": J, "first": I, "count": N, ...}       take part in the job's open round
//   {"do": "disconnect", "first": I, "count": N}
//
// "in_flight" bounds how many devices do so at once. Each command is answered by one line when it
// is done: {"ok": true, "seconds": S, "calls": {...}, ...} or {"ok": false, "error": "..."}.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/bench/loadgen/coroutine.h"
#include "tests/bench/loadgen/device.h"
#include "tests/bench/loadgen/round.h"

namespace muster::load {

struct GeneratorOptions {
  std::string coordinator;  // HOST:PORT
  std::string ca_pin;
  size_t threads = 2;  // that play devices
  size_t workers = 4;  // that mask and transfer: as many vectors are in flight at once
  std::filesystem::path spool;
};

class Generator {
 public:
  explicit Generator(GeneratorOptions options)
      : options_(std::move(options)), pool_(options_.threads), heavy_(options_.workers) {}

  nlohmann::json Do(const nlohmann::json& command);

 private:
  using Json = nlohmann::json;
  struct Range {
    size_t first = 0, count = 0;
  };

  absl::Status Dispatch(const Json& command, Figures& figures);
  absl::Status Enrol(const Json& command, Figures& figures);
  absl::Status Connect(const Json& command, Figures& figures);
  absl::Status CheckIn(const Json& command, Figures& figures);
  absl::Status Fresh(const Json& command, Figures& figures);
  absl::Status Round(const Json& command, Figures& figures);
  absl::Status Disconnect(const Json& command);

  absl::StatusOr<Range> RangeOf(const Json& command) const;
  absl::Status MustBeConnected(Range range) const;
  // `work` for every device of the range, at most `in_flight` at once; the first error.
  absl::Status ForEach(Range range, size_t in_flight,
                       const std::function<Co<absl::Status>(size_t)>& work);

  const GeneratorOptions options_;
  Pool pool_, heavy_;
  SystemClock clock_;
  std::vector<std::unique_ptr<VirtualDevice>> devices_;
  std::string ca_pem_;
};

}  // namespace muster::load
