#include "coordinator/wait_for_stop.h"

#include <algorithm>
#include <cerrno>

#include "coordinator/drive/idle.h"
#include "proto/core/log.h"
#include "proto/core/status.h"

namespace muster {
namespace {

// Nobody calls; but a silent client does not hang up at once when it is told to.
constexpr Duration kIdleGrace = std::chrono::milliseconds(500);

timespec ToTimespec(Duration time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return {.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds(time - seconds).count()};
}

absl::StatusOr<std::optional<Timestamp>> NextDue(DriveContext& drive) {
  std::optional<Timestamp> due;
  MUSTER_RETURN_IF_ERROR(drive.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(due, reader.NextTaskDue());
    return absl::OkStatus();
  }));
  return due;
}

IdleFacts Look(const Served& served, Duration after) {
  const auto since_connection =
      std::chrono::steady_clock::now() - served.server.acceptor().last_accepted();
  IdleFacts facts;
  facts.open_calls = served.counters.open() + (served.http != nullptr ? served.http->open() : 0);
  facts.quiet = std::chrono::duration_cast<Duration>(
      std::min<std::chrono::steady_clock::duration>(served.counters.quiet(), since_connection));
  // In this order: what the tasks hand over is never with neither.
  facts.working = served.tasks.working() || served.housekeeper.working();
  if (facts.quiet < after) return facts;  // the store need not be asked
  const auto due = NextDue(served.drive);
  if (!due.ok()) facts.working = true;  // a store that is away for a moment is no reason to end
  if (due.ok() && *due) facts.next_task = **due - served.drive.clock.Now();
  return facts;
}

// Takes no more connections; takes them again if something came in the last moment.
bool EndsQuietly(const Served& served, Duration after) {
  served.server.acceptor().Pause();
  if (served.http != nullptr) served.http->Pause();
  if (MayEnd(Look(served, after), after)) return true;
  served.server.acceptor().Resume();
  if (served.http != nullptr) served.http->Resume();
  return false;
}

}  // namespace

WaitEnd WaitForStop(const sigset_t& signals, Duration idle_exit, Duration stop_grace,
                    const std::function<bool()>& changed, const Served& served) {
  const bool ends_idle = idle_exit > Duration::zero();
  while (true) {
    Duration wait = kWatchEvery;
    if (ends_idle) {
      const IdleFacts facts = Look(served, idle_exit);
      if (MayEnd(facts, idle_exit) && EndsQuietly(served, idle_exit)) {
        const auto due = NextDue(served.drive);
        LogInfo("idle: ending until somebody calls or ticks",
                {{"next_task", due.ok() && *due ? (*due)->ToString() : "none"}});
        return {.grace = std::min(stop_grace, kIdleGrace)};
      }
      wait = std::min(wait, LookAgainIn(facts, idle_exit));
    }
    const timespec timeout = ToTimespec(wait);
    const int signal_number = sigtimedwait(&signals, nullptr, &timeout);
    if (signal_number > 0) {
      LogInfo("stopping", {{"signal", signal_number}});
      return {.grace = stop_grace};
    }
    if (changed()) return {.grace = stop_grace, .again = true};
  }
}

}  // namespace muster
