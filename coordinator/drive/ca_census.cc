#include "coordinator/drive/ca_census.h"

#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {
namespace {

bool WaitsFor(const DeviceRecord& device, const CaState& state) {
  const bool trusts = device.trust_generation >= state.generation;
  if (state.stage() == CaStage::kSettled) return false;
  return !trusts || (state.stage() == CaStage::kSwitched && device.certificate_ca != state.issuer);
}

void Count(const DeviceRecord& device, const CaState& state, Timestamp now, CaCensus& census) {
  if (device.revoked) return;
  if (device.certificate_expires <= now) {
    ++census.expired;
    return;
  }
  ++census.devices;
  if (device.trust_generation >= state.generation) ++census.trusting;
  if (device.certificate_ca == state.issuer) ++census.using_issuer;
  if (!WaitsFor(device, state)) return;
  ++census.waiting;
  if (census.named.size() < kMaxNamedDevices) census.named.push_back(device.id);
}

}  // namespace

absl::StatusOr<CaCensus> TakeCaCensus(const StoreReader& reader, const CaState& state,
                                      Timestamp now) {
  CaCensus census;
  std::string after;
  while (true) {
    MUSTER_ASSIGN_OR_RETURN(const std::vector<DeviceRecord> page,
                            reader.ListDevices({.after = after, .limit = limits::kMaxPageSize}));
    for (const DeviceRecord& device : page) Count(device, state, now, census);
    if (page.size() < limits::kMaxPageSize) return census;
    after = page.back().id.value();
  }
}

}  // namespace muster
