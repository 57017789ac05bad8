// A coordinator's keys under a passphrase, for a backup: the CA, the package key, the at-rest key.
//
//   "MUSTKEY1" | log2 N, r, p of scrypt (1 byte each) | salt (32) | nonce (12) | AES-256-GCM | tag
//   (16)
//
// The key is scrypt(passphrase, salt) (RFC 7914); everything before the nonce is associated data.
// The plaintext is JSON: {"files": [{"path", "mode", "hex"}]}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/random.h"

namespace muster {

inline constexpr size_t kMinPassphraseBytes = 12;
inline constexpr size_t kMaxKeyFileBytes = 64u << 10;
inline constexpr size_t kMaxKeyFiles = 64;
inline constexpr size_t kMaxBundleBytes = 16u << 20;

struct KeyFile {
  std::string path;  // below the state folder, of plain segments
  unsigned mode = 0600;
  std::string bytes;  // a secret
  friend bool operator==(const KeyFile&, const KeyFile&) = default;
};

// Wipes the contents of key files when it goes.
class KeyFiles {
 public:
  KeyFiles() = default;
  KeyFiles(KeyFiles&&) = default;
  KeyFiles& operator=(KeyFiles&&) = default;
  ~KeyFiles();
  std::vector<KeyFile> files;
};

// InvalidArgument for a passphrase that is too short.
absl::StatusOr<std::string> SealKeys(const KeyFiles& keys, std::string_view passphrase,
                                     RandomSource& random);
// InvalidArgument for what is no bundle, Unauthenticated for another passphrase or changed bytes.
absl::StatusOr<KeyFiles> OpenKeys(std::string_view sealed, std::string_view passphrase);

}  // namespace muster
