// The blobs that the store refers to, those that nothing refers to, and uploads that nobody took.
#pragma once

#include <set>

#include "coordinator/blobs/open_blobs.h"
#include "coordinator/store/state_store.h"
#include "coordinator/upkeep/checks/results.h"
#include "coordinator/upkeep/references.h"

namespace muster::checks {

struct BlobsToCheck {
  const StateStore& store;
  const BlobStore& blobs;
  ReferenceFinder& finder;
  bool in_s3 = false;
  bool deep = false;
};

// Both by one listing. `used` is what the store referred to a moment ago; what it let go since may
// be gone.
void CheckBlobs(const BlobsToCheck& context, const std::set<Digest>& used, Timestamp now,
                Results& results);

// A null `staging`: in the folder, which the coordinator has.
void CheckUploads(const DoctorOptions& options, StagingArea* staging, Timestamp now,
                  Results& results);

}  // namespace muster::checks
