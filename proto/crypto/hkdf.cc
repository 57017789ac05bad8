#include "proto/crypto/hkdf.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <array>
#include <cstdlib>
#include <memory>

namespace muster {
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

}  // namespace

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

}  // namespace muster
