// A unary call that may be held until there is something to say (long poll): it looks, and looks
// again whenever its key is woken or a moment has passed, until there is news, its time is over,
// the caller hangs up, or the server stops. The more calls are held, the longer that moment: what
// another replica did is seen by one of those that wait under a key, which wakes the others.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "coordinator/rpc/edge.h"

namespace muster {

class HeldCall : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<HeldCall> {
 public:
  HeldCall(Edge& edge, grpc::CallbackServerContext* context, const char* method);
  ~HeldCall() override;

  // gRPC owns the reactor from here on: it keeps itself alive until gRPC is done with it.
  void Begin();
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override { self_.reset(); }

 protected:
  // Whether Look() refuses devices that are unknown or revoked, so that nobody else has to.
  virtual bool LookChecksStanding() const { return false; }
  // Decodes the request. How long it may be held; whole milliseconds.
  virtual absl::StatusOr<Duration> Open(const Principal& caller) = 0;
  // What wakes it; fixed once Open succeeded.
  virtual std::string Key() const = 0;
  // Fills the response; true if it says something that is worth an answer.
  virtual absl::StatusOr<bool> Look() = 0;

  Edge& edge() { return edge_; }

 private:
  void Admit();
  void LookAndWait(WakeUps::Reason reason);
  void End(const absl::Status& status);

  Edge& edge_;
  grpc::CallbackServerContext* context_;
  const char* method_;
  std::optional<Principal> caller_;
  const CallTimer timer_;
  std::shared_ptr<HeldCall> self_;
  std::chrono::steady_clock::time_point until_;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> stopping_{false};
};

}  // namespace muster
