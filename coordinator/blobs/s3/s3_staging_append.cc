#include <algorithm>
#include <map>
#include <utility>

#include "coordinator/blobs/at_rest/sealed_blobs.h"
#include "coordinator/blobs/s3/s3_limits.h"
#include "coordinator/blobs/s3/s3_staging_area.h"
#include "coordinator/blobs/s3/staged_reader.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

absl::Status StandsAt(const StagedName& name, uint64_t stands, uint64_t offset) {
  return absl::OutOfRangeError(StrCat(name.text(), " stands at offset ", stands, ", not ", offset));
}

}  // namespace

absl::Status S3Staging::Reserve(Hold& hold, uint64_t total, const StoredUploads& stored) {
  if (total > limits::kMaxBlobBytes) {
    return absl::InvalidArgumentError(StrCat("an upload may have at most ", limits::kMaxBlobBytes,
                                             " bytes; this one says ", total));
  }
  const Timestamp forgotten = clock_.Now() - limits::kS3WaitingAge;
  std::lock_guard lock(mutex_);
  std::map<Digest, uint64_t> sizes;
  for (const auto& [name, upload] : stored) sizes[name.digest] += upload.total;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const StagedEntry& entry = it->second;
    // Nobody came back here; the owner may have gone on elsewhere.
    if (!entry.busy && entry.touched < forgotten) {
      it = entries_.erase(it);
      continue;
    }
    const bool only_here = entry.total.has_value() && entry.durable == 0;
    if (it->first.owner == hold.name().owner && only_here) {
      sizes.try_emplace(it->first.digest, *entry.total);
    }
    ++it;
  }
  sizes.erase(hold.name().digest);
  uint64_t bytes = 0;
  for (const auto& [digest, size] : sizes) bytes += size;
  if (sizes.size() >= limits_.max_uploads_per_owner) {
    return absl::ResourceExhaustedError(
        StrCat(sizes.size(), " uploads are waiting already, the most that one owner may have; ",
               "use them or wait until they are swept"));
  }
  if (bytes > limits_.max_bytes_per_owner || total > limits_.max_bytes_per_owner - bytes) {
    return absl::ResourceExhaustedError(
        StrCat("an upload of ", total, " bytes beside ", bytes,
               " bytes that are waiting already exceeds the owner's limit of ",
               limits_.max_bytes_per_owner, " bytes"));
  }
  hold->total = total;
  return absl::OkStatus();
}

// Makes the entry say where the upload stands, and begins it at offset 0.
absl::Status S3Staging::Prepare(Hold& hold, uint64_t total, uint64_t offset) {
  if (hold->current && hold->total == total && offset == hold->position()) return absl::OkStatus();
  MUSTER_ASSIGN_OR_RETURN(const StoredUploads stored, List(StrCat(hold.name().owner, "/")));
  const StoredUpload* upload = PickStaged(stored, hold.name(), total);
  if (upload != nullptr && (upload->complete() || upload->total == total || offset != 0)) {
    hold.SetTotal(upload->total);
    hold->TakeOver(*upload);
    return absl::OkStatus();
  }
  const bool begun_here = upload == nullptr && hold->total.has_value() && hold->durable == 0;
  if (begun_here && (hold->total == total || offset != 0)) return absl::OkStatus();
  hold.Forget();
  if (upload != nullptr) MUSTER_RETURN_IF_ERROR(Delete(*upload));
  if (offset != 0) return StandsAt(hold.name(), 0, offset);
  MUSTER_RETURN_IF_ERROR(Reserve(hold, total, stored));
  hold->StartFresh();
  return absl::OkStatus();
}

absl::Status S3Staging::Append(const std::string& owner, const Digest& digest, uint64_t total_size,
                               uint64_t offset, std::string_view data) {
  MUSTER_ASSIGN_OR_RETURN(Hold hold, Acquire(owner, digest));
  MUSTER_RETURN_IF_ERROR(Prepare(hold, total_size, offset));
  if (hold->total != total_size) {
    return absl::InvalidArgumentError(StrCat(hold.name().text(), " began with ", *hold->total,
                                             " bytes in total, now it says ", total_size,
                                             "; start again at offset 0"));
  }
  if (offset != hold->position()) return StandsAt(hold.name(), hold->position(), offset);
  if (data.size() > total_size - offset) {
    const bool new_here = hold->position() == 0 && !hold->complete;
    if (new_here) hold.Forget();
    return absl::InvalidArgumentError(StrCat(hold.name().text(), " has ", total_size,
                                             " bytes in total; ", data.size(), " more at offset ",
                                             offset, " are too many"));
  }
  if (hold->complete) return absl::OkStatus();  // at its end, nothing to add
  return Add(hold, data);
}

absl::Status S3Staging::Add(Hold& hold, std::string_view data) {
  const size_t before = hold->waiting.size();
  hold->waiting.Append(data);
  if (hold->waiting.size() >= client_->options().part_bytes ||
      waiting_ > client_->options().staging_memory) {
    const absl::Status written = WritePart(hold);
    if (!written.ok()) {
      // Back to what the upload held: nobody was told about the rest.
      hold->waiting.CutBackTo(before);
      hold->current = false;
      if (hold->position() == 0) hold.Forget();
      return written;
    }
  }
  if (hold->hasher.has_value()) hold->hasher->Update(data);
  return absl::OkStatus();
}

