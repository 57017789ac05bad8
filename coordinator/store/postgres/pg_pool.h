// Connections for reading, opened when first needed. Thread-safe.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/store/postgres/pg_connect.h"

namespace muster {

class PgPool {
 public:
  PgPool(const PgConnector& connector, size_t size) : connector_(connector), size_(size) {}

  // A place in the pool, and the connection in it, if it has one. Goes back when it is let go; a
  // connection that broke does not.
  class Lease {
   public:
    Lease(PgPool* pool, std::unique_ptr<PgConnection> connection)
        : pool_(pool), connection_(std::move(connection)) {}
    ~Lease() { pool_->Return(std::move(connection_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    // In a transaction that sees one snapshot and writes nothing.
    absl::StatusOr<PgConnection*> BeginSnapshot(PgDeadline deadline);

   private:
    PgPool* pool_;
    std::unique_ptr<PgConnection> connection_;
  };
  Lease Take();  // waits while all are in use

 private:
  void Return(std::unique_ptr<PgConnection> connection);

  const PgConnector& connector_;
  const size_t size_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<PgConnection>> idle_;
  size_t in_use_ = 0;
};

}  // namespace muster
