// The edge of every RPC: who calls, may they, and onto which thread. A handler then is three lines:
// decode, act, encode.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "coordinator/drive/audit.h"
#include "coordinator/drive/context.h"
#include "coordinator/identity/spiffe.h"
#include "coordinator/rpc/callers.h"
#include "coordinator/rpc/counters.h"
#include "coordinator/rpc/edge_limits.h"
#include "coordinator/rpc/executor.h"
#include "coordinator/rpc/refusal_log.h"
#include "proto/transport/retry_hint.h"

namespace muster {

class Edge {
 public:
  Edge(DriveContext& drive, Executor& executor, RpcCounters& counters, std::string trust_domain,
       const EdgeLimits& limits = {})
      : drive_(drive),
        executor_(executor),
        counters_(counters),
        callers_(std::move(trust_domain), limits.callers),
        transfers_(limits.transfers),
        refusals_(drive.store, drive.clock, RefusalsChain(drive.options)) {}

  // Onto a thread. Refuses, with a hint when to come back, a caller above its rate and everybody
  // while the queue is full; `work` is not called then.
  absl::Status Enter(grpc::CallbackServerContext& context, std::function<void()> work);

  // Role by certificate, which must not have expired, the access table, and a device's standing (a
  // revoked one is refused here, at its next call). Nothing for anonymous calls. Whom it refuses
  // goes to the audit log.
  absl::StatusOr<std::optional<Principal>> Admit(grpc::CallbackServerContext& context,
                                                 std::string_view method);

  // Without the standing: for calls that look at the device's record anyway (FindInGoodStanding).
  absl::StatusOr<std::optional<Principal>> AdmitCaller(grpc::CallbackServerContext& context,
                                                       std::string_view method);

  // For refusals that a handler decides, such as of a join token.
  void NoteRefusal(grpc::CallbackServerContext& context, const std::optional<Principal>& caller,
                   std::string_view method, const absl::Status& status);

  RefusalLog& refusals() { return refusals_; }

  // Of the certificate that the caller showed. Unauthenticated if it showed none.
  absl::StatusOr<Timestamp> CertificateEnd(const grpc::CallbackServerContext& context);

  DriveContext& drive() { return drive_; }
  Executor& executor() { return executor_; }
  RpcCounters& counters() { return counters_; }
  const Callers& callers() const { return callers_; }
  ByteBudget& transfers() { return transfers_; }

 private:
  absl::Status Identify(grpc::CallbackServerContext& context, std::string_view method,
                        std::optional<Principal>& principal);

  DriveContext& drive_;
  Executor& executor_;
  RpcCounters& counters_;
  Callers callers_;
  ByteBudget transfers_;
  RefusalLog refusals_;
};

// Ends a call whichever way it came to its end: counts it, and tells the caller.
template <typename Reactor>
void EndCall(Reactor& reactor, grpc::CallbackServerContext& context, const CallTimer& timer,
             const absl::Status& status) {
  timer.Ended(status.code());
  reactor.Finish(ToWire(context, status));
}

// Runs `act(caller) -> absl::Status` on the executor and finishes the call with it. `act` fills the
// response that gRPC gave.
template <typename Act>
grpc::ServerUnaryReactor* Unary(Edge& edge, grpc::CallbackServerContext* context,
                                const char* method, Act act) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto timer = std::make_shared<CallTimer>(edge.counters(), method);
  absl::Status entered = edge.Enter(*context, [&edge, context, reactor, method, act, timer] {
    auto caller = edge.Admit(*context, method);
    EndCall(*reactor, *context, *timer, caller.ok() ? act(*caller) : caller.status());
  });
  if (!entered.ok()) EndCall(*reactor, *context, *timer, entered);
  return reactor;
}

}  // namespace muster
