// Refusals for the audit log. Whoever is refused may try as often as he likes, so refusals are
// summed up: equal ones within a window are one row with a count, and beyond kMaxRefusalRows
// different ones the rest share one more. So an attacker adds at most kMaxRefusalRows + 1 rows a
// window. kill -9 loses the window that is open: refusals changed nothing.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "coordinator/identity/spiffe.h"
#include "coordinator/store/state_store.h"
#include "proto/core/time.h"

namespace muster {

class RefusalLog {
 public:
  RefusalLog(StateStore& store, Clock& clock, std::string chain)
      : store_(store), clock_(clock), chain_(std::move(chain)) {}

  // PermissionDenied, Unauthenticated and ResourceExhausted are refusals; others are passed over.
  // Fast, and without the store: for any thread. `peer` is the caller's address.
  void Note(const std::optional<Principal>& caller, std::string_view method,
            const absl::Status& status, std::string_view peer);

  // Writes what was noted, if a window is over or `now_or_never`. One call at a time writes.
  absl::Status Flush(bool now_or_never);

 private:
  struct Key {
    std::string actor, method;
    absl::StatusCode code = absl::StatusCode::kOk;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Noted {
    std::string detail;  // of the first
    uint64_t count = 0;
  };

  AuditRecord RowFor(const Key& key, const Noted& noted, Timestamp at) const;

  StateStore& store_;
  Clock& clock_;
  const std::string chain_;
  std::mutex mutex_;
  std::map<Key, Noted> noted_;
  Timestamp opened_;  // when the first of noted_ came
};

}  // namespace muster
