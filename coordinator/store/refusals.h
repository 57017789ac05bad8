// The errors that both adapters answer, in the same words.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "proto/core/strings.h"

namespace muster {

inline absl::Status NoSuchRecord(std::string_view what, std::string_view key) {
  return absl::NotFoundError(StrCat("there is no ", what, " ", key));
}

inline absl::Status RecordExists(std::string_view what, std::string_view key) {
  return absl::AlreadyExistsError(StrCat(what, " ", key, " exists already"));
}

inline absl::Status MissingParent(std::string_view what, std::string_view key,
                                  std::string_view parent) {
  return absl::FailedPreconditionError(
      StrCat(what, " ", key, " belongs to ", parent, ", which does not exist; store that first"));
}

// The rule of every Put: `stored` is the version in the store, if any, `given` the one that the
// caller loaded.
inline absl::Status CheckRowVersion(std::string_view what, std::string_view key,
                                    std::optional<uint64_t> stored, uint64_t given) {
  if (given == 0) return stored.has_value() ? RecordExists(what, key) : absl::OkStatus();
  if (!stored.has_value()) return NoSuchRecord(what, key);
  if (*stored == given) return absl::OkStatus();
  return absl::AbortedError(StrCat(what, " ", key, " is at version ", *stored, ", not ", given,
                                   ": somebody else changed it; load it again"));
}

// A row that was not written though no rule forbids it.
inline absl::Status Unexplained() {
  return absl::InternalError("the store took a row for written and did not write it");
}

inline absl::Status StaleFence(std::string_view key, uint64_t fence) {
  return absl::AbortedError(StrCat("task ", key, " is no longer held under fence ", fence,
                                   ": its lease ran out and somebody else took it"));
}

inline absl::Status SurvivorsAreFinal(std::string_view round) {
  return absl::FailedPreconditionError(
      StrCat("the survivors of round ", round, " are final: a second set could open one update"));
}

inline absl::Status NoAuditRow(std::string_view chain, uint64_t number) {
  return absl::FailedPreconditionError(
      StrCat("audit chain ", chain, " has no row ", number, "; it can be pruned up to a row"));
}

// Totals of usage live in signed 64-bit columns.
inline uint64_t AddSaturating(uint64_t a, uint64_t b) {
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  return a >= kMax || b >= kMax - a ? kMax : a + b;
}

}  // namespace muster
