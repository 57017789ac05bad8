// The edge of every RPC: who calls, may they, and onto which thread. A handler then is three lines:
// decode, act, encode.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/status/statusor.h"
#include "coordinator/drive/context.h"
#include "coordinator/identity/spiffe.h"
#include "coordinator/rpc/counters.h"
#include "coordinator/rpc/executor.h"
#include "proto/transport/grpc_status.h"

namespace muster {

class Edge {
 public:
  Edge(DriveContext& drive, Executor& executor, RpcCounters& counters, std::string trust_domain)
      : drive_(drive),
        executor_(executor),
        counters_(counters),
        trust_domain_(std::move(trust_domain)) {}

  // Role by certificate, which must not have expired, the access table, and a device's standing (a
  // revoked one is refused here, at its next call). Nothing for anonymous calls.
  absl::StatusOr<std::optional<Principal>> Admit(grpc::CallbackServerContext& context,
                                                 std::string_view method);

  // Without the standing: for calls that look at the device's record anyway (FindInGoodStanding).
  absl::StatusOr<std::optional<Principal>> AdmitCaller(grpc::CallbackServerContext& context,
                                                       std::string_view method);

  DriveContext& drive() { return drive_; }
  Executor& executor() { return executor_; }
  RpcCounters& counters() { return counters_; }

 private:
  // Whom a certificate stands for, and until when.
  struct Caller {
    Principal principal;
    Timestamp not_after;
  };
  absl::StatusOr<std::optional<Caller>> CallerOf(grpc::CallbackServerContext& context);

  DriveContext& drive_;
  Executor& executor_;
  RpcCounters& counters_;
  const std::string trust_domain_;
  std::mutex mutex_;
  std::unordered_map<std::string, Caller> parsed_;  // by PEM; bounded
};

inline grpc::Status BusyStatus() {
  return {grpc::StatusCode::RESOURCE_EXHAUSTED,
          "the coordinator is busy; try again after a moment"};
}

// Runs `act(caller) -> absl::Status` on the executor and finishes the call with it. `act` fills the
// response that gRPC gave.
template <typename Act>
grpc::ServerUnaryReactor* Unary(Edge& edge, grpc::CallbackServerContext* context,
                                const char* method, Act act) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const bool posted = edge.executor().Post([&edge, context, reactor, method, act]() mutable {
    const CallTimer timer(edge.counters(), method);
    absl::Status status;
    if (auto caller = edge.Admit(*context, method); !caller.ok()) {
      status = caller.status();
    } else {
      status = act(*caller);
    }
    timer.Ended(status.code());
    reactor->Finish(ToGrpcStatus(status));
  });
  if (!posted) reactor->Finish(BusyStatus());
  return reactor;
}

}  // namespace muster
