// How far the fleet has followed a rotation of the CA.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/identity/ca_state.h"
#include "coordinator/store/state_store.h"
#include "proto/core/ids.h"
#include "proto/core/time.h"

namespace muster {

inline constexpr size_t kMaxNamedDevices = 10;

// Of the devices that are neither revoked nor past their certificate's end: whoever is, enrols
// again whatever the CA is.
struct CaCensus {
  uint64_t devices = 0;
  uint64_t trusting = 0;      // that trust what the state says is trusted
  uint64_t using_issuer = 0;  // whose certificate is of the CA that issues
  uint64_t expired = 0;       // not counted above
  // Whom the next step would lock out: the switch those that do not trust the new CA yet, the
  // retirement those that also use the old one. The first few by name.
  uint64_t waiting = 0;
  std::vector<DeviceId> named;
};

absl::StatusOr<CaCensus> TakeCaCensus(const StoreReader& reader, const CaState& state,
                                      Timestamp now);

}  // namespace muster
