#include "coordinator/rpc/held_call.h"

#include <algorithm>

#include "proto/core/limits.h"

namespace muster {
namespace {

// A held call looks again after this long even if nobody wakes it: another replica may have work.
// Looking costs reads, so all held calls together look about this often and not more.
constexpr Duration kLookAgain = std::chrono::seconds(1);
constexpr size_t kLooksPerSecond = 200;

std::atomic<size_t> held{0};  // calls, in this process

// Spread, so that calls that were woken together do not look together ever after.
Duration NextLook() {
  constexpr uint32_t kGolden = 0x9E3779B9;  // 2^32 / the golden ratio: even steps over [0, 1)
  static std::atomic<uint32_t> turn{0};
  const double spread = 0.5 + (turn += kGolden) * 0x1p-32;
  const double crowd = std::max(1.0, static_cast<double>(held) / kLooksPerSecond);
  return std::chrono::duration_cast<Duration>(kLookAgain * (crowd * spread));
}

}  // namespace

HeldCall::HeldCall(Edge& edge, grpc::CallbackServerContext* context, const char* method)
    : edge_(edge), context_(context), method_(method), timer_(edge.counters(), method) {
  ++held;
}

HeldCall::~HeldCall() { --held; }

void HeldCall::Begin() {
  self_ = shared_from_this();
  absl::Status entered = edge_.Enter(*context_, [self = self_] { self->Admit(); });
  if (!entered.ok()) End(entered);
}

void HeldCall::Admit() {
  auto caller = LookChecksStanding() ? edge_.AdmitCaller(*context_, method_)
                                     : edge_.Admit(*context_, method_);
  if (!caller.ok()) return End(caller.status());
  caller_ = *caller;
  const auto wait = Open(**caller);
  if (!wait.ok()) {
    // Whoever may not call learns that, and not what was wrong with the call.
    caller = edge_.Admit(*context_, method_);
    return End(caller.ok() ? wait.status() : caller.status());
  }
  until_ = std::chrono::steady_clock::now() + std::min<Duration>(*wait, limits::kMaxCheckInWait);
  LookAndWait(WakeUps::Reason::kWoken);
}

void HeldCall::LookAndWait(WakeUps::Reason reason) {
  // Nobody reads an answer to a call that its caller gave up, and there may be thousands of them.
  if (cancelled_) return End(absl::CancelledError("the caller hung up"));
  WakeUps& wakeups = edge_.drive().wakeups;
  const std::string key = Key();
  const uint64_t version = wakeups.version(key);
  const auto news = Look();
  if (!news.ok()) {
    edge_.NoteRefusal(*context_, caller_, method_, news.status());
    return End(news.status());
  }
  const auto left = std::chrono::duration_cast<Duration>(until_ - std::chrono::steady_clock::now());
  // Nobody told this process: the others that wait for the same have not heard of it either.
  if (*news && reason == WakeUps::Reason::kTimeout) wakeups.Wake(key);
  if (*news || left <= Duration::zero() || cancelled_ || stopping_) return End(absl::OkStatus());
  wakeups.WaitFor(key, version, std::min(left, NextLook()),
                  [self = shared_from_this()](WakeUps::Reason woken) {
                    if (woken == WakeUps::Reason::kShutdown) self->stopping_ = true;
                    self->edge_.executor().Wake([self, woken] { self->LookAndWait(woken); });
                  });
}

void HeldCall::End(const absl::Status& status) { EndCall(*this, *context_, timer_, status); }

}  // namespace muster
