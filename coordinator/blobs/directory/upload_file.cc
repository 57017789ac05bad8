#include "coordinator/blobs/directory/upload_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "coordinator/blobs/at_rest/sealed_blobs.h"
#include "coordinator/blobs/at_rest/sealed_format.h"
#include "coordinator/blobs/directory/file_io.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<uint64_t> FileSize(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return FileStatus(errno, "inspecting", path);
  return static_cast<uint64_t>(info.st_size);
}

absl::Status Truncate(int fd, const fs::path& path, uint64_t size) {
  if (::ftruncate(fd, static_cast<off_t>(size)) == 0) return absl::OkStatus();
  return FileStatus(errno, "cutting back", path);
}

class PlainUploadFile final : public UploadFile {
 public:
  absl::StatusOr<uint64_t> Recover(const fs::path& path, uint64_t total) const override {
    MUSTER_ASSIGN_OR_RETURN(const uint64_t size, FileSize(path));
    if (size > total) return absl::NotFoundError("more bytes than the upload has");
    return size;
  }
  absl::StatusOr<uint64_t> WholeSize(const fs::path& path) const override { return FileSize(path); }
  absl::Status Append(int fd, const fs::path& path, uint64_t /*total*/, uint64_t offset,
                      std::string_view data, uint64_t& stands) const override {
    stands = offset;
    const absl::Status written = WriteAllAt(fd, offset, data, path);
    if (written.ok()) {
      stands = offset + data.size();
      return written;
    }
    MUSTER_RETURN_IF_ERROR(Truncate(fd, path, offset));
    return written;
  }
  absl::StatusOr<uint64_t> CutBack(int fd, const fs::path& path, uint64_t size) const override {
    MUSTER_RETURN_IF_ERROR(Truncate(fd, path, size));
    return size;
  }
  absl::StatusOr<std::unique_ptr<BlobReader>> Open(const fs::path& path) const override {
    return OpenFileReader(path);
  }
};

uint64_t PlaceOf(uint64_t segment) { return kSealedHeaderBytes + segment * kSealedSegmentBytes; }

// Only whole segments lie still. The one at the end is sealed anew, under a fresh nonce, when bytes
// are added to it: a crash meanwhile may cost the upload these last bytes, never others.
class SealedUploadFile final : public UploadFile {
 public:
  explicit SealedUploadFile(std::shared_ptr<const AtRestKeys> keys) : keys_(std::move(keys)) {}

