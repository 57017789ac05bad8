// Whether this device may work now: idle, on power, on a network that costs nothing, its owner's
// own command agrees, and its data can be read. What the config does not require counts as given.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/agent/config.h"
#include "proto/core/device_messages.h"
#include "proto/core/time.h"

namespace muster {

// Where the system tells about itself; tests put their own files here.
struct Surroundings {
  std::filesystem::path loadavg = "/proc/loadavg";
  std::filesystem::path power_supply = "/sys/class/power_supply";
  std::filesystem::path routes = "/proc/net/route";
  unsigned cores = 0;  // 0: ask the system
};

bool IsIdle(const Surroundings& surroundings, double load_per_core);
// A device without a battery is on power.
bool IsCharging(const Surroundings& surroundings);
// The default route goes over a cellular or dial-up interface. Without a default route the network
// is a local one.
bool IsMetered(const Surroundings& surroundings);
// Runs argv without a shell, its output discarded. OK: exit code 0. FailedPrecondition: another
// one. DeadlineExceeded: killed after `timeout`.
absl::Status RunCommand(const std::vector<std::string>& argv, std::chrono::milliseconds timeout);

// Counts the examples once and remembers it; asks again while the data cannot be read, but not more
// often than once a minute.
class DataProbe {
 public:
  explicit DataProbe(const DataConfig& config) : config_(config) {}
  void Refresh(Timestamp now);
  bool has_data() const { return has_data_; }
  uint64_t train_examples() const { return train_examples_; }
  const absl::Status& status() const { return status_; }  // why there is none

 private:
  DataConfig config_;
  absl::Status status_;
  bool has_data_ = false;
  uint64_t train_examples_ = 0;
  Timestamp next_{};
};

Eligibility MeasureEligibility(const EligibilityConfig& config, const Surroundings& surroundings,
                               DataProbe& data, Timestamp now);

}  // namespace muster
