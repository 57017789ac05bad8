#include "coordinator/drive/sum_blob.h"

#include "proto/core/status.h"

namespace muster {

absl::StatusOr<Digest> WriteSum(BlobStore& blobs, const WeightedSum& sum) {
  MUSTER_ASSIGN_OR_RETURN(auto writer, blobs.Create());
  MUSTER_RETURN_IF_ERROR(
      sum.WriteTo([&](std::string_view bytes) { return writer->Append(bytes); }));
  return writer->Commit();
}

absl::StatusOr<std::unique_ptr<WeightedSum>> ReadSum(const BlobStore& blobs, const Digest& digest,
                                                     uint64_t size) {
  MUSTER_ASSIGN_OR_RETURN(auto reader, blobs.Open(digest));
  uint64_t offset = 0;
  auto sum = WeightedSum::ReadFrom(
      [&](std::span<char> buffer) -> absl::StatusOr<size_t> {
        MUSTER_ASSIGN_OR_RETURN(const size_t got, reader->ReadAt(offset, buffer));
        offset += got;
        return got;
      },
      size);
  if (absl::IsInvalidArgument(sum.status())) {
    return absl::DataLossError(Annotate(sum.status(), "stored sum " + digest.hex()).message());
  }
  MUSTER_RETURN_IF_ERROR(sum.status());
  return std::make_unique<WeightedSum>(*std::move(sum));
}

}  // namespace muster
