// The device's channel to its coordinator.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/identity/device_identity.h"
#include "proto/transport/channel.h"

namespace muster {

// mTLS with the device's certificate; errors as Connect's. `sessions` are this very identity's.
absl::StatusOr<std::shared_ptr<grpc::Channel>> ConnectCoordinator(const std::string& coordinator,
                                                                  const DeviceIdentity& identity,
                                                                  const TlsSessions& sessions = {});

}  // namespace muster
