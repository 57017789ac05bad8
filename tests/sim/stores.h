// The layers between the coordinator's code and its store:
//
//   driver -> ReachedStore (faults, one for each life) -> a planted bug, in its test ->
//   WatchedStore
//     -> the real store, in memory or SQLite
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "coordinator/store/reads.h"
#include "coordinator/store/state_store.h"
#include "tests/sim/reach.h"

namespace muster::sim {

// What one transaction did that somebody has to look at.
struct Notes {
  std::set<RoundId> rounds;  // whose rows or timers changed
  std::vector<SecAggSessionRecord> sessions;
  std::vector<TaskRecord> claimed;
  std::vector<std::pair<std::string, uint64_t>> completed;  // key, fence
};

// Tells after each commit what it did.
class WatchedStore final : public StateStore {
 public:
  using Watcher = std::function<void(const Notes&, const StateStore&)>;
  WatchedStore(std::shared_ptr<StateStore> inner, Watcher watcher)
      : inner_(std::move(inner)), watcher_(std::move(watcher)) {}

  absl::Status Write(const std::function<absl::Status(StoreTx&)>& work) override;
  absl::Status Read(const std::function<absl::Status(const StoreReader&)>& work) const override {
    return inner_->Read(work);
  }
  StoreStats Stats() const override { return inner_->Stats(); }
  // Another process opens the same store.
  void Replace(std::shared_ptr<StateStore> inner) { inner_ = std::move(inner); }
  void Close() { inner_.reset(); }

 private:
  std::shared_ptr<StateStore> inner_;
  const Watcher watcher_;
};

class ReachedStore final : public StateStore {
 public:
  ReachedStore(StateStore& inner, Reach& reach) : inner_(inner), reach_(reach) {}
  absl::Status Write(const std::function<absl::Status(StoreTx&)>& work) override;
  absl::Status Read(const std::function<absl::Status(const StoreReader&)>& work) const override;
  StoreStats Stats() const override { return inner_.Stats(); }

 private:
  StateStore& inner_;
  Reach& reach_;
};

}  // namespace muster::sim
