#include "coordinator/cli/follow.h"

#include <condition_variable>
#include <mutex>
#include <optional>

#include "coordinator/cli/duration.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/text.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

// A view repeats all rounds since it began: after this many it begins anew, further on.
constexpr int kMaxRoundsPerView = 500;

using Steady = std::chrono::steady_clock;

// False: `stop` was asked for.
bool Pause(std::stop_token stop, std::chrono::milliseconds time) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

class Follower {
 public:
  Follower(Context& context, Api& api, std::string job)
      : context_(context), api_(api), job_(std::move(job)) {}

  absl::StatusOr<ExitCode> Run() {
    InterruptGuard guard;
    while (true) {
      const absl::Status status = WatchOnce(guard.token());
      if (guard.interrupted()) return Detach();
      if (ended_) return End();
      if (restart_) continue;
      if (!status.ok() && !MayComeBack(status)) return status;
      if (absl::Status gone = NoteLoss(status); !gone.ok()) return gone;
      if (!Pause(guard.token(), kReconnectPause)) return Detach();
      api_.ConnectAtOnce();
    }
  }

 private:
  absl::Status WatchOnce(std::stop_token stop) {
    v1::GetJobRequest request;
    request.set_job(job_);
    request.set_from_round(progress_.from_round());
    restart_ = false;
    return api_.Watch(request, stop, [&](const v1::GetJobResponse& view) {
      OnView(view);
      restart_ = !ended_ && view.rounds_size() >= kMaxRoundsPerView &&
                 progress_.from_round() > request.from_round();
      return !ended_ && !restart_;
    });
  }

  void OnView(const v1::GetJobResponse& view) {
    if (lost_since_) Say("the coordinator answers again");
    lost_since_.reset();
    last_ = view.job();
    for (const v1::RoundSummary& round : progress_.Update(view)) {
      if (context_.json()) {
        PrintJson(context_, {{"event", "round"}, {"round", ViewOf(round)}});
      } else {
        Say(RoundLine(round, view.job().rounds_total()));
      }
    }
    ended_ = HasEnded(view.job());
    if (context_.err_is_terminal && !context_.json() && !ended_) {
      context_.err << "\r\033[K" << OpenRoundLine(view, SystemClock().Now()) << std::flush;
    }
  }

  // The server may end a stream in several ways while it stops.
  static bool MayComeBack(const absl::Status& status) {
    return IsTransient(status) || absl::IsCancelled(status) || absl::IsInternal(status) ||
           absl::IsUnknown(status);
  }

  absl::Status NoteLoss(const absl::Status& status) {
    const auto now = Steady::now();
    if (!lost_since_) {
      lost_since_ = now;
      Say(StrCat("the coordinator at ", api_.address(), " does not answer; trying again for up to ",
                 kReconnectFor.count(), " minutes (the job is safe: it goes on there)"));
    }
    if (now - *lost_since_ < kReconnectFor) return absl::OkStatus();
    return absl::UnavailableError(StrCat(
        StdView(status.message()), "; when it is back, `muster jobs watch ", job_, "` goes on"));
  }

  ExitCode Detach() {
    Say(StrCat("detached; ", job_, " goes on: `muster jobs watch ", job_,
               "` shows it again, `muster jobs cancel ", job_, "` ends it"));
    return kExitDetached;
  }

  ExitCode End() {
    if (context_.json()) {
      PrintJson(context_, {{"event", "job"}, {"job", ViewOf(last_)}});
    } else {
      ClearLine();
      context_.out << EndLine(last_) << std::endl;
    }
    return last_.phase() == v1::JOB_PHASE_SUCCEEDED ? kExitDone : kExitJobFailed;
  }

  void ClearLine() {
    if (context_.err_is_terminal && !context_.json()) context_.err << "\r\033[K" << std::flush;
  }
  void Say(const std::string& line) {
    if (context_.json()) return;
    ClearLine();
    context_.err << line << std::endl;
  }

  Context& context_;
  Api& api_;
  const std::string job_;
  JobProgress progress_;
  v1::Job last_;
  std::optional<Steady::time_point> lost_since_;
  bool ended_ = false, restart_ = false;
};

}  // namespace

absl::StatusOr<ExitCode> FollowJob(Context& context, Api& api, const std::string& job) {
  return Follower(context, api, job).Run();
}

}  // namespace muster::cli
