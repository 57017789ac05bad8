#include "coordinator/rpc/held_call.h"

#include <algorithm>

#include "proto/core/limits.h"

namespace muster {
namespace {

// A held call looks again after this long even if nobody wakes it: another replica may have work.
constexpr Duration kLookAgain = std::chrono::seconds(1);

}  // namespace

HeldCall::HeldCall(Edge& edge, grpc::CallbackServerContext* context, const char* method)
    : edge_(edge), context_(context), method_(method), timer_(edge.counters(), method) {}

void HeldCall::Begin() {
  self_ = shared_from_this();
  auto first = [self = self_] { self->Admit(); };
  if (!edge_.executor().Post(first)) Finish(BusyStatus());
}

void HeldCall::Admit() {
  auto caller = edge_.Admit(*context_, method_);
  if (!caller.ok()) return End(caller.status());
  const auto wait = Open(**caller);
  if (!wait.ok()) return End(wait.status());
  until_ = std::chrono::steady_clock::now() + std::min<Duration>(*wait, limits::kMaxCheckInWait);
  LookAndWait();
}

void HeldCall::LookAndWait() {
  WakeUps& wakeups = edge_.drive().wakeups;
  const std::string key = Key();
  const uint64_t version = wakeups.version(key);
  const auto news = Look();
  if (!news.ok()) return End(news.status());
  const auto left = std::chrono::duration_cast<Duration>(until_ - std::chrono::steady_clock::now());
  if (*news || left <= Duration::zero() || cancelled_ || stopping_) return End(absl::OkStatus());
  wakeups.WaitFor(key, version, std::min(left, kLookAgain),
                  [self = shared_from_this()](WakeUps::Reason reason) {
                    if (reason == WakeUps::Reason::kShutdown) self->stopping_ = true;
                    self->edge_.executor().PostAlways([self] { self->LookAndWait(); });
                  });
}

void HeldCall::End(const absl::Status& status) {
  timer_.Ended(status.code());
  Finish(ToGrpcStatus(status));
}

}  // namespace muster
