#include "coordinator/blobs/s3/staged_reader.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "coordinator/blobs/at_rest/sealed_blobs.h"
#include "coordinator/blobs/s3/s3_limits.h"
#include "coordinator/blobs/s3/s3_reader.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

absl::StatusOr<std::unique_ptr<BlobReader>> OpenObject(const std::shared_ptr<S3Client>& client,
                                                       const std::string& key,
                                                       const AtRestKeys* keys,
                                                       const std::string& what) {
  MUSTER_ASSIGN_OR_RETURN(auto reader, OpenS3Object(client, key, what));
  if (keys == nullptr) return reader;
  auto opened = OpenSealed(std::move(reader), *keys);
  if (opened.ok()) return opened;
  return Annotate(opened.status(), StrCat(what, " at ", key));
}

class PartsReader final : public BlobReader {
 public:
  PartsReader(std::shared_ptr<S3Client> client, const StoredUpload& upload,
              std::shared_ptr<const AtRestKeys> keys, std::string what)
      : client_(std::move(client)),
        keys_(std::move(keys)),
        parts_(upload.parts),
        pieces_(upload.Pieces()),
        size_(upload.covered()),
        what_(std::move(what)) {}

  uint64_t size() const override { return size_; }

  absl::StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> out) const override {
    std::lock_guard lock(mutex_);
    size_t done = 0;
    while (done < out.size() && offset + done < size_) {
      MUSTER_ASSIGN_OR_RETURN(const size_t got, ReadSome(offset + done, out.subspan(done)));
      done += got;
    }
    return done;
  }

 private:
  // At least one byte, within one part.
  absl::StatusOr<size_t> ReadSome(uint64_t offset, std::span<char> out) const {
    const auto after =
        std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                         [](uint64_t at, const auto& piece) { return at < piece.offset; });
    const auto& piece = *std::prev(after);
    const StoredPart& part = parts_[piece.part];
    if (open_ == nullptr || open_part_ != piece.part) {
      MUSTER_ASSIGN_OR_RETURN(open_, OpenObject(client_, part.key, keys_.get(), what_));
      open_part_ = piece.part;
    }
    const uint64_t left = piece.offset + piece.length - offset;
    MUSTER_ASSIGN_OR_RETURN(
        const size_t got,
        open_->ReadAt(offset - part.offset, out.first(std::min<uint64_t>(left, out.size()))));
    if (got > 0) return got;
    return absl::DataLossError(StrCat(what_, ": ", part.key, " is shorter than its name says"));
  }

  const std::shared_ptr<S3Client> client_;
  const std::shared_ptr<const AtRestKeys> keys_;
  const std::vector<StoredPart> parts_;
  const std::vector<StoredUpload::Piece> pieces_;
  const uint64_t size_;
  const std::string what_;
  mutable std::mutex mutex_;  // guards what follows
  mutable std::unique_ptr<BlobReader> open_;
  mutable size_t open_part_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BlobReader>> OpenStaged(std::shared_ptr<S3Client> client,
                                                       const StoredUpload& upload,
                                                       std::shared_ptr<const AtRestKeys> keys,
                                                       const std::string& what) {
  if (upload.done_has_bytes) return OpenObject(client, upload.done->key, keys.get(), what);
  return std::make_unique<PartsReader>(std::move(client), upload, std::move(keys), what);
}

absl::StatusOr<Digest> HashStaged(const std::shared_ptr<S3Client>& client,
                                  const StoredUpload& upload,
                                  const std::shared_ptr<const AtRestKeys>& keys,
                                  const std::string& what) {
  MUSTER_ASSIGN_OR_RETURN(const auto reader, OpenStaged(client, upload, keys, what));
  std::vector<char> buffer(std::min<uint64_t>(limits::kS3FirstReadBytes, reader->size()));
  Sha256Hasher hasher;
  for (uint64_t offset = 0; offset < reader->size();) {
    MUSTER_ASSIGN_OR_RETURN(const size_t got, reader->ReadAt(offset, buffer));
    if (got == 0) return absl::DataLossError(StrCat(what, " ends early"));
    hasher.Update({buffer.data(), got});
    offset += got;
  }
  return hasher.Finish();
}

}  // namespace muster
