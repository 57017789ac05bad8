#include "client/agent/blob_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "client/agent/core.h"
#include "client/agent/text.h"
#include "proto/core/files.h"
#include "proto/core/log.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using text::Cat;

constexpr char kPartialSuffix[] = ".partial";

// EFBIG comes from a file-size limit, which is a full disk of another kind.
absl::Status DiskStatus(int error, std::string_view what, const std::filesystem::path& path) {
  return ErrnoStatus(error == EFBIG ? ENOSPC : error, what, path);
}

// The partial file of one download: appends to it and hashes all of it.
class Partial {
 public:
  static absl::StatusOr<Partial> Open(std::filesystem::path path) {
    UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0600));
    if (!fd.valid()) return DiskStatus(errno, "creating", path);
    Partial partial(std::move(fd), std::move(path));
    std::string buffer(64u << 10, '\0');
    for (;;) {
      const ssize_t got =
          pread(partial.fd_.get(), buffer.data(), buffer.size(), static_cast<off_t>(partial.size_));
      if (got < 0) return ErrnoStatus(errno, "reading", partial.path_);
      if (got == 0) return partial;
      partial.hasher_.Update({buffer.data(), static_cast<size_t>(got)});
      partial.size_ += static_cast<uint64_t>(got);
    }
  }

  absl::Status Append(std::string_view data) {
    const uint64_t before = size_;
    std::string_view rest = data;
    while (!rest.empty()) {
      const ssize_t put = write(fd_.get(), rest.data(), rest.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) {
        const int error = errno;
        // What was written and hashed must stay the same bytes.
        if (ftruncate(fd_.get(), static_cast<off_t>(before)) != 0) unlink(path_.c_str());
        return DiskStatus(error, "storing a download in", path_);
      }
      rest.remove_prefix(static_cast<size_t>(put));
    }
    hasher_.Update(data);
    size_ += data.size();
    return absl::OkStatus();
  }

  absl::StatusOr<Digest> Finish() {
    if (fsync(fd_.get()) != 0) return DiskStatus(errno, "fsync of", path_);
    return hasher_.Finish();
  }
  uint64_t size() const { return size_; }

 private:
  Partial(UniqueFd fd, std::filesystem::path path) : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  std::filesystem::path path_;
  Sha256Hasher hasher_;
  uint64_t size_ = 0;
};

}  // namespace

CachedBlob& CachedBlob::operator=(CachedBlob&& other) noexcept {
  if (this == &other) return *this;
  if (cache_ != nullptr) cache_->Release(digest_);
  cache_ = std::exchange(other.cache_, nullptr);
  digest_ = other.digest_;
  path_ = std::move(other.path_);
  size_ = other.size_;
  return *this;
}

CachedBlob::~CachedBlob() {
  if (cache_ != nullptr) cache_->Release(digest_);
}

absl::StatusOr<std::unique_ptr<BlobCache>> BlobCache::Open(const std::filesystem::path& dir,
                                                           uint64_t max_bytes) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) return ErrnoStatus(error.value(), "creating the blob cache", dir);
  std::unique_ptr<BlobCache> cache(new BlobCache(dir, max_bytes));
  MUSTER_RETURN_IF_ERROR(cache->Scan());
  return cache;
}

absl::Status BlobCache::Scan() {
  struct Found {
    std::filesystem::file_time_type used;
    Digest digest;
    uint64_t size;
    bool partial;
  };
  std::vector<Found> found;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(dir_, error)) {
    std::string name = file.path().filename();
    const bool partial = name.ends_with(kPartialSuffix);
    if (partial) name.resize(name.size() - (sizeof(kPartialSuffix) - 1));
    auto digest = Digest::FromHex(name);
    std::error_code failed;
    const uint64_t size = file.file_size(failed);
    if (!digest.ok() || failed) continue;
    found.push_back({file.last_write_time(failed), *digest, size, partial});
  }
  if (error) return ErrnoStatus(error.value(), "listing the blob cache", dir_);
  std::sort(found.begin(), found.end(),
            [](const Found& a, const Found& b) { return a.used < b.used; });
  std::lock_guard lock(mutex_);
  for (const Found& file : found) {
    Entry& entry = entries_[file.digest];
    entry = {.size = entry.size + file.size, .used = ++clock_, .partial = file.partial};
    bytes_ += file.size;
  }
  return MakeRoom(Digest(), 0);
}

std::filesystem::path BlobCache::PathOf(const Digest& digest, bool partial) const {
  return dir_ / (digest.hex() + (partial ? kPartialSuffix : ""));
}

bool BlobCache::Holds(const Digest& digest) const {
  std::lock_guard lock(mutex_);
  auto entry = entries_.find(digest);
  return entry != entries_.end() && !entry->second.partial;
}

uint64_t BlobCache::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

void BlobCache::Pin(std::set<Digest> pinned) {
  std::lock_guard lock(mutex_);
  pinned_ = std::move(pinned);
}

absl::StatusOr<CachedBlob> BlobCache::Lease(const Digest& digest) {
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[digest];
  entry.used = ++clock_;
  ++entry.leases;
  const std::filesystem::path path = PathOf(digest);
  // The order of use outlives the process in the files' times.
  utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
  return CachedBlob(this, digest, path, entry.size);
}

void BlobCache::Release(const Digest& digest) {
  std::lock_guard lock(mutex_);
  auto entry = entries_.find(digest);
  if (entry != entries_.end() && entry->second.leases > 0) --entry->second.leases;
}

