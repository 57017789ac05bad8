#include "coordinator/blobs/s3/s3_staging.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "coordinator/blobs/s3/s3_blobs.h"
#include "coordinator/blobs/s3/s3_limits.h"
#include "coordinator/blobs/s3/s3_staging_area.h"
#include "coordinator/blobs/s3/staged_reader.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {

// Of the uploads of one digest: the complete one, else the one of `total` bytes, else any. (Two
// sizes of one digest are what a start over leaves that was cut off.)
const StoredUpload* PickStaged(const StoredUploads& stored, const StagedName& name,
                               const std::optional<uint64_t>& total) {
  const StoredUpload* picked = nullptr;
  for (auto it = stored.lower_bound({name.owner, name.digest, 0});
       it != stored.end() && it->first.owner_name == name.owner && it->first.digest == name.digest;
       ++it) {
    if (it->second.complete()) return &it->second;
    if (picked == nullptr || it->second.total == total) picked = &it->second;
  }
  return picked;
}

absl::Status StagedBytesLost(const StagedName& name, const Digest& found) {
  return absl::DataLossError(StrCat(name.text(), " is corrupted: its bytes hash to ", found.hex(),
                                    "; it was deleted, upload it again from offset 0"));
}

absl::StatusOr<S3Staging::Hold> S3Staging::Acquire(const std::string& owner, const Digest& digest) {
  MUSTER_ASSIGN_OR_RETURN(std::string owner_name, StagedOwner(owner));
  StagedName name{std::move(owner_name), digest};
  std::lock_guard lock(mutex_);
  StagedEntry& entry = entries_.try_emplace(name, &waiting_).first->second;
  if (entry.busy) {
    return absl::AbortedError(StrCat("another call works on ", name.text(), " of ", owner,
                                     "; ask where it stands and go on from there"));
  }
  entry.busy = true;
  return Hold(this, std::move(name), &entry);
}

absl::StatusOr<StoredUploads> S3Staging::List(const std::string& below) {
  const std::string base = client_->Key("staging/");
  StoredUploads stored;
  MUSTER_RETURN_IF_ERROR(client_->List(base + below, [&](const S3Listed& object) {
    AddStored(object, std::string_view(object.key).substr(base.size()), keys_ != nullptr, stored);
    return absl::OkStatus();
  }));
  return stored;
}

// `done` goes first, so that what a crash leaves is never complete with holes.
absl::Status S3Staging::Delete(const StoredUpload& upload) {
  for (const std::string& key : upload.keys) MUSTER_RETURN_IF_ERROR(client_->Delete(key));
  return absl::OkStatus();
}

absl::StatusOr<StoredUpload> S3Staging::FindComplete(const std::string& owner,
                                                     const StagedName& name) {
  MUSTER_ASSIGN_OR_RETURN(const StoredUploads stored, ListOne(name));
  const StoredUpload* upload = PickStaged(stored, name, std::nullopt);
  if (upload != nullptr && upload->complete()) return *upload;
  std::lock_guard lock(mutex_);
  const auto entry = entries_.find(name);
  if (upload == nullptr && (entry == entries_.end() || !entry->second.total.has_value())) {
    return absl::NotFoundError(StrCat(owner, " has no ", name.text(), "; upload it first"));
  }
  return absl::FailedPreconditionError(
      StrCat(name.text(), " of ", owner, " is not complete; upload the rest first"));
}

absl::StatusOr<std::unique_ptr<BlobReader>> S3Staging::Open(const std::string& owner,
                                                            const Digest& digest) {
  MUSTER_ASSIGN_OR_RETURN(std::string owner_name, StagedOwner(owner));
  const StagedName name{std::move(owner_name), digest};
  MUSTER_ASSIGN_OR_RETURN(const StoredUpload upload, FindComplete(owner, name));
  auto reader = OpenStaged(client_, upload, keys_, name.text());
  if (!absl::IsDataLoss(reader.status())) return reader;
  // Of no use to anybody: it goes, and its owner uploads it again.
  MUSTER_RETURN_IF_ERROR(Remove(owner, digest));
  return absl::DataLossError(StrCat(StdView(reader.status().message()),
                                    "; it was deleted, upload it again from offset 0"));
}

absl::Status S3Staging::Stream(const StoredUpload& upload, const Digest& digest, BlobStore& into) {
  MUSTER_ASSIGN_OR_RETURN(const auto reader, OpenStaged(client_, upload, keys_, digest.hex()));
  MUSTER_ASSIGN_OR_RETURN(const auto writer, into.Create());
  std::vector<char> buffer(limits::kS3FirstReadBytes);
  Sha256Hasher hasher;
  for (uint64_t offset = 0; offset < reader->size();) {
    MUSTER_ASSIGN_OR_RETURN(const size_t got, reader->ReadAt(offset, buffer));
    hasher.Update({buffer.data(), got});
    MUSTER_RETURN_IF_ERROR(writer->Append({buffer.data(), got}));
    offset += got;
  }
  const Digest found = hasher.Finish();
  if (found != digest) return StagedBytesLost({"", digest}, found);
  return writer->Commit().status();
}

