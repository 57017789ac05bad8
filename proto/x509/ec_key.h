// ECDSA over NIST P-256 with SHA-256 (FIPS 186-5), through OpenSSL's EVP. The only key type in
// Muster: identities, the certificate authority and package signatures all use it.
#pragma once

#include <openssl/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

inline constexpr size_t kMaxPemBytes = 64u << 10;  // any key file or certificate chain
inline constexpr size_t kMaxSignatureBytes = 72;   // DER of two 32-byte integers
inline constexpr unsigned kPrivateKeyMode = 0600;
inline constexpr unsigned kPublicFileMode = 0644;

class EcPublicKey {
 public:
  // InvalidArgument unless `pem` is a SubjectPublicKeyInfo on P-256.
  static absl::StatusOr<EcPublicKey> FromPem(std::string_view pem);
  static absl::StatusOr<EcPublicKey> Wrap(std::shared_ptr<EVP_PKEY> key);

  std::string ToPem() const;
  // Unauthenticated unless `signature` (DER) is this key's over `message`.
  absl::Status Verify(std::string_view message, std::string_view signature) const;
  EVP_PKEY* get() const { return key_.get(); }
  friend bool operator==(const EcPublicKey& a, const EcPublicKey& b);

 private:
  explicit EcPublicKey(std::shared_ptr<EVP_PKEY> key) : key_(std::move(key)) {}
  std::shared_ptr<EVP_PKEY> key_;
};

// Move-only; OpenSSL wipes the key when it is freed.
class EcPrivateKey {
 public:
  static absl::StatusOr<EcPrivateKey> Generate();
  // Unencrypted PKCS#8 or SEC 1. A file with more than the key in it will do: the first key counts.
  static absl::StatusOr<EcPrivateKey> FromPem(std::string_view pem);
  static absl::StatusOr<EcPrivateKey> FromFile(const std::filesystem::path& path);

  EcPrivateKey(EcPrivateKey&&) noexcept = default;
  EcPrivateKey& operator=(EcPrivateKey&&) noexcept = default;
  EcPrivateKey(const EcPrivateKey&) = delete;
  EcPrivateKey& operator=(const EcPrivateKey&) = delete;

  // Secret; PKCS#8.
  std::string ToPem() const;
  EcPublicKey PublicKey() const;
  // DER. Randomised: signing twice gives two signatures.
  absl::StatusOr<std::string> Sign(std::string_view message) const;
  EVP_PKEY* get() const { return key_.get(); }

 private:
  explicit EcPrivateKey(std::shared_ptr<EVP_PKEY> key) : key_(std::move(key)) {}
  std::shared_ptr<EVP_PKEY> key_;
};

// Durably, readable by the owner alone. AlreadyExists if the file is there: keys are never replaced
// by accident.
absl::Status WriteNewKeyFile(const std::filesystem::path& path, const EcPrivateKey& key);

// Overwrites a string that held a secret, and empties it.
void WipeString(std::string& secret);

// What OpenSSL says went wrong, behind `what`; empties its error queue.
absl::Status OpenSslError(absl::StatusCode code, std::string_view what);

}  // namespace muster
