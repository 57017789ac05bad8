// Encryption at rest for the secrets of open secure aggregation sessions: AES-256-GCM (SP 800-38D)
// with a fresh random 96-bit nonce for each write and a key of this device in a file of its own.
// The invocation and a label are authenticated with it, so that one session's state cannot stand in
// for another's.
//
// Whoever takes the journal without the key file learns nothing, and whoever changes a byte of it
// is noticed. Without the key the states are lost, and their sessions with them: a device that lost
// a state never masks again in that session.
#pragma once

#include <openssl/crypto.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "aggregation/secagg/keys.h"
#include "proto/core/ids.h"
#include "proto/core/random.h"

namespace muster {

// A secret text: move-only, wiped when it goes.
class SecretText {
 public:
  explicit SecretText(std::string text) : text_(std::move(text)) {}
  ~SecretText() { OPENSSL_cleanse(text_.data(), text_.size()); }
  SecretText(SecretText&& other) noexcept : text_(std::exchange(other.text_, {})) {}
  SecretText& operator=(SecretText&&) = delete;

  std::string_view view() const { return text_; }

 private:
  std::string text_;
};

using VaultKey = secagg::TypedSecret<struct VaultKeyTag>;

class SecureVault {
 public:
  SecureVault(std::filesystem::path key_file, RandomSource& random)
      : key_file_(std::move(key_file)), random_(random) {}

  // Makes the key file, readable by its owner alone and durable, if there is none that can be used.
  absl::StatusOr<std::string> Seal(const InvocationId& invocation, std::string_view label,
                                   std::string_view secret);
  // DataLoss if it cannot be opened: no key, another key, another invocation or label, changed
  // bytes.
  absl::StatusOr<SecretText> Open(const InvocationId& invocation, std::string_view label,
                                  std::string_view sealed) const;

 private:
  absl::StatusOr<VaultKey> ReadKey() const;  // DataLoss: none, or none that can be used
  absl::StatusOr<VaultKey> MakeKey();

  const std::filesystem::path key_file_;
  RandomSource& random_;
};

}  // namespace muster
