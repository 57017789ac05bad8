#include "coordinator/store/memory/memory_store.h"

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "coordinator/store/memory/memory_tables.h"
#include "coordinator/store/reads.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

class MemoryStore final : public StateStore {
 public:
  absl::Status Write(const std::function<absl::Status(StoreTx&)>& work) override {
    if (CalledFromWrite()) return Nested("Write");
    std::unique_lock lock(mutex_);
    writer_ = std::this_thread::get_id();
    absl::Status status;
    {
      UndoLog undo;
      tables_.BeginWrite(&undo);
      TxOver<MemoryTables> tx(tables_);
      status = work(tx);
      if (status.ok()) undo.Keep();
    }
    writer_ = std::thread::id();
    if (status.ok()) {
      ++stats_.commits;
      ++stats_.writes;
      stats_.largest_group = 1;
    } else {
      ++stats_.failed_writes;
    }
    return status;
  }

  absl::Status Read(const std::function<absl::Status(const StoreReader&)>& work) const override {
    if (CalledFromWrite()) return Nested("Read");
    std::shared_lock lock(mutex_);
    const ReaderOver<const MemoryTables> reader(tables_);
    return work(reader);
  }

  StoreStats Stats() const override {
    std::shared_lock lock(mutex_);
    return stats_;
  }

 private:
  bool CalledFromWrite() const { return writer_.load() == std::this_thread::get_id(); }
  static absl::Status Nested(std::string_view what) {
    return absl::FailedPreconditionError(
        StrCat(what, "() was called from inside Write(); use the transaction that it gives"));
  }

  mutable std::shared_mutex mutex_;
  std::atomic<std::thread::id> writer_;
  MemoryTables tables_;
  StoreStats stats_;
};

}  // namespace

std::unique_ptr<StateStore> MakeMemoryStore() { return std::make_unique<MemoryStore>(); }

}  // namespace muster
