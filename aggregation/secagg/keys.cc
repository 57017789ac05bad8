#include "aggregation/secagg/keys.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "aggregation/secagg/transcript.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

constexpr size_t kMaxHkdfBytes = 255 * 32;

struct FreeKdf {
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }  // wipes
};

// Fetched once: looking an algorithm up costs more than running it.
EVP_KDF* HkdfAlgorithm() {
  static EVP_KDF* const kAlgorithm = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
  if (kAlgorithm == nullptr) std::abort();  // OpenSSL's default provider has it
  return kAlgorithm;
}

OSSL_PARAM Octets(const char* name, const void* data, size_t size) {
  // OpenSSL's parameters are not const, and it only reads these.
  return OSSL_PARAM_construct_octet_string(name, const_cast<void*>(data), size);
}

std::span<const uint8_t> Bytes(const Digest& digest) {
  return {reinterpret_cast<const uint8_t*>(digest.bytes().data()), digest.bytes().size()};
}

absl::Status SameClient(uint32_t index) {
  return absl::InvalidArgumentError(StrCat("client ", index, " has no key with itself"));
}

absl::Status SmallOrder(uint32_t a, uint32_t b) {
  return absl::InvalidArgumentError(StrCat("the shared secret of clients ", a, " and ", b,
                                           " would be zero: the public key is of small order"));
}

}  // namespace

PublicKeyBytes PublicKeyOf(const MaskSecretKey& key) { return X25519Key(key.span()).PublicKey(); }
PublicKeyBytes PublicKeyOf(const SharingSecretKey& key) {
  return X25519Key(key.span()).PublicKey();
}

absl::StatusOr<MaskKey> PairMaskKey(const Digest& sid, const MaskAgreements& own,
                                    uint32_t own_index, const PublicKeyBytes& peer,
                                    uint32_t peer_index) {
  if (own_index == peer_index) return SameClient(own_index);
  const std::optional<SecretBytes<kSecretBytes>> shared = own.own().Agree(peer);
  if (!shared.has_value()) return SmallOrder(own_index, peer_index);
  const auto [lower, higher] = std::minmax(own_index, peer_index);
  MaskKey key;
  Hkdf(Bytes(sid), shared->span(),
       Transcript("muster/secagg/1/pair").AddNumber(lower).AddNumber(higher).bytes(),
       key.writable());
  return key;
}

MaskKey SelfMaskKey(const Digest& sid, const SelfSeed& seed, uint32_t index) {
  MaskKey key;
  Hkdf(Bytes(sid), seed.span(), Transcript("muster/secagg/1/self").AddNumber(index).bytes(),
       key.writable());
  return key;
}

absl::StatusOr<ShareBoxKey> BoxKey(const Digest& sid, const SharingAgreements& own,
                                   const PublicKeyBytes& peer, uint32_t sender, uint32_t receiver) {
  if (sender == receiver) return SameClient(sender);
  const std::optional<SecretBytes<kSecretBytes>> shared = own.own().Agree(peer);
  if (!shared.has_value()) return SmallOrder(sender, receiver);
  ShareBoxKey key;
  Hkdf(Bytes(sid), shared->span(),
       Transcript("muster/secagg/1/enc").AddNumber(sender).AddNumber(receiver).bytes(),
       key.writable());
  return key;
}

void Hkdf(std::span<const uint8_t> salt, std::span<const uint8_t> input, std::string_view info,
          std::span<uint8_t> out) {
  if (out.empty() || out.size() > kMaxHkdfBytes) std::abort();
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(EVP_KDF_CTX_new(HkdfAlgorithm()));
  char hash[] = "SHA256";
  std::array<OSSL_PARAM, 5> params;
  size_t used = 0;
  params[used++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash, 0);
  params[used++] = Octets(OSSL_KDF_PARAM_KEY, input.data(), input.size());
  // OpenSSL refuses fields without bytes; without a salt it does as RFC 5869 says.
  if (!salt.empty()) params[used++] = Octets(OSSL_KDF_PARAM_SALT, salt.data(), salt.size());
  if (!info.empty()) params[used++] = Octets(OSSL_KDF_PARAM_INFO, info.data(), info.size());
  params[used] = OSSL_PARAM_construct_end();
  // Fails only without memory: there is no safe way on.
  if (context == nullptr ||
      EVP_KDF_derive(context.get(), out.data(), out.size(), params.data()) != 1) {
    std::abort();
  }
}

}  // namespace muster::secagg
