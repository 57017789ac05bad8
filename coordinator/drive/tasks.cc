#include "coordinator/drive/tasks.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "coordinator/drive/evaluation.h"
#include "coordinator/drive/finalize.h"
#include "coordinator/drive/secagg_session.h"
#include "coordinator/drive/transitions.h"
#include "proto/core/limits.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kClaimAtOnce = 16;
// How long a runner sleeps at most: another replica's tasks come to it only by looking.
constexpr Duration kMaxSleep = std::chrono::seconds(1);
constexpr Duration kRetryDelay = std::chrono::seconds(1);
constexpr Duration kMaxRetryDelay = std::chrono::minutes(1);
constexpr Duration kEvaluatorPoll = std::chrono::milliseconds(500);
constexpr char kCollectGarbageTask[] = "collect-garbage";

}  // namespace

TaskRunner::TaskRunner(DriveContext& context, Dispatcher& dispatcher)
    : context_(context), dispatcher_(dispatcher) {}

TaskRunner::~TaskRunner() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  context_.wakeups.Wake(kTasksKey);
  if (thread_.joinable()) thread_.join();
}

void TaskRunner::Start() {
  RefreshFleetSize();
  thread_ = std::thread([this] { Run(); });
}

void TaskRunner::Run() {
  while (true) {
    const uint64_t version = context_.wakeups.version(kTasksKey);
    auto done = RunDue();
    if (!done.ok()) {
      LogError("task runner", {{"error", done.status().ToString()}});
    }
    Duration sleep = kMaxSleep;
    if (done.ok() && *done > 0) sleep = Duration::zero();
    context_.store
        .Read([&](const StoreReader& reader) -> absl::Status {
          MUSTER_ASSIGN_OR_RETURN(auto due, reader.NextTaskDue());
          if (due) sleep = std::clamp(*due - context_.clock.Now(), Duration::zero(), sleep);
          return absl::OkStatus();
        })
        .IgnoreError();
    if (done.ok() && *done == 0) sleep = std::max<Duration>(sleep, std::chrono::milliseconds(5));
    RefreshFleetSize();
    {
      std::unique_lock lock(mutex_);
      if (stopping_) return;
      nudged_ = false;
    }
    auto nudge = [this](WakeUps::Reason reason) {
      std::lock_guard lock(mutex_);
      if (reason == WakeUps::Reason::kShutdown) stopping_ = true;
      nudged_ = true;
      changed_.notify_all();
    };
    context_.wakeups.WaitFor(kTasksKey, version, sleep, nudge);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return nudged_; });  // the callback holds `this`
  }
}

absl::StatusOr<size_t> TaskRunner::RunDue() {
  ++in_hand_;
  absl::StatusOr<size_t> done = ClaimAndRun();
  if (done.ok()) ran_ += *done;
  std::lock_guard lock(mutex_);
  --in_hand_;
  changed_.notify_all();
  return done;
}

absl::StatusOr<TaskRunner::Ticked> TaskRunner::Tick(size_t max_tasks) {
  const uint64_t before = ran_;
  size_t done = 1;
  while (done > 0 && ran_ - before < max_tasks) {
    MUSTER_ASSIGN_OR_RETURN(done, RunDue());
  }
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return in_hand_ == 0 || stopping_; });
  }
  Ticked ticked{.ran = ran_ - before};
  MUSTER_RETURN_IF_ERROR(context_.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(ticked.next_due, reader.NextTaskDue());
    return absl::OkStatus();
  }));
  return ticked;
}

absl::StatusOr<size_t> TaskRunner::ClaimAndRun() {
  std::vector<TaskRecord> tasks;
  const Timestamp now = context_.clock.Now();
  std::optional<Timestamp> due;
  MUSTER_RETURN_IF_ERROR(context_.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(due, reader.NextTaskDue());
    return absl::OkStatus();
  }));
  if (!due || now < *due) return 0;  // nothing to claim: an idle coordinator writes nothing
  MUSTER_RETURN_IF_ERROR(context_.store.Write([&](StoreTx& tx) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(tasks,
                            tx.ClaimTasks(now, now + context_.options.task_lease, kClaimAtOnce));
    return absl::OkStatus();
  }));
  for (const TaskRecord& task : tasks) {
    absl::Status status = RunOne(task);
    if (!status.ok()) Retry(task, status);
  }
  return tasks.size();
}

