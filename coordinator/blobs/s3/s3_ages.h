// How old blobs are, and who deletes one. S3 can neither make an object younger nor delete it on
// the condition that it is old, so both are told by small objects below PREFIX/ages/DIGEST/:
//   touched       the blob is as young as this object, if that is younger than the blob itself
//   deleting-ID   somebody judges the blob at this moment, and deletes it if it is old
// Whoever deletes announces it, then looks; whoever touches or writes a blob again does so, then
// looks for announcements. So one of the two sees the other. At most one deletes at a time, and
// looks again before it sends a deletion again: none that is belated takes a blob's successor.
// Announcements that a crash left count for limits::kS3DeletingAge. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/blobs/s3/s3_client.h"
#include "proto/core/digest.h"

namespace muster {

class S3Ages {
 public:
  explicit S3Ages(std::shared_ptr<S3Client> client) : client_(std::move(client)) {}

  // `key` is the blob's object. Has(), and the blob counts as written now.
  absl::StatusOr<bool> Touch(const Digest& digest, const std::string& key);
  // After a blob was written that was there before: whether it still is. Waits for deletions that
  // began before; Unavailable if one takes too long.
  absl::StatusOr<bool> IsStillThere(const Digest& digest, const std::string& key);
  // Ages by the store's clock. False if it was young, not there, or judged by another.
  absl::StatusOr<bool> DeleteIfOlder(const Digest& digest, const std::string& key,
                                     Timestamp before);

  absl::StatusOr<std::map<Digest, Timestamp>> Touched();
  // Removes what tells of blobs that are gone, and was written before `before`.
  absl::Status Sweep(Timestamp before, const std::function<std::string(const Digest&)>& key_of);

 private:
  std::string Key(const Digest& digest, std::string_view object) const;
  bool Counts(const S3Listed& announcement) const;
  enum class Judgement { kGone, kGoes, kStays };
  absl::StatusOr<Judgement> Judge(const Digest& digest, const std::string& key, Timestamp before,
                                  const std::string& ours);
  absl::StatusOr<bool> DeleteAnnounced(const Digest& digest, const std::string& key,
                                       Timestamp before, const std::string& ours, bool& over);

  const std::shared_ptr<S3Client> client_;
};

}  // namespace muster