  absl::StatusOr<uint64_t> Recover(const fs::path& path, uint64_t total) const override {
    MUSTER_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_RDWR));
    MUSTER_ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(path));
    if (bytes == 0) return 0;
    const auto box = BoxOf(fd.get(), path);
    if (absl::IsInvalidArgument(box.status())) return absl::NotFoundError("not sealed");
    MUSTER_RETURN_IF_ERROR(box.status());
    const SealedShape shape = SealedShape::Of(bytes);
    if (shape.plain_bytes > total) return absl::NotFoundError("more bytes than the upload has");
    const bool whole = shape.sealed_bytes() == bytes && shape.plain_bytes % kSegmentBytes == 0;
    if (whole && shape.plain_bytes < total) return shape.plain_bytes;
    std::string tail;
    const uint64_t begin = BeginOfTail(shape.plain_bytes);
    if (shape.segments > 0 &&
        ReadTail(*box, fd.get(), path, begin, shape.plain_bytes, total, tail).ok()) {
      if (shape.sealed_bytes() != bytes) {
        MUSTER_RETURN_IF_ERROR(Truncate(fd.get(), path, shape.sealed_bytes()));
      }
      return shape.plain_bytes;
    }
    return CutBack(fd.get(), path, begin);
  }

  absl::StatusOr<uint64_t> WholeSize(const fs::path& path) const override {
    MUSTER_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_RDONLY));
    const auto box = BoxOf(fd.get(), path);
    if (absl::IsInvalidArgument(box.status())) return absl::NotFoundError("not sealed");
    MUSTER_RETURN_IF_ERROR(box.status());
    MUSTER_ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(path));
    return SealedShape::Of(bytes).plain_bytes;
  }

  absl::Status Append(int fd, const fs::path& path, uint64_t total, uint64_t offset,
                      std::string_view data, uint64_t& stands) const override {
    stands = offset;
    const uint64_t begin = offset / kSegmentBytes * kSegmentBytes;
    if (offset > 0 && data.empty()) return absl::OkStatus();
    auto box = offset == 0 ? SegmentBox::New(*keys_, *random_) : BoxOf(fd, path);
    MUSTER_RETURN_IF_ERROR(box.status());
    std::string plain;
    if (offset > begin) {
      MUSTER_RETURN_IF_ERROR(ReadTail(*box, fd, path, begin, offset, total, plain));
    }
    const std::string tail = plain;
    plain += data;
    std::string sealed = offset == 0 ? box->header().ToBytes() : std::string();
    SealFrom(*box, begin, total, plain, sealed);
    const uint64_t place = offset == 0 ? 0 : PlaceOf(begin / kSegmentBytes);
    const absl::Status written = WriteAllAt(fd, place, sealed, path);
    if (written.ok()) {
      stands = offset + data.size();
      return written;
    }
    stands = begin;
    MUSTER_RETURN_IF_ERROR(Truncate(fd, path, begin == 0 && offset == 0 ? 0 : place));
    if (tail.empty()) return written;
    std::string again;
    SealFrom(*box, begin, total, tail, again);
    if (WriteAllAt(fd, place, again, path).ok()) {
      stands = offset;
    } else {
      MUSTER_RETURN_IF_ERROR(Truncate(fd, path, place));
    }
    return written;
  }

  absl::StatusOr<uint64_t> CutBack(int fd, const fs::path& path, uint64_t size) const override {
    const uint64_t segments = size / kSegmentBytes;
    MUSTER_RETURN_IF_ERROR(Truncate(fd, path, segments == 0 ? 0 : PlaceOf(segments)));
    return segments * kSegmentBytes;
  }

  absl::StatusOr<std::unique_ptr<BlobReader>> Open(const fs::path& path) const override {
    MUSTER_ASSIGN_OR_RETURN(auto sealed, OpenFileReader(path));
    auto opened = OpenSealed(std::move(sealed), *keys_);
    return opened.ok() ? std::move(opened) : Annotate(opened.status(), path.string());
  }

 private:
  // Where the segment begins that holds the last byte.
  static uint64_t BeginOfTail(uint64_t held) {
    return held == 0 ? 0 : (held - 1) / kSegmentBytes * kSegmentBytes;
  }

  absl::StatusOr<SegmentBox> BoxOf(int fd, const fs::path& path) const {
    char bytes[kSealedHeaderBytes];
    const ssize_t got = ::pread(fd, bytes, sizeof(bytes), 0);
    if (got < 0) return FileStatus(errno, "reading", path);
    MUSTER_ASSIGN_OR_RETURN(const SealedHeader header,
                            SealedHeader::Parse({bytes, static_cast<size_t>(got)}));
    auto box = SegmentBox::For(*keys_, header);
    if (box.ok()) return box;
    return Annotate(box.status(), path.string());
  }

  // The bytes from `begin` to `end`, which is where the file ends.
  static absl::Status ReadTail(const SegmentBox& box, int fd, const fs::path& path, uint64_t begin,
                               uint64_t end, uint64_t total, std::string& plain) {
    const uint64_t index = begin / kSegmentBytes;
    std::string sealed(static_cast<size_t>(end - begin) + kSegmentOverhead, '\0');
    const ssize_t got =
        ::pread(fd, sealed.data(), sealed.size(), static_cast<off_t>(PlaceOf(index)));
    if (got < 0) return FileStatus(errno, "reading", path);
    plain.resize(static_cast<size_t>(end - begin));
    return box.Open(index, end == total, {sealed.data(), static_cast<size_t>(got)}, plain);
  }

  // `plain` begins at `begin`, the beginning of a segment. Nothing is sealed of nothing, unless it
  // is the whole upload.
  void SealFrom(const SegmentBox& box, uint64_t begin, uint64_t total, std::string_view plain,
                std::string& sealed) const {
    uint64_t index = begin / kSegmentBytes;
    if (plain.empty() && total == 0) box.Seal(index, true, plain, *random_, sealed);
    while (!plain.empty()) {
      const std::string_view part = plain.substr(0, kSegmentBytes);
      const bool last = index * kSegmentBytes + part.size() == total;
      box.Seal(index++, last, part, *random_, sealed);
      plain.remove_prefix(part.size());
    }
  }

  const std::shared_ptr<const AtRestKeys> keys_;
  const std::unique_ptr<RandomSource> random_ = std::make_unique<SystemRandom>();
};

}  // namespace

std::unique_ptr<UploadFile> MakePlainUploadFile() { return std::make_unique<PlainUploadFile>(); }

std::unique_ptr<UploadFile> MakeSealedUploadFile(std::shared_ptr<const AtRestKeys> keys) {
  return std::make_unique<SealedUploadFile>(std::move(keys));
}

}  // namespace muster
