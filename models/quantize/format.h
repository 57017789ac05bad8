// The quantized model file, "model.mq8": one flat little-endian file that is mapped and used in
// place.
//
//   offset 0           FileHeader (192 bytes)
//   ops_offset         OpRecord[op_count] (120 bytes each), in order of execution
//   then, each aligned to kAlignment: per convolution
//     weights  int8 [out, kernel_h, kernel_w, in/groups], each in [-127, 127]
//     scales   float32 [out], one per output channel
//     bias     int32 [out], at scale input_scale * scales[c]
//
// Tensors are int8, asymmetric, one scale per tensor: real = scale * (q - zero_point). Their memory
// order is [height, width, channels]; a vector is 1 x 1 x channels, a sequence 1 x length x
// channels. A linear layer is a 1 x 1 convolution. A flatten is no operation: the linear layer that
// follows it has its columns stored in [height, width, channels] order. ReLU is an operation's
// `output_min`.
//
// The checksum finds damage, not malice: who made the file is the package signature's matter.
// Parsing is strict all the same: every extent, offset and scale is checked before use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace muster::mq8 {

inline constexpr char kMagic[8] = {'M', 'U', 'S', 'T', 'E', 'R', 'Q', '8'};
inline constexpr uint32_t kVersion = 1;
inline constexpr uint64_t kAlignment = 64;
inline constexpr uint64_t kMaxFileBytes = 1ull << 30;
inline constexpr uint32_t kMaxOps = 1024;
inline constexpr uint32_t kMaxInputRank = 3;
inline constexpr uint32_t kMaxDimension = 1u << 20;
inline constexpr uint64_t kMaxTensorElements = 1ull << 24;  // of one example
inline constexpr size_t kMaxNameBytes = 63;
// Products summed into one int32 accumulator: 2^16 * 2^14 is 2^30, and so is the largest bias, so
// that no sum overflows.
inline constexpr uint64_t kMaxReduction = 1ull << 16;
inline constexpr int32_t kMaxBias = (1 << 30) - 1;
// XNNPACK takes input_scale * weight_scale / output_scale below this only.
inline constexpr float kMaxRequantization = 256.0f;

enum class OpKind : uint32_t {
  kConvolution = 1,
  kMaxPool = 2,      // keeps scale and zero point
  kAveragePool = 3,  // a global average has a kernel as large as its input
  kClamp = 4,        // a ReLU that no operation before it could take
};

struct Extent {
  uint32_t height = 1, width = 1, channels = 1;
  uint64_t size() const { return uint64_t{height} * width * channels; }
  friend bool operator==(const Extent&, const Extent&) = default;
};

struct FileHeader {
  char magic[8];
  uint32_t version;
  uint32_t header_bytes;  // sizeof(FileHeader)
  uint64_t file_bytes;
  uint64_t checksum;  // Checksum() of the whole file with this field zero
  uint64_t ops_offset;
  uint32_t op_count;
  uint32_t outputs;  // elements of one result
  uint32_t input_rank;
  uint32_t input_shape[kMaxInputRank];  // channels first, as the user sees it; unused: 0
  float input_scale;
  int32_t input_zero_point;
  char name[kMaxNameBytes + 1];  // NUL-padded
  uint8_t reserved[56];          // zero
};
static_assert(sizeof(FileHeader) == 192);

struct OpRecord {
  OpKind kind;
  Extent input, output;
  uint32_t kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, groups;
  float input_scale, output_scale;
  int32_t input_zero_point, output_zero_point;
  int32_t output_min, output_max;
  uint32_t reserved[4];                               // zero
  uint64_t weight_offset, scale_offset, bias_offset;  // convolutions only; otherwise 0
};
static_assert(sizeof(OpRecord) == 120);

// A checked view into the bytes of a file, which must outlive it.
struct ModelView {
  FileHeader header;
  std::vector<OpRecord> ops;
  std::span<const uint8_t> bytes;

  std::string_view name() const;
  std::span<const uint32_t> input_shape() const { return {header.input_shape, header.input_rank}; }
  Extent input_extent() const;
  Extent output_extent() const;

  uint64_t weight_count(const OpRecord& op) const;
  std::span<const int8_t> weights(const OpRecord& op) const;
  std::span<const float> scales(const OpRecord& op) const;
  std::span<const int32_t> bias(const OpRecord& op) const;
};

// InvalidArgument says which record and field is wrong. `bytes` must be aligned to kAlignment.
absl::StatusOr<ModelView> ParseModel(std::span<const uint8_t> bytes);

// 64 bits over all of `file`, its checksum field taken as zero. `file` has at least a header.
uint64_t Checksum(std::span<const uint8_t> file);

// How [features], [channels, length] or [channels, height, width] lies in memory.
Extent ExtentOfShape(std::span<const uint32_t> shape);

// A file mapped read-only.
class MappedFile {
 public:
  static absl::StatusOr<MappedFile> Open(const std::filesystem::path& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const uint8_t> bytes() const { return bytes_; }
  // Tells the kernel that the pages will not be read again soon.
  void DropPages() const;

 private:
  std::span<const uint8_t> bytes_;
};

// What a server tells about a model, without its weights.
struct ModelInfo {
  std::string name;
  std::vector<uint32_t> input_shape;
  uint32_t outputs = 0;
  uint64_t file_bytes = 0;
};
absl::StatusOr<ModelInfo> ReadModelInfo(const std::filesystem::path& path);

}  // namespace muster::mq8
