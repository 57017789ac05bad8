#include "proto/crypto/aes_gcm.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <memory>

namespace muster {
namespace {

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }  // wipes
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

// Fails only without memory, or if the caller breaks its side.
void Require(bool ok) {
  if (!ok) std::abort();
}

// Fetched once: looking an algorithm up costs more than one box.
const EVP_CIPHER* Algorithm() {
  static const EVP_CIPHER* const kAlgorithm = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  Require(kAlgorithm != nullptr);  // OpenSSL's default provider has it
  return kAlgorithm;
}

const uint8_t* Data(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

int Length(size_t size) {
  Require(size <= INT_MAX);
  return static_cast<int>(size);
}

}  // namespace

void GcmSeal(std::span<const uint8_t, kGcmKeyBytes> key, const GcmVector& vector,
             std::string_view associated, std::span<const uint8_t> plain, std::span<uint8_t> box) {
  Require(box.size() == plain.size() + kGcmTagBytes);
  const Context context(EVP_CIPHER_CTX_new());
  Require(context != nullptr &&
          EVP_EncryptInit_ex2(context.get(), Algorithm(), key.data(), vector.data(), nullptr) == 1);
  int written = 0;
  if (!associated.empty()) {
    Require(EVP_EncryptUpdate(context.get(), nullptr, &written, Data(associated),
                              Length(associated.size())) == 1);
  }
  if (!plain.empty()) {
    Require(EVP_EncryptUpdate(context.get(), box.data(), &written, plain.data(),
                              Length(plain.size())) == 1);
  }
  std::array<uint8_t, kGcmTagBytes> tag;
  Require(EVP_EncryptFinal_ex(context.get(), tag.data(), &written) == 1);  // writes nothing
  Require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, Length(tag.size()),
                              tag.data()) == 1);
  std::copy(tag.begin(), tag.end(), box.last<kGcmTagBytes>().begin());
}

bool GcmOpen(std::span<const uint8_t, kGcmKeyBytes> key, const GcmVector& vector,
             std::string_view associated, std::span<const uint8_t> box, std::span<uint8_t> plain) {
  Require(box.size() == plain.size() + kGcmTagBytes);
  const Context context(EVP_CIPHER_CTX_new());
  Require(context != nullptr &&
          EVP_DecryptInit_ex2(context.get(), Algorithm(), key.data(), vector.data(), nullptr) == 1);
  int written = 0;
  if (!associated.empty()) {
    Require(EVP_DecryptUpdate(context.get(), nullptr, &written, Data(associated),
                              Length(associated.size())) == 1);
  }
  if (!plain.empty()) {
    Require(EVP_DecryptUpdate(context.get(), plain.data(), &written, box.data(),
                              Length(plain.size())) == 1);
  }
  std::array<uint8_t, kGcmTagBytes> tag;
  const auto sent = box.last<kGcmTagBytes>();
  std::copy(sent.begin(), sent.end(), tag.begin());
  Require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, Length(tag.size()),
                              tag.data()) == 1);
  // A forgery's complaint must not stay in this thread's queue, where a TLS connection would find
  // it.
  ERR_set_mark();
  std::array<uint8_t, kGcmTagBytes> rest;
  const bool authentic = EVP_DecryptFinal_ex(context.get(), rest.data(), &written) == 1;
  ERR_pop_to_mark();
  return authentic;
}

}  // namespace muster
