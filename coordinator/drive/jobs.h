// Jobs as researchers know them: submit, look, cancel.
#pragma once

#include <string>
#include <vector>

#include "coordinator/drive/context.h"

namespace muster {

struct SubmittedJob {
  JobId id;
  bool already = false;              // the idempotency key was known
  std::vector<std::string> notices;  // what the submitter should know, such as missing devices
};

// The spec's blobs must be staged by `owner` or stored already. Packs the initial weights as a
// signed package, and opens round 1.
absl::StatusOr<SubmittedJob> SubmitJob(DriveContext& context, const JobSpec& spec,
                                       const std::string& submitted_by, const std::string& owner,
                                       const std::string& idempotency_key);

absl::StatusOr<JobRecord> CancelJob(DriveContext& context, const JobId& id, const std::string& by);

// A model version as a signed package in the blob store.
struct StoredPackage {
  Digest package;
  Digest manifest;
};
absl::StatusOr<StoredPackage> StorePackage(DriveContext& context, const Manifest& manifest,
                                           const Digest& weights, uint64_t weights_bytes,
                                           const Digest& module);

// The manifest of version `version` of the job's model; lineage is the caller's.
Manifest ManifestFor(const JobSpec& spec, uint32_t version, Lineage lineage);

}  // namespace muster
