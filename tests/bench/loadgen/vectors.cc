#include "tests/bench/loadgen/vectors.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>

#include "aggregation/secagg/ring.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster::load {
namespace {

constexpr float kLargestValue = 0.01F;
constexpr unsigned kSpoolMode = 0600;

// A file and the hash of what is in it.
class HashedFile {
 public:
  static absl::StatusOr<HashedFile> Make(const std::filesystem::path& path) {
    UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kSpoolMode));
    if (!fd.valid()) return ErrnoStatus(errno, "making", path);
    return HashedFile(std::move(fd), path);
  }
  absl::Status Append(std::string_view bytes) {
    hasher_.Update(bytes);
    while (!bytes.empty()) {
      const ssize_t written = write(fd_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoStatus(errno, "writing", path_);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }
  Digest Finish() { return hasher_.Finish(); }

 private:
  HashedFile(UniqueFd fd, std::filesystem::path path)
      : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  std::filesystem::path path_;
  Sha256Hasher hasher_;
};

}  // namespace

void FillUpdate(uint64_t number, uint64_t offset, std::span<float> out) {
  // Weyl's sequence, mixed once: cheaper than anything that is measured.
  uint64_t state = (number << 32) + offset;
  for (float& value : out) {
    uint64_t mixed = ++state * 0x9E3779B97F4A7C15u;
    mixed ^= mixed >> 32;
    mixed *= 0xD6E8FEB86659FD93u;
    value = (static_cast<float>(mixed >> 40) * 0x1p-23F - 1) * kLargestValue;
  }
}

SpoolFile::~SpoolFile() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

absl::StatusOr<Digest> WriteUpdate(uint64_t number, uint64_t dimension, const SpoolFile& file) {
  MUSTER_ASSIGN_OR_RETURN(HashedFile out, HashedFile::Make(file.path()));
  std::vector<float> values(limits::kChunkBytes / sizeof(float));
  for (uint64_t at = 0; at < dimension;) {
    const auto part = std::span(values).first(std::min<uint64_t>(values.size(), dimension - at));
    FillUpdate(number, at, part);
    MUSTER_RETURN_IF_ERROR(
        out.Append({reinterpret_cast<const char*>(part.data()), part.size_bytes()}));
    at += part.size();
  }
  return out.Finish();
}

absl::StatusOr<Digest> WriteMaskedUpdate(uint64_t number, const secagg::Params& params,
                                         uint64_t examples, std::vector<secagg::SignedMask> masks,
                                         RandomSource& random, const SpoolFile& file) {
  MUSTER_ASSIGN_OR_RETURN(HashedFile out, HashedFile::Make(file.path()));
  const secagg::MaskSet mask_set(params.cipher, params.ring_bits, std::move(masks));
  const auto update = [number](uint64_t offset, std::span<float> values) {
    FillUpdate(number, offset, values);
    return absl::OkStatus();
  };
  const auto sink = [&](uint64_t offset, std::span<uint8_t> bytes) {
    mask_set.Apply(offset, bytes);
    return out.Append({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  };
  SeededRandom rounding(number);
  MUSTER_RETURN_IF_ERROR(
      secagg::EncodeUpdate(params, {.examples = examples, .metrics = {{"train_loss", 0.5}}}, update,
                           rounding, random, sink)
          .status());
  return out.Finish();
}

}  // namespace muster::load
