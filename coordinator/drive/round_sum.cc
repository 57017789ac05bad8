#include "coordinator/drive/round_sum.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "aggregation/secagg/ring.h"
#include "coordinator/drive/secagg_session.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

// Calls `consume(byte offset, bytes)` over the whole of `reader`.
template <typename Consume>
absl::Status ForEachChunk(const BlobReader& reader, const Consume& consume) {
  std::vector<char> chunk(std::min<uint64_t>(limits::kChunkBytes, reader.size()));
  for (uint64_t at = 0; at < reader.size();) {
    const uint64_t count = std::min<uint64_t>(chunk.size(), reader.size() - at);
    MUSTER_ASSIGN_OR_RETURN(const size_t bytes, reader.ReadAt(at, {chunk.data(), count}));
    if (bytes != count) return absl::DataLossError("the staged update ends early");
    MUSTER_RETURN_IF_ERROR(consume(at, std::span<const char>(chunk.data(), count)));
    at += count;
  }
  return absl::OkStatus();
}

std::span<const float> AsFloats(std::span<const char> bytes) {
  return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)};
}

template <typename Sum>
absl::StatusOr<Digest> WriteSum(BlobStore& blobs, const Sum& sum) {
  MUSTER_ASSIGN_OR_RETURN(auto writer, blobs.Create());
  MUSTER_RETURN_IF_ERROR(
      sum.WriteTo([&](std::string_view bytes) { return writer->Append(bytes); }));
  return writer->Commit();
}

// `parse` reads a sum from a ByteSource.
template <typename Parse>
auto ReadSum(const BlobStore& blobs, const Digest& digest, const Parse& parse)
    -> decltype(parse(std::declval<ByteSource>())) {
  MUSTER_ASSIGN_OR_RETURN(auto reader, blobs.Open(digest));
  uint64_t offset = 0;
  auto sum = parse([&](std::span<char> buffer) -> absl::StatusOr<size_t> {
    MUSTER_ASSIGN_OR_RETURN(const size_t got, reader->ReadAt(offset, buffer));
    offset += got;
    return got;
  });
  if (absl::IsInvalidArgument(sum.status())) {
    return absl::DataLossError(Annotate(sum.status(), "stored sum " + digest.hex()).message());
  }
  return sum;
}

class ClearSum final : public RoundSum {
 public:
  explicit ClearSum(WeightedSum sum) : sum_(std::move(sum)) {}

  absl::Status CanAdd(uint64_t weight) const override { return sum_.CanAdd(weight); }
  absl::Status Add(const BlobReader& staged, uint64_t weight) override {
    MUSTER_RETURN_IF_ERROR(ForEachChunk(staged, [&](uint64_t at, std::span<const char> bytes) {
      sum_.AddChunk(at / sizeof(float), AsFloats(bytes), weight);
      return absl::OkStatus();
    }));
    sum_.FinishClient(weight);
    return absl::OkStatus();
  }
  absl::StatusOr<Digest> WriteTo(BlobStore& blobs) const override { return WriteSum(blobs, sum_); }

 private:
  WeightedSum sum_;
};

class MaskedSum final : public RoundSum {
 public:
  explicit MaskedSum(secagg::RingSum sum) : sum_(std::move(sum)) {}

  absl::Status CanAdd(uint64_t) const override { return absl::OkStatus(); }
  absl::Status Add(const BlobReader& staged, uint64_t) override {
    MUSTER_RETURN_IF_ERROR(ForEachChunk(staged, [&](uint64_t at, std::span<const char> bytes) {
      sum_.AddChunk(at, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
      return absl::OkStatus();
    }));
    sum_.FinishClient();
    return absl::OkStatus();
  }
  absl::StatusOr<Digest> WriteTo(BlobStore& blobs) const override { return WriteSum(blobs, sum_); }

 private:
  secagg::RingSum sum_;
};

}  // namespace

absl::Status CheckUpload(const BlobReader& staged, const SumShape& shape) {
  if (staged.size() != shape.UploadBytes()) {
    return absl::InvalidArgumentError(
        StrCat("wrong shape: the update has ", staged.size(), " bytes, ",
               shape.masked ? "the session's vector has " : "the model's shared parameters are ",
               shape.UploadBytes(), " bytes"));
  }
  if (shape.masked) return absl::OkStatus();
  return ForEachChunk(staged, [](uint64_t at, std::span<const char> bytes) {
    return WeightedSum::CheckFinite(AsFloats(bytes), at / sizeof(float));
  });
}

absl::StatusOr<SumShape> ShapeOf(const StoreReader& reader, const RoundRecord& round) {
  if (round.policy.aggregation == AggregationMode::kClear) {
    MUSTER_ASSIGN_OR_RETURN(const JobRecord job, reader.FindJob(round.id.job));
    return SumShape{.elements = job.spec.layout.shared_size()};
  }
  MUSTER_ASSIGN_OR_RETURN(const secagg::Params params, ReadParams(reader, round.id));
  return SumShape{
      .masked = true, .elements = secagg::VectorLength(params), .ring_bits = params.ring_bits};
}

absl::StatusOr<WeightedSum> ReadClearSum(const BlobStore& blobs, const Digest& digest,
                                         uint64_t parameters) {
  return ReadSum(blobs, digest, [&](const ByteSource& source) {
    return WeightedSum::ReadFrom(source, parameters);
  });
}

absl::StatusOr<secagg::RingSum> ReadMaskedSum(const BlobStore& blobs, const Digest& digest,
                                              uint32_t ring_bits, uint64_t elements) {
  return ReadSum(blobs, digest, [&](const ByteSource& source) {
    return secagg::RingSum::ReadFrom(source, ring_bits, elements);
  });
}

absl::StatusOr<std::unique_ptr<RoundSum>> OpenRoundSum(const BlobStore& blobs, SumShape shape,
                                                       const Digest& durable) {
  if (shape.masked) {
    secagg::RingSum sum(shape.ring_bits, shape.elements);
    if (!durable.empty()) {
      MUSTER_ASSIGN_OR_RETURN(sum, ReadMaskedSum(blobs, durable, shape.ring_bits, shape.elements));
    }
    return std::make_unique<MaskedSum>(std::move(sum));
  }
  WeightedSum sum(shape.elements);
  if (!durable.empty()) {
    MUSTER_ASSIGN_OR_RETURN(sum, ReadClearSum(blobs, durable, shape.elements));
  }
  return std::make_unique<ClearSum>(std::move(sum));
}

}  // namespace muster
