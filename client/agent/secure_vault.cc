#include "client/agent/secure_vault.h"

#include <algorithm>
#include <span>

#include "aggregation/secagg/transcript.h"
#include "client/agent/text.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/crypto/aes_gcm.h"

namespace muster {
namespace {

using text::Cat;

constexpr char kVersion = 1;  // version || nonce || ciphertext || tag
constexpr size_t kHeaderBytes = 1 + std::tuple_size_v<GcmVector>;
constexpr unsigned kKeyMode = 0600;

std::string Associated(const InvocationId& invocation, std::string_view label) {
  return secagg::Transcript("muster vault v1").Add(label).Add(invocation.value()).bytes();
}

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
std::span<uint8_t> Writable(std::string& text, size_t from) {
  return std::span(reinterpret_cast<uint8_t*>(text.data()), text.size()).subspan(from);
}

absl::Status Lost(std::string_view why) {
  return absl::DataLossError(Cat("a secure aggregation state cannot be opened: ", why));
}

}  // namespace

absl::StatusOr<VaultKey> SecureVault::ReadKey() const {
  absl::StatusOr<std::string> file = ReadFile(key_file_, secagg::kSecretBytes);
  if (absl::IsNotFound(file.status())) return Lost(Cat(key_file_.string(), " is missing"));
  if (absl::IsResourceExhausted(file.status())) {
    return Lost(Cat(key_file_.string(), " is no key file"));
  }
  MUSTER_RETURN_IF_ERROR(file.status());
  const SecretText bytes(*std::move(file));
  if (bytes.view().size() != secagg::kSecretBytes) {
    return Lost(Cat(key_file_.string(), " is no key file"));
  }
  return VaultKey(Bytes(bytes.view()).first<secagg::kSecretBytes>());
}

absl::StatusOr<VaultKey> SecureVault::MakeKey() {
  VaultKey key = VaultKey::Fresh(random_);
  const std::string_view bytes(reinterpret_cast<const char*>(key.span().data()), key.span().size());
  MUSTER_RETURN_IF_ERROR(WriteFileDurably(key_file_, bytes, kKeyMode));
  return key;
}

absl::StatusOr<std::string> SecureVault::Seal(const InvocationId& invocation,
                                              std::string_view label, std::string_view secret) {
  absl::StatusOr<VaultKey> key = ReadKey();
  if (absl::IsDataLoss(key.status())) key = MakeKey();
  MUSTER_RETURN_IF_ERROR(key.status());
  GcmVector nonce;
  random_.Fill(nonce);
  std::string sealed(kHeaderBytes + secret.size() + kGcmTagBytes, '\0');
  sealed[0] = kVersion;
  std::copy(nonce.begin(), nonce.end(), sealed.begin() + 1);
  GcmSeal(key->span(), nonce, Associated(invocation, label), Bytes(secret),
          Writable(sealed, kHeaderBytes));
  return sealed;
}

absl::StatusOr<SecretText> SecureVault::Open(const InvocationId& invocation, std::string_view label,
                                             std::string_view sealed) const {
  if (sealed.size() < kHeaderBytes + kGcmTagBytes || sealed[0] != kVersion) {
    return Lost("its form is unknown");
  }
  MUSTER_ASSIGN_OR_RETURN(const VaultKey key, ReadKey());
  GcmVector nonce;
  std::copy_n(sealed.begin() + 1, nonce.size(), nonce.begin());
  std::string plain(sealed.size() - kHeaderBytes - kGcmTagBytes, '\0');
  const bool authentic = GcmOpen(key.span(), nonce, Associated(invocation, label),
                                 Bytes(sealed.substr(kHeaderBytes)), Writable(plain, 0));
  SecretText secret(std::move(plain));
  if (!authentic) return Lost("another key sealed it, or it was changed");
  return secret;
}

}  // namespace muster