absl::StatusOr<std::string> S3Staging::PutObject(const std::string& key, const std::string& bytes) {
  if (keys_ == nullptr) return client_->Put(key, bytes);
  SystemRandom random;
  MUSTER_ASSIGN_OR_RETURN(const std::string sealed, SealBytes(bytes, *keys_, random));
  return client_->Put(key, sealed);
}

absl::Status S3Staging::WritePart(Hold& hold) {
  const std::string key =
      Key(hold.name(), *hold->total, StagedPart(hold->durable, hold->waiting.size()));
  MUSTER_ASSIGN_OR_RETURN(std::string etag, PutObject(key, hold->waiting.bytes()));
  hold->written.emplace_back(key, std::move(etag));
  hold->durable += hold->waiting.size();
  hold->waiting.Clear();
  return absl::OkStatus();
}

absl::StatusOr<StagedUpload> S3Staging::CompleteInOne(Hold& hold) {
  const Digest found = Sha256(hold->waiting.bytes());
  if (found != hold.name().digest) {
    hold.Forget();
    return StagedBytesLost(hold.name(), found);
  }
  MUSTER_RETURN_IF_ERROR(
      PutObject(Key(hold.name(), *hold->total, kStagedDone), hold->waiting.bytes()).status());
  hold->complete = true;
  return StagedUpload{*hold->total, true};
}

absl::Status S3Staging::Lose(Hold& hold, const StoredUpload& upload, const Digest& found) {
  MUSTER_RETURN_IF_ERROR(Delete(upload));
  hold.Forget();
  return StagedBytesLost(hold.name(), found);
}

absl::StatusOr<StagedUpload> S3Staging::CompleteOfParts(Hold& hold) {
  // What this process wrote may have been taken away since by another.
  MUSTER_ASSIGN_OR_RETURN(const StoredUploads stored, ListOne(hold.name()));
  const StoredUpload* upload = PickStaged(stored, hold.name(), hold->total);
  if (upload == nullptr || upload->total != hold->total) {
    hold.Forget();
    return absl::NotFoundError(StrCat(hold.name().text(), " was removed; upload it again"));
  }
  hold->TakeOver(*upload);
  const StagedUpload now{hold->position(), hold->complete};
  hold->current = false;
  if (hold->complete || hold->durable < *hold->total) return now;
  Digest found;
  if (hold->hasher.has_value()) {
    found = hold->hasher->Finish();
    hold->hasher.reset();
  } else {
    const auto hashed = HashStaged(client_, *upload, keys_, hold.name().text());
    // What does not open hashes to nothing.
    if (!hashed.ok() && !absl::IsDataLoss(hashed.status())) return hashed.status();
    if (hashed.ok()) found = *hashed;
  }
  if (found != hold.name().digest) return Lose(hold, *upload, found);
  MUSTER_RETURN_IF_ERROR(client_->Put(Key(hold.name(), *hold->total, kStagedDone), "").status());
  hold->complete = true;
  return StagedUpload{*hold->total, true};
}

absl::StatusOr<StagedUpload> S3Staging::FlushHeld(Hold& hold) {
  if (!hold->current) {
    MUSTER_ASSIGN_OR_RETURN(const StoredUploads stored, ListOne(hold.name()));
    const StoredUpload* upload = PickStaged(stored, hold.name(), hold->total);
    if (upload != nullptr) {
      hold.SetTotal(upload->total);
      hold->TakeOver(*upload);
    } else if (!hold->total.has_value() || hold->durable > 0) {
      hold.Forget();
      return absl::NotFoundError(StrCat("there is no ", hold.name().text(), "; upload it first"));
    }
  }
  if (hold->complete) return StagedUpload{*hold->total, true};
  if (hold->durable == 0 && hold->waiting.size() == *hold->total) return CompleteInOne(hold);
  if (hold->waiting.size() > 0) MUSTER_RETURN_IF_ERROR(WritePart(hold));
  if (hold->durable == *hold->total) return CompleteOfParts(hold);
  hold->current = false;  // the next call may be another process's
  return StagedUpload{hold->durable, false};
}

absl::StatusOr<StagedUpload> S3Staging::Flush(const std::string& owner, const Digest& digest) {
  MUSTER_ASSIGN_OR_RETURN(Hold hold, Acquire(owner, digest));
  return FlushHeld(hold);
}

absl::StatusOr<StagedUpload> S3Staging::Stat(const std::string& owner, const Digest& digest) {
  absl::StatusOr<StagedUpload> flushed = Flush(owner, digest);
  // None, or one that turned out to be corrupted and is gone: it starts at 0.
  if (absl::IsNotFound(flushed.status()) || absl::IsDataLoss(flushed.status())) {
    return StagedUpload{};
  }
  return flushed;
}

}  // namespace muster
