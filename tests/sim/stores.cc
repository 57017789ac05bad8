#include "tests/sim/stores.h"

#include "proto/core/status.h"

namespace muster::sim {
namespace {

class NotingTx final : public TxOver<StoreTx> {
 public:
  NotingTx(StoreTx& inner, Notes& notes) : TxOver(inner), notes_(notes) {}

  absl::Status PutRound(const RoundRecord& record) override {
    notes_.rounds.insert(record.id);
    return TxOver::PutRound(record);
  }
  absl::Status PutSecAggSession(const SecAggSessionRecord& record) override {
    const absl::Status status = TxOver::PutSecAggSession(record);
    if (status.ok()) notes_.sessions.push_back(record);
    return status;
  }
  absl::Status AddTask(const TaskRecord& task) override {
    notes_.rounds.insert(task.round);
    return TxOver::AddTask(task);
  }
  absl::Status DeleteTask(const std::string& key) override {
    Touch(key);
    return TxOver::DeleteTask(key);
  }
  absl::StatusOr<std::vector<TaskRecord>> ClaimTasks(Timestamp now, Timestamp leased_until,
                                                     size_t limit) override {
    auto tasks = TxOver::ClaimTasks(now, leased_until, limit);
    if (tasks.ok()) notes_.claimed.insert(notes_.claimed.end(), tasks->begin(), tasks->end());
    return tasks;
  }
  absl::Status CompleteTask(const std::string& key, uint64_t fence) override {
    Touch(key);
    const absl::Status status = TxOver::CompleteTask(key, fence);
    if (status.ok()) notes_.completed.emplace_back(key, fence);
    return status;
  }
  absl::Status PostponeTask(const std::string& key, uint64_t fence, Timestamp due) override {
    const absl::Status status = TxOver::PostponeTask(key, fence, due);
    if (status.ok()) notes_.completed.emplace_back(key, fence);
    return status;
  }

 private:
  void Touch(const std::string& key) {
    const auto task = FindTask(key);
    if (task.ok()) notes_.rounds.insert(task->round);
  }

  Notes& notes_;
};

}  // namespace

absl::Status WatchedStore::Write(const std::function<absl::Status(StoreTx&)>& work) {
  Notes notes;
  const absl::Status status = inner_->Write([&](StoreTx& tx) {
    notes = {};
    NotingTx noting(tx, notes);
    return work(noting);
  });
  if (status.ok()) watcher_(notes, *inner_);
  return status;
}

absl::Status ReachedStore::Write(const std::function<absl::Status(StoreTx&)>& work) {
  const auto inside = [&](StoreTx& tx) {
    const Reach::Inside guard(reach_);
    return work(tx);
  };
  return reach_.Persist(
      "commit", [&] { return inner_.Write(inside); },
      [&] {
        return inner_.Write([&](StoreTx& tx) -> absl::Status {
          MUSTER_RETURN_IF_ERROR(inside(tx));
          return absl::AbortedError("another writer came first");
        });
      });
}

absl::Status ReachedStore::Read(const std::function<absl::Status(const StoreReader&)>& work) const {
  MUSTER_RETURN_IF_ERROR(reach_.Look());
  return inner_.Read([&](const StoreReader& reader) {
    const Reach::Inside guard(reach_);
    return work(reader);
  });
}

}  // namespace muster::sim
