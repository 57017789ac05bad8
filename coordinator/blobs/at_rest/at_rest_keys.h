// The keys that seal what holds devices' updates while it lies on a disk. They live in one file of
// mode 0600, one a line, the newest first: it seals, all of them open. So a key is rotated by
// adding one, and an old one can go when nothing that it sealed is left.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/random.h"
#include "proto/core/secret_bytes.h"

namespace muster {

inline constexpr size_t kAtRestKeyBytes = 32;
inline constexpr size_t kMaxAtRestKeys = 16;
using AtRestKey = SecretBytes<kAtRestKeyBytes>;
using AtRestKeyId = std::array<uint8_t, 8>;  // names a key; says nothing of it

std::string KeyIdText(const AtRestKeyId& id);

// Thread-safe.
class AtRestKeys {
 public:
  // Makes the file with one key. AlreadyExists if it is there.
  static absl::Status Create(const std::filesystem::path& file, RandomSource& random);
  // Adds a key in front, durably. ResourceExhausted above kMaxAtRestKeys.
  static absl::Status Rotate(const std::filesystem::path& file, RandomSource& random);
  // NotFound if there is no file; FailedPrecondition if it is no file of keys, or others than the
  // owner may read it. (A group may if the file is not this process's own: a mounted secret.)
  static absl::StatusOr<std::shared_ptr<const AtRestKeys>> Open(const std::filesystem::path& file);

  const AtRestKeyId& current_id() const { return keys_.front().id; }
  size_t count() const { return keys_.size(); }
  // FailedPrecondition, with what to do, for a key that is not there.
  absl::StatusOr<const AtRestKey*> Find(const AtRestKeyId& id) const;

 private:
  struct Entry {
    AtRestKeyId id;
    AtRestKey key;
  };
  explicit AtRestKeys(std::filesystem::path file) : file_(std::move(file)) {}
  absl::Status Parse(std::string_view text);

  std::filesystem::path file_;
  std::vector<Entry> keys_;
};

}  // namespace muster
