#include "coordinator/upkeep/checks/blobs.h"

#include <sys/stat.h>

#include <map>
#include <system_error>

#include "coordinator/upkeep/garbage.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster::checks {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNamed = 3;  // that a result names one by one

struct Listing {
  std::set<Digest> missing;
  uint64_t orphans = 0, orphan_bytes = 0;
};

absl::StatusOr<Listing> List(const BlobStore& blobs, const std::set<Digest>& used, Timestamp now) {
  Listing listing{.missing = used};
  MUSTER_RETURN_IF_ERROR(blobs.List([&](const BlobInfo& blob) {
    if (listing.missing.erase(blob.digest) > 0 || used.contains(blob.digest) ||
        blob.modified >= now - GarbagePolicy{}.grace) {
      return absl::OkStatus();
    }
    ++listing.orphans;
    listing.orphan_bytes += blob.size;
    return absl::OkStatus();
  }));
  return listing;
}

absl::Status CheckContent(const BlobStore& blobs, const Digest& digest) {
  MUSTER_ASSIGN_OR_RETURN(const auto reader, blobs.Open(digest));
  std::vector<char> buffer(limits::kChunkBytes);
  Sha256Hasher hasher;
  for (uint64_t offset = 0; offset < reader->size();) {
    MUSTER_ASSIGN_OR_RETURN(const size_t got, reader->ReadAt(offset, buffer));
    if (got == 0) break;
    hasher.Update({buffer.data(), got});
    offset += got;
  }
  if (hasher.Finish() == digest) return absl::OkStatus();
  return absl::DataLossError(StrCat("blob ", digest.hex(), " is damaged"));
}

using BadBlobs = std::map<Digest, std::string>;  // and what is wrong with each

// An error where the blobs cannot be had at the moment, which says nothing about any of them.
absl::StatusOr<BadBlobs> FindBad(const BlobsToCheck& context, const std::set<Digest>& used,
                                 const std::set<Digest>& missing) {
  BadBlobs bad;
  for (const Digest& digest : missing) bad[digest] = StrCat("there is no blob ", digest.hex());
  if (context.deep) {
    for (const Digest& digest : used) {
      if (missing.contains(digest)) continue;
      const absl::Status status = CheckContent(context.blobs, digest);
      if (absl::IsUnavailable(status)) return status;
      if (!status.ok()) bad[digest] = std::string(StdView(status.message()));
    }
  }
  if (bad.empty()) return bad;
  std::set<Digest> still_used;
  MUSTER_RETURN_IF_ERROR(context.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(still_used, context.finder.Find(reader));
    return absl::OkStatus();
  }));
  std::erase_if(bad, [&](const auto& entry) { return !still_used.contains(entry.first); });
  return bad;
}

}  // namespace

void CheckBlobs(const BlobsToCheck& context, const std::set<Digest>& used, Timestamp now,
                Results& results) {
  const auto listing = List(context.blobs, used, now);
  if (!listing.ok()) {
    AddError(results, "blobs", listing.status());
    return AddUnchecked(results, {"orphans"}, Finding::kProblem, "the blobs cannot be listed");
  }
  const auto bad = FindBad(context, used, listing->missing);
  if (!bad.ok()) {
    AddError(results, "blobs", bad.status());
  } else if (bad->empty()) {
    Add(results, "blobs", Finding::kFine,
        StrCat(used.size(), " that are referred to are there",
               context.deep ? ", whole" : "; --deep reads them too"));
  } else {
    std::vector<std::string> named;
    for (const auto& [digest, what] : *bad) {
      if (named.size() < kNamed) named.push_back(what);
    }
    Add(results, "blobs", Finding::kProblem,
        StrCat(bad->size(), " of ", used.size(), " are missing or damaged: ", StrJoin(named, "; ")),
        context.in_s3 ? "bring the objects back with the S3 store's own means: an older version, "
                        "or a copy of the bucket"
                      : "copy them from a backup into the folder of blobs");
  }
  Add(results, "orphans", listing->orphans == 0 ? Finding::kFine : Finding::kWarning,
      StrCat(listing->orphans, " blobs that nothing refers to, ", listing->orphan_bytes, " bytes"),
      listing->orphans == 0 ? "" : "muster-coordinator gc --dry-run");
}

void CheckUploads(const DoctorOptions& options, StagingArea* staging, Timestamp now,
                  Results& results) {
  const Timestamp before = now - GarbagePolicy{}.keep_uploads;
  uint64_t count = 0;
  if (staging != nullptr) {
    const auto abandoned = staging->CountAbandoned(before);
    if (!abandoned.ok()) return AddError(results, "staging", abandoned.status());
    count = abandoned->count;
  } else {
    std::error_code error;
    for (fs::recursive_directory_iterator it(options.blobs.staging_folder, error), end;
         !error && it != end; it.increment(error)) {
      struct stat info {};
      if (::stat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
      count += Timestamp{int64_t{info.st_mtim.tv_sec} * 1'000'000} < before ? 1 : 0;
    }
  }
  Add(results, "staging", count == 0 ? Finding::kFine : Finding::kWarning,
      StrCat(count, " uploads that nobody took for days"),
      count == 0 ? "" : "muster-coordinator gc --dry-run");
}

}  // namespace muster::checks
