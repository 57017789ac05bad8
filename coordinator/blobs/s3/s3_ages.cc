#include "coordinator/blobs/s3/s3_ages.h"

#include <optional>
#include <utility>

#include "coordinator/blobs/s3/s3_limits.h"
#include "proto/core/random.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr std::string_view kFolder = "ages/";
constexpr std::string_view kTouched = "touched";
constexpr std::string_view kDeleting = "deleting-";
constexpr size_t kNameBytes = 8;

bool IsDeleting(const S3Listed& object) {
  return object.key.substr(object.key.rfind('/') + 1).starts_with(kDeleting);
}

}  // namespace

std::string S3Ages::Key(const Digest& digest, std::string_view object) const {
  return client_->Key(StrCat(kFolder, digest.hex(), "/", object));
}

// Both times are the store's.
bool S3Ages::Counts(const S3Listed& announcement) const {
  return client_->server_time() - announcement.modified < limits::kS3DeletingAge;
}

absl::StatusOr<bool> S3Ages::IsStillThere(const Digest& digest, const std::string& key) {
  for (uint32_t look = 0; look < limits::kS3DeletingLooks; ++look) {
    bool deleting = false;
    MUSTER_RETURN_IF_ERROR(client_->List(Key(digest, kDeleting), [&](const S3Listed& object) {
      deleting |= Counts(object);
      return absl::OkStatus();
    }));
    if (!deleting) return client_->Has(key);
    client_->options().pause(limits::kS3DeletingPause);
  }
  return absl::UnavailableError(
      StrCat("blob ", digest.hex(), " is being deleted just now; try again"));
}

absl::StatusOr<bool> S3Ages::Touch(const Digest& digest, const std::string& key) {
  MUSTER_ASSIGN_OR_RETURN(const bool there, client_->Has(key));
  if (!there) return false;
  MUSTER_RETURN_IF_ERROR(client_->Put(Key(digest, kTouched), "").status());
  return IsStillThere(digest, key);
}

absl::StatusOr<S3Ages::Judgement> S3Ages::Judge(const Digest& digest, const std::string& key,
                                                Timestamp before, const std::string& ours) {
  bool good = true;
  MUSTER_RETURN_IF_ERROR(client_->List(Key(digest, ""), [&](const S3Listed& object) {
    if (IsDeleting(object)) {
      good &= object.key == ours || !Counts(object);
    } else {
      good &= object.modified < before;
    }
    return absl::OkStatus();
  }));
  bool there = false;
  MUSTER_RETURN_IF_ERROR(client_->List(key, [&](const S3Listed& object) {
    there |= object.key == key;
    good &= object.key != key || object.modified < before;
    return absl::OkStatus();
  }));
  return !there ? Judgement::kGone : good ? Judgement::kGoes : Judgement::kStays;
}

// An attempt that was answered, though with an error, is over: what it left is judged anew. One
// without an answer may still take place, and `over` is false.
absl::StatusOr<bool> S3Ages::DeleteAnnounced(const Digest& digest, const std::string& key,
                                             Timestamp before, const std::string& ours,
                                             bool& over) {
  over = true;
  absl::Status failed;
  for (uint32_t attempt = 0; attempt < client_->options().attempts; ++attempt) {
    MUSTER_ASSIGN_OR_RETURN(const Judgement judgement, Judge(digest, key, before, ours));
    if (judgement == Judgement::kGone) return attempt > 0;  // the last attempt's doing
    if (judgement == Judgement::kStays) return false;
    failed = client_->DeleteOnce(key, &over);
    if (failed.ok()) return true;
    if (!over) return failed;
    client_->options().pause(limits::kS3DeletingPause);
  }
  return failed;
}

absl::StatusOr<bool> S3Ages::DeleteIfOlder(const Digest& digest, const std::string& key,
                                           Timestamp before) {
  const std::string ours = Key(digest, StrCat(kDeleting, SystemRandom().Hex(kNameBytes)));
  MUSTER_RETURN_IF_ERROR(client_->Put(ours, "").status());
  bool over = true;
  const absl::StatusOr<bool> deleted = DeleteAnnounced(digest, key, before, ours, over);
  if (!over) return deleted;  // nobody knows whether it was deleted: the announcement stays
  if (deleted.ok() && *deleted) {
    MUSTER_RETURN_IF_ERROR(client_->Delete(Key(digest, kTouched)));
  }
  MUSTER_RETURN_IF_ERROR(client_->Delete(ours));
  return deleted;
}

absl::StatusOr<std::map<Digest, Timestamp>> S3Ages::Touched() {
  std::map<Digest, Timestamp> touched;
  const std::string folder = client_->Key(kFolder);
  MUSTER_RETURN_IF_ERROR(client_->List(folder, [&](const S3Listed& object) {
    const std::string name = object.key.substr(folder.size());
    const size_t slash = name.find('/');
    const auto digest = Digest::FromHex(name.substr(0, slash));
    if (digest.ok() && slash != std::string::npos && name.substr(slash + 1) == kTouched) {
      touched[*digest] = object.modified;
    }
    return absl::OkStatus();
  }));
  return touched;
}

absl::Status S3Ages::Sweep(Timestamp before,
                           const std::function<std::string(const Digest&)>& key_of) {
  const std::string folder = client_->Key(kFolder);
  return client_->List(folder, [&](const S3Listed& object) -> absl::Status {
    if (object.modified > before) return absl::OkStatus();
    const std::string name = object.key.substr(folder.size());
    const auto digest = Digest::FromHex(name.substr(0, name.find('/')));
    if (digest.ok() && !IsDeleting(object)) {
      MUSTER_ASSIGN_OR_RETURN(const bool there, client_->Has(key_of(*digest)));
      if (there) return absl::OkStatus();
    }
    return client_->Delete(object.key);
  });
}

}  // namespace muster