namespace {

// What the store may put together itself; nothing where it may not.
std::vector<S3Source> Sources(const StoredUpload& upload) {
  if (upload.done_has_bytes) return {{upload.done->key, upload.total}};
  std::vector<S3Source> sources;
  const std::vector<StoredUpload::Piece> pieces = upload.Pieces();
  for (size_t i = 0; i < pieces.size(); ++i) {
    const StoredPart& part = upload.parts[pieces[i].part];
    const bool whole = pieces[i].offset == part.offset;
    const bool last = i + 1 == pieces.size();
    if (!whole || (!last && part.length < limits::kS3MinPartBytes)) return {};
    sources.push_back({part.key, part.length});
  }
  return sources;
}

}  // namespace

absl::Status S3Staging::Promote(const std::string& owner, const Digest& digest, BlobStore& into) {
  MUSTER_ASSIGN_OR_RETURN(std::string owner_name, StagedOwner(owner));
  const StagedName name{std::move(owner_name), digest};
  MUSTER_ASSIGN_OR_RETURN(const StoredUpload upload, FindComplete(owner, name));
  auto* const blobs = dynamic_cast<S3Blobs*>(&into);
  // The store cannot open what is sealed, so it passes through here.
  const std::vector<S3Source> sources =
      keys_ == nullptr ? Sources(upload) : std::vector<S3Source>();
  absl::Status moved;
  if (blobs != nullptr && blobs->client() == client_ && !sources.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const Digest found, HashStaged(client_, upload, keys_, name.text()));
    moved = found == digest ? blobs->Adopt(sources, digest) : StagedBytesLost(name, found);
  } else {
    moved = Stream(upload, digest, into);
  }
  if (!moved.ok() && !absl::IsDataLoss(moved)) return moved;
  const absl::Status removed = Remove(owner, digest);
  if (!moved.ok()) return removed.ok() ? moved : removed;
  // Somebody asks about the upload just now: the sweep takes it later.
  return absl::IsAborted(removed) ? absl::OkStatus() : removed;
}

absl::Status S3Staging::Remove(const std::string& owner, const Digest& digest) {
  MUSTER_ASSIGN_OR_RETURN(Hold hold, Acquire(owner, digest));
  MUSTER_ASSIGN_OR_RETURN(const StoredUploads stored, ListOne(hold.name()));
  for (const auto& [name, upload] : stored) MUSTER_RETURN_IF_ERROR(Delete(upload));
  hold.Forget();
  return absl::OkStatus();
}

bool S3Staging::IsBusy(const StagedUploadName& name) {
  std::lock_guard lock(mutex_);
  const auto entry = entries_.find({name.owner_name, name.digest});
  return entry != entries_.end() && entry->second.busy;
}

absl::StatusOr<AbandonedUploads> S3Staging::CountAbandoned(Timestamp before) {
  MUSTER_ASSIGN_OR_RETURN(const StoredUploads stored, List(""));
  AbandonedUploads abandoned;
  std::set<StagedName> names;
  for (const auto& [name, upload] : stored) {
    if (upload.touched >= before || IsBusy(name)) continue;
    names.insert({name.owner_name, name.digest});
    if (upload.done.has_value()) abandoned.bytes += upload.done->size;
    for (const StoredPart& part : upload.parts) abandoned.bytes += part.length;
  }
  std::lock_guard lock(mutex_);
  for (const auto& [name, entry] : entries_) {
    if (!entry.busy && entry.touched < before && entry.durable == 0) names.insert(name);
  }
  abandoned.count = names.size();
  return abandoned;
}

absl::StatusOr<size_t> S3Staging::Sweep(Timestamp before) {
  const std::string base = client_->Key("staging/");
  StoredUploads stored;
  MUSTER_RETURN_IF_ERROR(client_->List(base, [&](const S3Listed& object) -> absl::Status {
    const std::string_view relative = std::string_view(object.key).substr(base.size());
    if (AddStored(object, relative, keys_ != nullptr, stored) || object.modified >= before)
      return absl::OkStatus();
    return client_->Delete(object.key);  // no upload's, so nobody would ever ask for it
  }));
  std::set<StagedName> swept;
  for (const auto& [name, upload] : stored) {
    if (upload.touched >= before || IsBusy(name)) continue;
    MUSTER_RETURN_IF_ERROR(Delete(upload));
    swept.insert({name.owner_name, name.digest});
  }
  std::lock_guard lock(mutex_);
  for (auto it = entries_.begin(); it != entries_.end();) {
    const StagedEntry& entry = it->second;
    const bool gone = !entry.busy && entry.touched < before;
    if (gone && entry.durable == 0) swept.insert(it->first);
    it = gone ? entries_.erase(it) : std::next(it);
  }
  return swept.size();
}

std::unique_ptr<StagingArea> OpenS3Staging(std::shared_ptr<S3Client> client, StagingLimits limits,
                                           std::shared_ptr<const AtRestKeys> keys) {
  return std::make_unique<S3Staging>(std::move(client), limits, std::move(keys));
}

}  // namespace muster
