// Listening sockets that stay open while a coordinator takes up another CA: whoever connects
// meanwhile waits in their queues.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/listen/activation.h"
#include "proto/core/files.h"

namespace muster {

class Doors {
 public:
  // Binds `listen` unless sockets for gRPC were inherited. HTTP binds by itself, at HttpListen().
  static absl::StatusOr<Doors> Open(InheritedSockets inherited, const std::string& listen,
                                    std::string http_listen);

  // Descriptors of the same sockets. Http()'s is not valid where there is none.
  absl::StatusOr<std::vector<UniqueFd>> Grpc() const;
  absl::StatusOr<UniqueFd> Http() const;

  const std::string& http_listen() const { return http_listen_; }
  bool has_http() const { return sockets_.http.valid() || !http_listen_.empty(); }
  // A free port that was picked is asked for from now on.
  void KeepHttpPort(int port);
  void Close() { sockets_ = {}; }

 private:
  Doors(InheritedSockets sockets, std::string http_listen)
      : sockets_(std::move(sockets)), http_listen_(std::move(http_listen)) {}
  InheritedSockets sockets_;
  std::string http_listen_;
};

}  // namespace muster
