// Connecting again: with growing, jittered pauses, until it works or a deadline comes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "coordinator/store/postgres/conninfo.h"
#include "coordinator/store/postgres/pg_connection.h"

namespace muster {

using PgDeadline = std::chrono::steady_clock::time_point;

// Pauses between attempts: each up to twice as long as the one before, and spread, so that replicas
// that lost the same server do not come back in step.
class Backoff {
 public:
  std::chrono::milliseconds Next();

 private:
  std::chrono::milliseconds ceiling_{20};
};

// Sleeps for the time given, or less long and answers false: whoever waits shall give up.
using PgPause = std::function<bool(std::chrono::milliseconds)>;

class PgConnector {
 public:
  PgConnector(std::shared_ptr<const ConnInfo> info, const PgTimeouts& timeouts)
      : info_(std::move(info)), timeouts_(timeouts) {}

  // The last attempt's error when `deadline` comes first; soon if it is none that time cures.
  absl::StatusOr<std::unique_ptr<PgConnection>> Connect(PgDeadline deadline,
                                                        const PgPause& pause) const;
  const ConnInfo& info() const { return *info_; }

 private:
  bool MayCure() const;

  std::shared_ptr<const ConnInfo> info_;
  PgTimeouts timeouts_;
};

}  // namespace muster
