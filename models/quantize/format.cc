#include "models/quantize/format.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::mq8 {
namespace {

static_assert(std::endian::native == std::endian::little, "model files are little-endian");

constexpr int32_t kInt8Min = -128, kInt8Max = 127;

absl::Status Bad(std::string_view what) {
  return absl::InvalidArgumentError(
      StrCat("quantized model file: ", what, "; quantize the model again"));
}

absl::Status BadOp(size_t index, std::string_view what) {
  return Bad(StrCat("operation ", index, ": ", what));
}

bool GoodScale(float scale) { return std::isnormal(scale) && scale > 0; }
bool IsInt8(int32_t value) { return value >= kInt8Min && value <= kInt8Max; }

bool GoodExtent(const Extent& e) {
  for (uint32_t d : {e.height, e.width, e.channels}) {
    if (d == 0 || d > kMaxDimension) return false;
  }
  return e.size() <= kMaxTensorElements;
}

// The output's length along one axis, or 0 if the kernel does not fit.
uint64_t SlidingLength(uint64_t input, uint64_t kernel, uint64_t stride, uint64_t padding) {
  if (kernel == 0 || stride == 0 || input + 2 * padding < kernel) return 0;
  return (input + 2 * padding - kernel) / stride + 1;
}

absl::Status CheckHeader(const FileHeader& h, std::span<const uint8_t> bytes) {
  if (std::memcmp(h.magic, kMagic, sizeof(kMagic)) != 0) return Bad("wrong magic number");
  if (h.version != kVersion) {
    return Bad(StrCat("version ", h.version, " is not ", kVersion));
  }
  if (h.header_bytes != sizeof(FileHeader)) return Bad("wrong header size");
  if (h.file_bytes != bytes.size()) {
    return Bad(StrCat("it has ", bytes.size(), " bytes, its header says ", h.file_bytes));
  }
  if (h.checksum != Checksum(bytes)) return Bad("checksum mismatch, the file is damaged");
  for (uint8_t byte : h.reserved) {
    if (byte != 0) return Bad("reserved header bytes are not zero");
  }
  if (h.name[kMaxNameBytes] != '\0') return Bad("name is not terminated");
  if (h.op_count == 0 || h.op_count > kMaxOps) {
    return Bad(StrCat(h.op_count, " operations, not 1 to ", kMaxOps));
  }
  if (h.ops_offset != sizeof(FileHeader)) return Bad("operations do not follow the header");
  if (bytes.size() < sizeof(FileHeader) + uint64_t{h.op_count} * sizeof(OpRecord)) {
    return Bad("operations reach beyond its end");
  }
  if (h.input_rank == 0 || h.input_rank > kMaxInputRank) return Bad("input rank is not 1 to 3");
  for (uint32_t i = 0; i < kMaxInputRank; ++i) {
    if ((h.input_shape[i] != 0) != (i < h.input_rank)) return Bad("input shape and rank disagree");
  }
  if (!GoodExtent(ExtentOfShape({h.input_shape, h.input_rank}))) return Bad("input too large");
  if (!GoodScale(h.input_scale) || !IsInt8(h.input_zero_point)) return Bad("bad input scale");
  return absl::OkStatus();
}

// A block of `count` elements of `width` bytes inside the file, after the records, aligned.
absl::Status CheckBlock(const ModelView& model, size_t index, std::string_view what,
                        uint64_t offset, uint64_t count, uint64_t width) {
  const uint64_t begin = sizeof(FileHeader) + uint64_t{model.header.op_count} * sizeof(OpRecord);
  if (offset % kAlignment != 0) return BadOp(index, StrCat(what, " not aligned"));
  if (offset < begin || offset > model.bytes.size() ||
      count * width > model.bytes.size() - offset) {
    return BadOp(index, StrCat(what, " outside the file"));
  }
  return absl::OkStatus();
}

absl::Status CheckConvolution(const ModelView& model, size_t index) {
  const OpRecord& op = model.ops[index];
  if (op.groups == 0 || op.input.channels % op.groups != 0 || op.output.channels % op.groups != 0) {
    return BadOp(index, "groups do not divide the channels");
  }
  if (op.padding_h > op.kernel_h || op.padding_w > op.kernel_w) {
    return BadOp(index, "padding is larger than the kernel");
  }
  const uint64_t reduction = uint64_t{op.kernel_h} * op.kernel_w * (op.input.channels / op.groups);
  if (reduction > kMaxReduction) return BadOp(index, "too many inputs per output");
  const uint64_t channels = op.output.channels;
  MUSTER_RETURN_IF_ERROR(
      CheckBlock(model, index, "weights", op.weight_offset, channels * reduction, 1));
  MUSTER_RETURN_IF_ERROR(
      CheckBlock(model, index, "scales", op.scale_offset, channels, sizeof(float)));
  MUSTER_RETURN_IF_ERROR(
      CheckBlock(model, index, "bias", op.bias_offset, channels, sizeof(int32_t)));
  // -128 would make the range asymmetric; 0x80 is its only byte.
  if (std::memchr(model.weights(op).data(), 0x80, model.weights(op).size()) != nullptr) {
    return BadOp(index, "a weight of -128");
  }
  for (float scale : model.scales(op)) {
    if (!GoodScale(scale)) return BadOp(index, "a bad weight scale");
    const float requantization = op.input_scale * scale / op.output_scale;
    if (!GoodScale(requantization) || requantization >= kMaxRequantization) {
      return BadOp(index, "weight, input and output scales do not go together");
    }
  }
  for (int32_t bias : model.bias(op)) {
    if (bias > kMaxBias || bias < -kMaxBias) return BadOp(index, "bias out of range");
  }
  return absl::OkStatus();
}

absl::Status CheckUnweighted(size_t index, const OpRecord& op) {
  if (op.weight_offset != 0 || op.scale_offset != 0 || op.bias_offset != 0) {
    return BadOp(index, "has weights but takes none");
  }
  if (op.groups != 1 || op.padding_h != 0 || op.padding_w != 0) {
    return BadOp(index, "has groups or padding but takes none");
  }
  if (op.input.channels != op.output.channels) return BadOp(index, "changes the channels");
  if (op.kind == OpKind::kClamp &&
      (op.kernel_h != 1 || op.kernel_w != 1 || op.stride_h != 1 || op.stride_w != 1)) {
    return BadOp(index, "a clamp with a kernel");
  }
  if (op.kind != OpKind::kAveragePool &&
      (op.input_scale != op.output_scale || op.input_zero_point != op.output_zero_point)) {
    return BadOp(index, "changes the scale but cannot");
  }
  const float ratio = op.input_scale / op.output_scale;
  if (!GoodScale(ratio)) return BadOp(index, "input and output scales do not go together");
  return absl::OkStatus();
}

absl::Status CheckOp(const ModelView& model, size_t index) {
  const OpRecord& op = model.ops[index];
  if (op.kind < OpKind::kConvolution || op.kind > OpKind::kClamp) {
    return BadOp(index, "unknown kind");
  }
  if (!GoodExtent(op.input) || !GoodExtent(op.output)) return BadOp(index, "bad extent");
  for (uint32_t value :
       {op.kernel_h, op.kernel_w, op.stride_h, op.stride_w, op.padding_h, op.padding_w}) {
    if (value > kMaxDimension) return BadOp(index, "kernel, stride or padding too large");
  }
  if (SlidingLength(op.input.height, op.kernel_h, op.stride_h, op.padding_h) != op.output.height ||
      SlidingLength(op.input.width, op.kernel_w, op.stride_w, op.padding_w) != op.output.width) {
    return BadOp(index, "output extent does not follow from the input and the kernel");
  }
  for (uint32_t word : op.reserved) {
    if (word != 0) return BadOp(index, "reserved bytes are not zero");
  }
  if (!GoodScale(op.input_scale) || !GoodScale(op.output_scale) || !IsInt8(op.input_zero_point) ||
      !IsInt8(op.output_zero_point)) {
    return BadOp(index, "bad scale or zero point");
  }
  if (!IsInt8(op.output_min) || !IsInt8(op.output_max) || op.output_min >= op.output_max) {
    return BadOp(index, "bad output limits");
  }

  const bool first = index == 0;
  const Extent before = first ? model.input_extent() : model.ops[index - 1].output;
  const float scale = first ? model.header.input_scale : model.ops[index - 1].output_scale;
  const int32_t zero =
      first ? model.header.input_zero_point : model.ops[index - 1].output_zero_point;
  if (op.input_scale != scale || op.input_zero_point != zero) {
    return BadOp(index, "input scale is not what the operation before it writes");
  }
  const bool flattens = op.kind == OpKind::kConvolution && op.input.height == 1 &&
                        op.input.width == 1 && op.input.size() == before.size();
  if (op.input != before && !flattens) {
    return BadOp(index, "input extent is not what the operation before it writes");
  }
  return op.kind == OpKind::kConvolution ? CheckConvolution(model, index)
                                         : CheckUnweighted(index, op);
}

uint64_t Rotate(uint64_t value, int by) { return std::rotl(value, by); }

}  // namespace