absl::Status TaskRunner::RunOne(const TaskRecord& task) {
  const DriveOptions& options = context_.options;
  switch (task.kind) {
    case TaskKind::kCloseSum:
      return CloseRound(context_, task);
    case TaskKind::kRoundDeadline:
      return Transact(context_, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
        MUSTER_RETURN_IF_ERROR(tx.CompleteTask(task.key, task.fence));
        MUSTER_ASSIGN_OR_RETURN(RoundRecord round, tx.FindRound(task.round));
        // The phase was over by the clock of whoever claimed the timer first. If that clock was set
        // back since, the machine must not find that it is too early: the timer goes with this
        // transaction, and the round would never end.
        Timestamp now = context_.clock.Now();
        if (const auto closes = ClosesAt(round.state)) now = std::max(now, *closes);
        return EndPhase(tx, after, round, now);
      });
    case TaskKind::kRequestEvaluation:
      return Transact(context_, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
        const Timestamp now = context_.clock.Now();
        MUSTER_ASSIGN_OR_RETURN(const bool assigned,
                                AssignEvaluation(tx, after, task, now, options));
        if (assigned) return tx.CompleteTask(task.key, task.fence);
        return tx.PostponeTask(task.key, task.fence, now + kEvaluatorPoll);
      });
    case TaskKind::kEvaluationDeadline:
      return Transact(context_, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
        const Timestamp now = context_.clock.Now();
        MUSTER_RETURN_IF_ERROR(tx.CompleteTask(task.key, task.fence));
        MUSTER_ASSIGN_OR_RETURN(auto rounds, tx.ListRounds(task.round.job, task.round.number,
                                                           limits::kMaxRoundAttempts));
        for (const RoundRecord& round : rounds) {
          if (round.model_version != task.model_version) continue;
          LogWarning("no evaluation in time", {{"round", round.id.ToString()}});
          return EndEvaluation(tx, after, round, {}, now, options);
        }
        return absl::OkStatus();
      });
    case TaskKind::kCollectGarbage:
      return BeginCollection(task);
  }
  return absl::InternalError("a task of unknown kind");
}

absl::Status TaskRunner::PlanCollections(Duration every) {
  collect_every_ = every;
  if (every == Duration::zero()) return absl::OkStatus();  // a row from before goes when it is due
  const Timestamp latest = context_.clock.Now() + every;
  const auto planned = [&](const StoreReader& reader) -> absl::StatusOr<bool> {
    const auto task = reader.FindTask(kCollectGarbageTask);
    if (absl::IsNotFound(task.status())) return false;
    MUSTER_RETURN_IF_ERROR(task.status());
    return task->due <= latest;  // later: it used to be rarer, or the clock was set back
  };
  bool good = false;
  MUSTER_RETURN_IF_ERROR(context_.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(good, planned(reader));
    return absl::OkStatus();
  }));
  if (good) return absl::OkStatus();
  return context_.store.Write([&](StoreTx& tx) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const bool by_another, planned(tx));
    if (by_another) return absl::OkStatus();
    MUSTER_RETURN_IF_ERROR(tx.DeleteTask(kCollectGarbageTask));
    return tx.AddTask(
        {.key = kCollectGarbageTask, .kind = TaskKind::kCollectGarbage, .due = latest});
  });
}

absl::Status TaskRunner::BeginCollection(const TaskRecord& task) {
  const bool collects = collect_every_ > Duration::zero();
  MUSTER_RETURN_IF_ERROR(context_.store.Write([&](StoreTx& tx) {
    if (!collects) return tx.CompleteTask(task.key, task.fence);
    return tx.PostponeTask(task.key, task.fence, context_.clock.Now() + collect_every_);
  }));
  if (collects) collection_due_ = true;
  return absl::OkStatus();
}

// The deadline of a phase. Unmasking asks first whether the shares that came are enough.
absl::Status TaskRunner::EndPhase(StoreTx& tx, AfterCommit& after, RoundRecord& round,
                                  Timestamp now) {
  RoundEvent event = RoundDeadline{};
  if (std::holds_alternative<Unmasking>(round.state)) {
    MUSTER_ASSIGN_OR_RETURN(const auto roster, context_.rosters.Get(tx, round.id));
    MUSTER_ASSIGN_OR_RETURN(const bool enough, CanOpen(tx, *roster, round.id));
    if (enough) event = DevicesAnswered{.count = 0, .enough = true};
  }
  return ApplyToRound(tx, after, round, event, now, context_.options).status();
}

void TaskRunner::Retry(const TaskRecord& task, const absl::Status& why) {
  if (absl::IsAborted(why)) return;  // the lease was lost: another runner has it
  LogError("task failed and will be tried again",
           {{"task", task.key}, {"attempt", task.attempts}, {"error", why.ToString()}});
  const Duration delay =
      std::min<Duration>(kRetryDelay * std::max<uint32_t>(task.attempts, 1), kMaxRetryDelay);
  context_.store
      .Write([&](StoreTx& tx) {
        return tx.PostponeTask(task.key, task.fence, context_.clock.Now() + delay);
      })
      .IgnoreError();
}

void TaskRunner::RefreshFleetSize() {
  size_t devices = 0;
  context_.store
      .Read([&](const StoreReader& reader) -> absl::Status {
        MUSTER_ASSIGN_OR_RETURN(devices, reader.CountDevices());
        return absl::OkStatus();
      })
      .IgnoreError();
  dispatcher_.SetFleetSize(devices);
}

}  // namespace muster
