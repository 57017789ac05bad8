// Retention and garbage collection: lets old rows go by policy, then removes the blobs and uploads
// that nobody needs.
//
// A blob is removed when nothing in the store refers to it and it was neither written, touched nor
// let go within the grace period. So a blob that was written before the commit that refers to it is
// safe, and so is one that a transaction of another replica is about to refer to: both take far
// less than the grace period. Rows go in transactions that check again what they check.
#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>

#include "absl/status/statusor.h"
#include "coordinator/drive/context.h"

namespace muster {

struct GarbagePolicy {
  uint32_t keep_versions = 0;  // newest of each model; 0: all. What is promoted or in use stays.
  Duration keep_history{0};    // of ended jobs' invocations and usage; 0: for good
  Duration keep_uploads = std::chrono::hours(24 * 8);  // that nobody touched; above a round's limit
  Duration grace = std::chrono::hours(24);
  Duration keep_changes{0};          // rows of the audit log; 0: for good
  uint64_t keep_refusals = 100'000;  // newest rows of refusals, for each writer
};

// What a run removes, or would remove.
struct GarbageReport {
  uint64_t versions = 0;
  uint64_t optimizer_states = 0;
  uint64_t invocations = 0;  // rows
  uint64_t usage = 0;        // rows
  uint64_t audit = 0;        // rows
  uint64_t uploads = 0;
  uint64_t upload_bytes = 0;
  uint64_t blobs = 0;
  uint64_t blob_bytes = 0;
  uint64_t released_blobs = 0;  // that this run lets go: a run after the grace period removes them
  uint64_t released_bytes = 0;
  friend bool operator==(const GarbageReport&, const GarbageReport&) = default;
};

// What garbage collection works with. `audit_writer` names the chain for the record of the run.
struct GarbageContext {
  StateStore& store;
  BlobStore& blobs;
  StagingArea* staging = nullptr;          // null: a dry run beside the process that has the folder
  std::filesystem::path staging_folder{};  // for counting then
  const PackageVerifier& verifier;
  std::string audit_writer;
  std::string actor;       // for the audit log
  std::stop_token stop{};  // Cancelled once it is asked for
};

// InvalidArgument for a grace period below kMinGrace.
inline constexpr Duration kMinGrace = std::chrono::minutes(10);
absl::Status CheckPolicy(const GarbagePolicy& policy);

// Only looks: beside a running coordinator too.
absl::StatusOr<GarbageReport> FindGarbage(const GarbageContext& context,
                                          const GarbagePolicy& policy, Timestamp now);
// Removes it. Stopped at any instant, it left less garbage and nothing broken.
absl::StatusOr<GarbageReport> CollectGarbage(const GarbageContext& context,
                                             const GarbagePolicy& policy, Timestamp now);

}  // namespace muster
