// A device's part in one round, from its invitation to the end: everything that a real device says,
// by the same step functions, and nothing of what it computes.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>

#include "aggregation/secagg/notary.h"
#include "client/agent/secagg_identity.h"
#include "proto/core/secagg_messages.h"
#include "tests/bench/loadgen/device.h"

namespace muster::load {

struct RoundPlan {
  JobId job;
  double dropped = 0;  // share of the devices that leave: half before their vector, half after
  bool drop_silently = true;  // else they say so, as a device whose function fails
  double slow = 0;            // share of the devices that wait before each message
  Duration slow_pause{0};
  bool download = true;         // fetch the package and the weights first
  std::filesystem::path spool;  // folder for one vector of each thread that masks
};

// Checks signatures as a device does, but looks at each certificate once for all devices of this
// process: ten thousand devices with sixty neighbours each would do nothing else.
class SharedNotary final : public secagg::Notary {
 public:
  explicit SharedNotary(const secagg::Notary& checks) : checks_(checks) {}
  absl::Status Verify(const DeviceId& client, std::string_view certificate,
                      std::string_view statement, std::string_view signature) const override;

 private:
  const secagg::Notary& checks_;
  mutable std::mutex mutex_;
  mutable std::map<std::pair<DeviceId, std::string>, EcPublicKey> known_;
};

struct RoundParts {
  Caller caller;
  Pool& heavy;  // whose threads mask, upload and download
  const RoundPlan& plan;
  const secagg::Notary& notary;
  Clock& clock;
};

// Waits for the invitation of `device`, which is number `number` of the round, and plays its part.
// The outcome is counted in the caller's figures.
Co<void> TakePart(RoundParts parts, VirtualDevice& device, uint32_t number);

}  // namespace muster::load
