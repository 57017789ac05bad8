// A unary call that may be held until there is something to say (long poll): it looks, and looks
// again whenever its key is woken or a moment has passed, until there is news, its time is over,
// the caller hangs up, or the server stops.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "coordinator/rpc/edge.h"

namespace muster {

class HeldCall : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<HeldCall> {
 public:
  HeldCall(Edge& edge, grpc::CallbackServerContext* context, const char* method);

  // gRPC owns the reactor from here on: it keeps itself alive until gRPC is done with it.
  void Begin();
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override { self_.reset(); }

 protected:
  // Decodes the request. How long it may be held; whole milliseconds.
  virtual absl::StatusOr<Duration> Open(const Principal& caller) = 0;
  // What wakes it; fixed once Open succeeded.
  virtual std::string Key() const = 0;
  // Fills the response; true if it says something that is worth an answer.
  virtual absl::StatusOr<bool> Look() = 0;

  Edge& edge() { return edge_; }

 private:
  void Admit();
  void LookAndWait();
  void End(const absl::Status& status);

  Edge& edge_;
  grpc::CallbackServerContext* context_;
  const char* method_;
  const CallTimer timer_;
  std::shared_ptr<HeldCall> self_;
  std::chrono::steady_clock::time_point until_;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> stopping_{false};
};

}  // namespace muster
