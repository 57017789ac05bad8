#include "coordinator/drive/vector_blob.h"

#include <array>
#include <bit>
#include <cstring>
#include <span>

#include "proto/core/status.h"
#include "proto/core/strings.h"

static_assert(std::endian::native == std::endian::little, "vectors are stored little-endian");

namespace muster {
namespace {

constexpr size_t kSlice = 1u << 20;  // bytes for each call

absl::Status Append(BlobWriter& writer, std::span<const float> values) {
  std::string_view bytes(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  while (!bytes.empty()) {
    MUSTER_RETURN_IF_ERROR(writer.Append(bytes.substr(0, kSlice)));
    bytes.remove_prefix(std::min(kSlice, bytes.size()));
  }
  return absl::OkStatus();
}

absl::Status Fill(const BlobReader& reader, uint64_t offset, std::span<char> out) {
  while (!out.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const size_t got,
                            reader.ReadAt(offset, out.first(std::min(kSlice, out.size()))));
    if (got == 0) return absl::DataLossError("a stored vector ends early");
    offset += got;
    out = out.subspan(got);
  }
  return absl::OkStatus();
}

std::span<char> Bytes(std::vector<float>& values) {
  return {reinterpret_cast<char*>(values.data()), values.size() * sizeof(float)};
}

// What a stored optimizer state begins with.
struct StateHeader {
  uint64_t step = 0;
  uint64_t momentum = 0;       // elements
  uint64_t second_moment = 0;  // elements
};

}  // namespace

absl::StatusOr<Digest> WriteVector(BlobStore& blobs, const std::vector<float>& values) {
  MUSTER_ASSIGN_OR_RETURN(auto writer, blobs.Create());
  MUSTER_RETURN_IF_ERROR(Append(*writer, values));
  return writer->Commit();
}

absl::StatusOr<std::vector<float>> ReadVector(const BlobStore& blobs, const Digest& digest,
                                              uint64_t size) {
  MUSTER_ASSIGN_OR_RETURN(auto reader, blobs.Open(digest));
  if (reader->size() != size * sizeof(float)) {
    return absl::DataLossError(StrCat("blob ", digest.hex(), " has ", reader->size(),
                                      " bytes; a vector of ", size, " float32 was expected"));
  }
  std::vector<float> values(size);
  MUSTER_RETURN_IF_ERROR(Fill(*reader, 0, Bytes(values)));
  return values;
}

absl::StatusOr<Digest> WriteOptimizerState(BlobStore& blobs, const OptimizerState& state) {
  if (state.momentum.empty() && state.second_moment.empty()) return Digest();
  const StateHeader header{state.step, state.momentum.size(), state.second_moment.size()};
  MUSTER_ASSIGN_OR_RETURN(auto writer, blobs.Create());
  MUSTER_RETURN_IF_ERROR(writer->Append({reinterpret_cast<const char*>(&header), sizeof(header)}));
  MUSTER_RETURN_IF_ERROR(Append(*writer, state.momentum));
  MUSTER_RETURN_IF_ERROR(Append(*writer, state.second_moment));
  return writer->Commit();
}

absl::StatusOr<OptimizerState> ReadOptimizerState(const BlobStore& blobs, const Digest& digest,
                                                  uint64_t size) {
  MUSTER_ASSIGN_OR_RETURN(auto reader, blobs.Open(digest));
  StateHeader header;
  MUSTER_RETURN_IF_ERROR(Fill(*reader, 0, {reinterpret_cast<char*>(&header), sizeof(header)}));
  const auto fits = [size](uint64_t elements) { return elements == 0 || elements == size; };
  const uint64_t expected =
      sizeof(header) + (header.momentum + header.second_moment) * sizeof(float);
  if (!fits(header.momentum) || !fits(header.second_moment) || reader->size() != expected) {
    return absl::DataLossError(
        StrCat("blob ", digest.hex(), " is no optimizer state for ", size, " parameters"));
  }
  OptimizerState state{.step = header.step};
  state.momentum.resize(header.momentum);
  state.second_moment.resize(header.second_moment);
  MUSTER_RETURN_IF_ERROR(Fill(*reader, sizeof(header), Bytes(state.momentum)));
  MUSTER_RETURN_IF_ERROR(Fill(*reader, sizeof(header) + state.momentum.size() * sizeof(float),
                              Bytes(state.second_moment)));
  return state;
}

}  // namespace muster
