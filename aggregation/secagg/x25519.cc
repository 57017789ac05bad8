#include "aggregation/secagg/x25519.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <array>
#include <cstdlib>
#include <memory>

namespace muster::secagg {
namespace {

struct FreeContext {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_PKEY_CTX, FreeContext>;

// Any 32 bytes are a key, secret or public: only a lack of memory makes these calls fail.
void Require(bool ok) {
  if (!ok) std::abort();
}

// OpenSSL refuses an all-zero result by itself; its complaint must not stay in this thread's queue,
// where a TLS connection would find it.
class QuietErrors {
 public:
  QuietErrors() { ERR_set_mark(); }
  ~QuietErrors() { ERR_pop_to_mark(); }
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;
};

}  // namespace

void X25519Key::Free::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

X25519Key::X25519Key(std::span<const uint8_t, kSecretBytes> secret)
    : key_(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret.data(), secret.size())) {
  Require(key_ != nullptr);
}

PublicKeyBytes X25519Key::PublicKey() const {
  PublicKeyBytes out;
  size_t size = out.size();
  Require(EVP_PKEY_get_raw_public_key(key_.get(), out.data(), &size) == 1 && size == out.size());
  return out;
}

std::optional<SecretBytes<kSecretBytes>> X25519Key::Agree(const PublicKeyBytes& peer) const {
  const std::unique_ptr<EVP_PKEY, Free> other(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, peer.data(), peer.size()));
  const Context context(EVP_PKEY_CTX_new(key_.get(), nullptr));
  Require(other != nullptr && context != nullptr && EVP_PKEY_derive_init(context.get()) == 1);
  const QuietErrors quiet;
  SecretBytes<kSecretBytes> shared;
  size_t size = kSecretBytes;
  if (EVP_PKEY_derive_set_peer(context.get(), other.get()) != 1 ||
      EVP_PKEY_derive(context.get(), shared.writable().data(), &size) != 1 ||
      size != kSecretBytes) {
    return std::nullopt;
  }
  // Checked here too: providers of OpenSSL other than the default one need not.
  if (shared.ConstantTimeEquals(SecretBytes<kSecretBytes>())) return std::nullopt;
  return shared;
}

}  // namespace muster::secagg
