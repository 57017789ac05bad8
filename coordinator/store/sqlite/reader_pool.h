// Connections for reading, opened when first needed. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/store/sqlite/connection.h"

namespace muster {

class ReaderPool {
 public:
  ReaderPool(std::filesystem::path path, size_t size, std::chrono::milliseconds busy_timeout)
      : path_(std::move(path)), size_(size), busy_timeout_(busy_timeout) {}

  // A connection that goes back to the pool when it is let go. Waits while all are in use.
  class Lease {
   public:
    Lease(ReaderPool* pool, std::unique_ptr<Connection> connection)
        : pool_(pool), connection_(std::move(connection)) {}
    Lease(Lease&&) = default;
    ~Lease() {
      if (connection_ != nullptr) pool_->Return(std::move(connection_));
    }
    Connection& operator*() const { return *connection_; }
    Connection* operator->() const { return connection_.get(); }

   private:
    ReaderPool* pool_;
    std::unique_ptr<Connection> connection_;
  };
  absl::StatusOr<Lease> Take();

 private:
  void Return(std::unique_ptr<Connection> connection);

  const std::filesystem::path path_;
  const size_t size_;
  const std::chrono::milliseconds busy_timeout_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Connection>> idle_;
  size_t in_use_ = 0;
};

}  // namespace muster