uint64_t Checksum(std::span<const uint8_t> file) {
  // Four independent multiply-rotate lanes, so that a file is read at memory speed: a cold start
  // pays for this.
  constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87, kPrime2 = 0xC2B2AE3D27D4EB4F;
  uint64_t lanes[4] = {kPrime1, kPrime2, kPrime1 + kPrime2, kPrime1 ^ kPrime2};
  const auto mix = [&](const uint8_t* at) {
    for (int lane = 0; lane < 4; ++lane) {
      uint64_t word;
      std::memcpy(&word, at + lane * sizeof(word), sizeof(word));
      lanes[lane] = Rotate(lanes[lane] + word * kPrime2, 31) * kPrime1;
    }
  };
  constexpr size_t kStep = sizeof(lanes);
  static_assert(sizeof(FileHeader) % kStep == 0);
  FileHeader header;
  std::memcpy(&header, file.data(), sizeof(header));
  header.checksum = 0;
  for (size_t i = 0; i < sizeof(header); i += kStep) {
    mix(reinterpret_cast<const uint8_t*>(&header) + i);
  }
  size_t i = sizeof(header);
  for (; i + kStep <= file.size(); i += kStep) mix(file.data() + i);
  uint8_t tail[kStep] = {};
  if (i < file.size()) {
    std::memcpy(tail, file.data() + i, file.size() - i);
    mix(tail);
  }
  uint64_t hash = file.size();
  for (uint64_t lane : lanes) hash = (Rotate(hash, 27) ^ lane) * kPrime1 + kPrime2;
  hash ^= hash >> 33;
  return hash * kPrime2 ^ (hash >> 29);
}

