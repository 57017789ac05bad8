#include "coordinator/drive/round_sum.h"

#include <algorithm>
#include <array>
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

constexpr size_t kSaltBytes = 32;  // in front of every stored sum

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
absl::StatusOr<Digest> WriteSum(BlobStore& blobs, RandomSource& random, const Sum& sum) {
  std::array<uint8_t, kSaltBytes> salt;
  random.Fill(salt);
  MUSTER_ASSIGN_OR_RETURN(auto writer, blobs.Create());
  MUSTER_RETURN_IF_ERROR(writer->Append({reinterpret_cast<const char*>(salt.data()), salt.size()}));
  MUSTER_RETURN_IF_ERROR(
      sum.WriteTo([&](std::string_view bytes) { return writer->Append(bytes); }));
  return writer->Commit();
}

// What follows the salt in a stored sum.
ByteSource AfterSalt(std::shared_ptr<const BlobReader> reader) {
  return [reader = std::move(reader),
          offset = uint64_t{kSaltBytes}](std::span<char> buffer) mutable -> absl::StatusOr<size_t> {
    MUSTER_ASSIGN_OR_RETURN(const size_t got, reader->ReadAt(offset, buffer));
    offset += got;
    return got;
  };
}

// A stored sum that nobody can read is a loss, not somebody's wrong argument.
absl::Status AsLoss(const absl::Status& status, const std::string& what) {
  if (!absl::IsInvalidArgument(status)) return status;
  return absl::DataLossError(Annotate(status, what).message());
}

template <typename Sum>
absl::StatusOr<Sum> MergeParts(const BlobStore& blobs, std::span<const Digest> parts, Sum sum) {
  for (const Digest& part : parts) {
    MUSTER_ASSIGN_OR_RETURN(auto reader, blobs.Open(part));
    MUSTER_RETURN_IF_ERROR(
        AsLoss(sum.MergeStream(AfterSalt(std::move(reader))), "stored sum " + part.hex()));
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
  absl::StatusOr<Digest> WriteTo(BlobStore& blobs, RandomSource& random) const override {
    return WriteSum(blobs, random, sum_);
  }

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
  absl::StatusOr<Digest> WriteTo(BlobStore& blobs, RandomSource& random) const override {
    return WriteSum(blobs, random, sum_);
  }

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

absl::Status ReadClearMean(const BlobStore& blobs, std::span<const Digest> parts,
                           std::span<float> mean) {
  std::vector<ByteSource> sources;
  std::string names;
  for (const Digest& part : parts) {
    MUSTER_ASSIGN_OR_RETURN(auto reader, blobs.Open(part));
    sources.push_back(AfterSalt(std::move(reader)));
    names += " " + part.hex();
  }
  return AsLoss(MeanOfParts(sources, mean), "one of the stored sums" + names);
}

absl::StatusOr<secagg::RingSum> ReadMaskedSum(const BlobStore& blobs, std::span<const Digest> parts,
                                              uint32_t ring_bits, uint64_t elements) {
  return MergeParts(blobs, parts, secagg::RingSum(ring_bits, elements));
}

absl::StatusOr<std::unique_ptr<RoundSum>> OpenRoundSum(const BlobStore& blobs, SumShape shape,
                                                       const Digest& durable) {
  const std::span<const Digest> parts(&durable, durable.empty() ? 0 : 1);
  if (shape.masked) {
    MUSTER_ASSIGN_OR_RETURN(secagg::RingSum sum,
                            ReadMaskedSum(blobs, parts, shape.ring_bits, shape.elements));
    return std::make_unique<MaskedSum>(std::move(sum));
  }
  MUSTER_ASSIGN_OR_RETURN(WeightedSum sum, MergeParts(blobs, parts, WeightedSum(shape.elements)));
  return std::make_unique<ClearSum>(std::move(sum));
}

}  // namespace muster
