// The vectors that virtual devices send, made in chunks and kept in a file while they are sent, so
// that no device holds one in memory.
#pragma once

#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "aggregation/secagg/mask.h"
#include "proto/core/digest.h"
#include "proto/core/random.h"
#include "proto/core/secagg_messages.h"

namespace muster::load {

// Values of the update of device number `number`, from element `offset` on: the same in every run
// and in every mode of aggregation.
void FillUpdate(uint64_t number, uint64_t offset, std::span<float> out);

// A file that goes when this does.
class SpoolFile {
 public:
  explicit SpoolFile(std::filesystem::path path) : path_(std::move(path)) {}
  ~SpoolFile();
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  const std::filesystem::path path_;
};

// The update itself, as a clear round takes it: float32[dimension]. Its digest.
absl::StatusOr<Digest> WriteUpdate(uint64_t number, uint64_t dimension, const SpoolFile& file);

// The update as ring elements under masks, as a secure round takes it. Its digest.
absl::StatusOr<Digest> WriteMaskedUpdate(uint64_t number, const secagg::Params& params,
                                         uint64_t examples, std::vector<secagg::SignedMask> masks,
                                         RandomSource& random, const SpoolFile& file);

}  // namespace muster::load
