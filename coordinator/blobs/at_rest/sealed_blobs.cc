#include "coordinator/blobs/at_rest/sealed_blobs.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

class SealedReader final : public BlobReader {
 public:
  SealedReader(std::unique_ptr<BlobReader> sealed, SegmentBox box, SealedShape shape)
      : sealed_(std::move(sealed)), box_(std::move(box)), shape_(shape) {}

  uint64_t size() const override { return shape_.plain_bytes; }

  absl::StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> out) const override {
    size_t done = 0;
    std::string sealed, plain;
    while (done < out.size() && offset + done < shape_.plain_bytes) {
      const uint64_t at = offset + done;
      const uint64_t index = at / kSegmentBytes;
      MUSTER_RETURN_IF_ERROR(ReadSegment(index, sealed, plain));
      const size_t skip = static_cast<size_t>(at % kSegmentBytes);
      const size_t count = std::min(out.size() - done, plain.size() - skip);
      std::memcpy(out.data() + done, plain.data() + skip, count);
      done += count;
    }
    return done;
  }

  absl::Status CheckEnd() const {
    std::string sealed, plain;
    return ReadSegment(shape_.segments - 1, sealed, plain);
  }

 private:
  absl::Status ReadSegment(uint64_t index, std::string& sealed, std::string& plain) const {
    const bool last = index + 1 == shape_.segments;
    const uint64_t length = last ? shape_.plain_bytes - index * kSegmentBytes : kSegmentBytes;
    sealed.resize(static_cast<size_t>(length) + kSegmentOverhead);
    plain.resize(static_cast<size_t>(length));
    MUSTER_ASSIGN_OR_RETURN(
        const size_t got,
        sealed_->ReadAt(kSealedHeaderBytes + index * kSealedSegmentBytes, sealed));
    if (got != sealed.size()) return absl::DataLossError("sealed bytes end early");
    return box_.Open(index, last, sealed, plain);
  }

  std::unique_ptr<BlobReader> sealed_;
  SegmentBox box_;
  SealedShape shape_;
};

class SealedWriter final : public BlobWriter {
 public:
  SealedWriter(std::unique_ptr<BlobWriter> inner, SegmentBox box)
      : inner_(std::move(inner)), box_(std::move(box)), sealed_(box_.header().ToBytes()) {}

  absl::Status Append(std::string_view bytes) override {
    while (!bytes.empty()) {
      // A full segment waits until it is known whether it is the last one.
      if (plain_.size() == kSegmentBytes) MUSTER_RETURN_IF_ERROR(SealNext(false));
      const size_t take = std::min(bytes.size(), kSegmentBytes - plain_.size());
      plain_.append(bytes.substr(0, take));
      bytes.remove_prefix(take);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Digest> Commit() override {
    MUSTER_RETURN_IF_ERROR(SealNext(true));
    return inner_->Commit();
  }

 private:
  absl::Status SealNext(bool last) {
    box_.Seal(next_++, last, plain_, random_, sealed_);
    plain_.clear();
    absl::Status status = inner_->Append(sealed_);
    sealed_.clear();
    return status;
  }

  std::unique_ptr<BlobWriter> inner_;
  SegmentBox box_;
  SystemRandom random_;
  uint64_t next_ = 0;
  std::string plain_;
  std::string sealed_;  // the header, before the first segment
};

class SealedBlobs final : public BlobStore {
 public:
  SealedBlobs(BlobStore& inner, std::shared_ptr<const AtRestKeys> keys)
      : inner_(inner), keys_(std::move(keys)) {}

  absl::StatusOr<std::unique_ptr<BlobWriter>> Create() override {
    SystemRandom random;
    MUSTER_ASSIGN_OR_RETURN(SegmentBox box, SegmentBox::New(*keys_, random));
    MUSTER_ASSIGN_OR_RETURN(auto writer, inner_.Create());
    return std::make_unique<SealedWriter>(std::move(writer), std::move(box));
  }
  absl::StatusOr<std::unique_ptr<BlobReader>> Open(const Digest& digest) const override {
    MUSTER_ASSIGN_OR_RETURN(auto sealed, inner_.Open(digest));
    auto opened = OpenSealed(std::move(sealed), *keys_);
    if (opened.ok()) return opened;
    return Annotate(opened.status(), StrCat("blob ", digest.hex()));
  }
  absl::StatusOr<bool> Has(const Digest& digest) const override { return inner_.Has(digest); }
  absl::Status Delete(const Digest& digest) override { return inner_.Delete(digest); }
  absl::StatusOr<bool> Touch(const Digest& digest) override { return inner_.Touch(digest); }
  absl::Status List(const std::function<absl::Status(const BlobInfo&)>& visit) const override {
    return inner_.List(visit);
  }
  absl::StatusOr<bool> DeleteIfOlder(const Digest& digest, Timestamp before) override {
    return inner_.DeleteIfOlder(digest, before);
  }

 private:
  BlobStore& inner_;
  const std::shared_ptr<const AtRestKeys> keys_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BlobReader>> OpenSealed(std::unique_ptr<BlobReader> sealed,
                                                       const AtRestKeys& keys) {
  char bytes[kSealedHeaderBytes];
  MUSTER_ASSIGN_OR_RETURN(const size_t got, sealed->ReadAt(0, bytes));
  const auto header = SealedHeader::Parse({bytes, got});
  if (!header.ok()) return absl::DataLossError(header.status().message());
  MUSTER_ASSIGN_OR_RETURN(SegmentBox box, SegmentBox::For(keys, *header));
  const SealedShape shape = SealedShape::Of(sealed->size());
  if (shape.segments == 0 || shape.sealed_bytes() != sealed->size()) {
    return absl::DataLossError("sealed bytes end in the middle of a segment");
  }
  auto reader = std::make_unique<SealedReader>(std::move(sealed), std::move(box), shape);
  MUSTER_RETURN_IF_ERROR(reader->CheckEnd());
  return reader;
}

absl::StatusOr<std::string> SealBytes(std::string_view plain, const AtRestKeys& keys,
                                      RandomSource& random) {
  MUSTER_ASSIGN_OR_RETURN(const SegmentBox box, SegmentBox::New(keys, random));
  const SealedShape shape = SealedShape::OfPlain(plain.size());
  std::string sealed = box.header().ToBytes();
  sealed.reserve(static_cast<size_t>(shape.sealed_bytes()));
  for (uint64_t index = 0; index < shape.segments; ++index) {
    box.Seal(index, index + 1 == shape.segments, plain.substr(0, kSegmentBytes), random, sealed);
    plain.remove_prefix(std::min(plain.size(), kSegmentBytes));
  }
  return sealed;
}

std::unique_ptr<BlobStore> MakeSealedBlobs(BlobStore& inner,
                                           std::shared_ptr<const AtRestKeys> keys) {
  return std::make_unique<SealedBlobs>(inner, std::move(keys));
}

}  // namespace muster