bool BlobCache::IsGood(const Digest& digest, uint64_t expected_size) {
  if (!Holds(digest)) return false;
  auto actual = Sha256File(PathOf(digest));
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(PathOf(digest), error);
  if (actual.ok() && *actual == digest && (expected_size == 0 || size == expected_size)) {
    return true;
  }
  LogWarning("a cached blob is corrupted: fetching it again", {{"digest", digest.hex()}});
  Drop(digest);
  return false;
}

void BlobCache::Drop(const Digest& digest) {
  std::lock_guard lock(mutex_);
  std::error_code ignored;
  std::filesystem::remove(PathOf(digest), ignored);
  std::filesystem::remove(PathOf(digest, true), ignored);
  auto entry = entries_.find(digest);
  if (entry == entries_.end()) return;
  bytes_ -= entry->second.size;
  entries_.erase(entry);
}

// With mutex_ held. Room for `digest` to have `total` bytes.
absl::Status BlobCache::MakeRoom(const Digest& digest, uint64_t total) {
  auto own = entries_.find(digest);
  const uint64_t held = own == entries_.end() ? 0 : own->second.size;
  const uint64_t more = total > held ? total - held : 0;
  while (bytes_ + more > max_bytes_) {
    auto oldest = entries_.end();
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->first == digest || entry->second.leases > 0) continue;
      if (pinned_.contains(entry->first) && !entry->second.partial) continue;
      if (oldest == entries_.end() || entry->second.used < oldest->second.used) oldest = entry;
    }
    if (oldest == entries_.end()) {
      if (total == 0) return absl::OkStatus();
      return absl::ResourceExhaustedError(
          Cat("a blob of ", total, " bytes does not fit: cache_bytes is ", max_bytes_, " and ",
              bytes_ - held, " of them are in use or pinned; raise cache_bytes in client.yaml"));
    }
    std::error_code ignored;
    std::filesystem::remove(PathOf(oldest->first, oldest->second.partial), ignored);
    bytes_ -= oldest->second.size;
    entries_.erase(oldest);
  }
  return absl::OkStatus();
}

absl::StatusOr<CachedBlob> BlobCache::Get(const Digest& digest, uint64_t expected_size,
                                          BlobSource& source, const Bounds& bounds) {
  std::lock_guard one_at_a_time(fetching_);
  if (IsGood(digest, expected_size)) return Lease(digest);
  for (int tries = 0; tries < 2; ++tries) {
    absl::Status status = Fetch(digest, expected_size, source, bounds);
    if (status.ok()) return Lease(digest);
    if (!absl::IsDataLoss(status)) {
      return Annotate(status, Cat("fetching blob ", digest.hex()));
    }
    LogWarning("a blob came corrupted",
               {{"digest", digest.hex()}, {"error", text::View(status.message())}});
    Drop(digest);
    source.CameCorrupted(digest);
  }
  return absl::DataLossError(
      Cat("blob ", digest.hex(),
          " came corrupted twice: check the coordinator's blob store and its disk"));
}

absl::Status BlobCache::Fetch(const Digest& digest, uint64_t expected_size, BlobSource& source,
                              const Bounds& bounds) {
  MUSTER_ASSIGN_OR_RETURN(Partial partial, Partial::Open(PathOf(digest, true)));
  {
    std::lock_guard lock(mutex_);
    Entry& entry = entries_[digest];
    bytes_ = bytes_ - entry.size + partial.size();
    entry = {.size = partial.size(), .used = ++clock_, .leases = 0, .partial = true};
  }
  uint64_t total = expected_size;
  auto sink = [&](uint64_t told, std::string_view data) -> absl::Status {
    if (total != 0 && told != total) {
      return absl::DataLossError(Cat("it has ", told, " bytes where ", total, " were promised"));
    }
    total = told;
    if (partial.size() + data.size() > total) {
      return absl::DataLossError(Cat("more than its ", total, " bytes came"));
    }
    std::lock_guard lock(mutex_);
    MUSTER_RETURN_IF_ERROR(MakeRoom(digest, total));
    MUSTER_RETURN_IF_ERROR(partial.Append(data));
    entries_[digest].size += data.size();
    bytes_ += data.size();
    return absl::OkStatus();
  };
  // What a crash left just before the end needs no network.
  bool complete = total != 0 && partial.size() == total;
  for (uint32_t idle = 0; !complete;) {
    const uint64_t before = partial.size();
    bool disk_failed = false;
    absl::Status status = source.Read(
        digest, before,
        [&](uint64_t told, std::string_view data) {
          absl::Status stored = sink(told, data);
          disk_failed = !stored.ok();
          return stored;
        },
        bounds);
    complete = status.ok() && total != 0 && partial.size() == total;
    if (complete) break;
    if (absl::IsOutOfRange(status)) {
      return absl::DataLossError("the partial download is longer than the blob");
    }
    if (status.ok()) status = absl::UnavailableError("the stream ended early");
    if (disk_failed || !IsTransient(status.code())) return status;
    idle = partial.size() > before ? 1 : idle + 1;
    if (idle >= kMaxIdleTransfers) return status;
    MUSTER_RETURN_IF_ERROR(bounds.PauseAfter(status, std::chrono::milliseconds(100 << idle)));
  }
  MUSTER_ASSIGN_OR_RETURN(const Digest actual, partial.Finish());
  if (actual != digest) {
    return absl::DataLossError(Cat("the bytes that came have digest ", actual.hex()));
  }
  return Install(digest);
}

absl::Status BlobCache::Install(const Digest& digest) {
  if (rename(PathOf(digest, true).c_str(), PathOf(digest).c_str()) != 0) {
    return DiskStatus(errno, "renaming", PathOf(digest, true));
  }
  MUSTER_RETURN_IF_ERROR(FsyncDirectory(dir_));
  std::lock_guard lock(mutex_);
  entries_[digest].partial = false;
  return absl::OkStatus();
}

}  // namespace muster
