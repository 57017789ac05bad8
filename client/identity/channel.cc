#include "client/identity/channel.h"

namespace muster {

absl::StatusOr<std::shared_ptr<grpc::Channel>> ConnectCoordinator(const std::string& coordinator,
                                                                  const DeviceIdentity& identity,
                                                                  const TlsSessions& sessions) {
  return Connect(coordinator,
                 {.ca_pem = identity.ca_pem,
                  .certificate_pem = identity.certificate_pem,
                  .key_pem = identity.key_pem},
                 sessions);
}

}  // namespace muster
