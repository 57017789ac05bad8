// The gRPC server: mTLS, message limits, health, reflection on request, graceful stop.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/blobs/blob_urls.h"
#include "coordinator/drive/dispatch.h"
#include "coordinator/drive/intake.h"
#include "coordinator/flow/limits.h"
#include "coordinator/identity/authority.h"
#include "coordinator/listen/acceptor.h"
#include "coordinator/rpc/edge.h"

namespace muster {

struct ServerOptions {
  std::string listen = "0.0.0.0:7443";  // HOST:PORT; port 0 picks a free one
  std::vector<UniqueFd> inherited;      // listening sockets; if there are any, `listen` is not used
  size_t max_connections = limits::kDefaultMaxConnections;
  std::string ca_pem;           // that client certificates must chain to
  std::string certificate_pem;  // leaf, then CA
  std::string key_pem;
  bool reflection = false;
  Duration device_certificate_lifetime{};
  DirectDownloads direct_downloads;
};

class RpcServer {
 public:
  // FailedPrecondition if the port is taken, with what to do.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(ServerOptions options, Edge& edge,
                                                          Dispatcher& dispatcher,
                                                          UpdateIntake& intake,
                                                          const CertificateAuthority& authority);
  virtual ~RpcServer() = default;

  virtual int port() const = 0;
  virtual Acceptor& acceptor() = 0;
  // Says "not serving" to health checks, takes no more connections or calls, ends held ones, waits
  // for the rest until `grace` is over.
  virtual void Stop(Duration grace) = 0;
};

}  // namespace muster