Extent ExtentOfShape(std::span<const uint32_t> shape) {
  if (shape.size() == 1) return {1, 1, shape[0]};
  if (shape.size() == 2) return {1, shape[1], shape[0]};
  return {shape[1], shape[2], shape[0]};
}

std::string_view ModelView::name() const { return header.name; }
Extent ModelView::input_extent() const { return ExtentOfShape(input_shape()); }
Extent ModelView::output_extent() const { return ops.back().output; }

uint64_t ModelView::weight_count(const OpRecord& op) const {
  return uint64_t{op.output.channels} * op.kernel_h * op.kernel_w * (op.input.channels / op.groups);
}
std::span<const int8_t> ModelView::weights(const OpRecord& op) const {
  return {reinterpret_cast<const int8_t*>(bytes.data() + op.weight_offset), weight_count(op)};
}
std::span<const float> ModelView::scales(const OpRecord& op) const {
  return {reinterpret_cast<const float*>(bytes.data() + op.scale_offset), op.output.channels};
}
std::span<const int32_t> ModelView::bias(const OpRecord& op) const {
  return {reinterpret_cast<const int32_t*>(bytes.data() + op.bias_offset), op.output.channels};
}

absl::StatusOr<ModelView> ParseModel(std::span<const uint8_t> bytes) {
  if (bytes.size() < sizeof(FileHeader)) return Bad("shorter than its header");
  if (bytes.size() > kMaxFileBytes) return Bad("larger than 1 GiB");
  if (reinterpret_cast<uintptr_t>(bytes.data()) % kAlignment != 0) {
    return Bad("its bytes are not aligned in memory");
  }
  ModelView model;
  model.bytes = bytes;
  std::memcpy(&model.header, bytes.data(), sizeof(FileHeader));
  MUSTER_RETURN_IF_ERROR(CheckHeader(model.header, bytes));
  model.ops.resize(model.header.op_count);
  std::memcpy(model.ops.data(), bytes.data() + model.header.ops_offset,
              model.ops.size() * sizeof(OpRecord));
  for (size_t i = 0; i < model.ops.size(); ++i) MUSTER_RETURN_IF_ERROR(CheckOp(model, i));
  if (model.output_extent().size() != model.header.outputs) {
    return Bad("the last operation's output is not the model's");
  }
  return model;
}

absl::StatusOr<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "opening the quantized model", path);
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "reading the size of", path);
  if (!S_ISREG(info.st_mode) || info.st_size == 0) return Bad("not a file with content");
  const auto size = static_cast<size_t>(info.st_size);
  if (size > kMaxFileBytes) return Bad("larger than 1 GiB");
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd.get(), 0);
  if (data == MAP_FAILED) return ErrnoStatus(errno, "mapping", path);
  MappedFile file;
  file.bytes_ = {static_cast<const uint8_t*>(data), size};
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
}

void MappedFile::DropPages() const {
  madvise(const_cast<uint8_t*>(bytes_.data()), bytes_.size(), MADV_DONTNEED);
}

absl::StatusOr<ModelInfo> ReadModelInfo(const std::filesystem::path& path) {
  MUSTER_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  MUSTER_ASSIGN_OR_RETURN(ModelView model, ParseModel(file.bytes()));
  const auto shape = model.input_shape();
  return ModelInfo{std::string(model.name()),
                   {shape.begin(), shape.end()},
                   model.header.outputs,
                   file.bytes().size()};
}

}  // namespace muster::mq8
