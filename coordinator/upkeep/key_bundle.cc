#include "coordinator/upkeep/key_bundle.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "proto/core/digest.h"
#include "proto/core/secret_bytes.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/crypto/aes_gcm.h"

namespace muster {
namespace {

constexpr std::string_view kMagic = "MUSTKEY1";
constexpr size_t kSaltBytes = 32;
constexpr size_t kNonceBytes = 12;
constexpr size_t kHeadBytes = kMagic.size() + 3 + kSaltBytes;
// 2^16 x 8 x 128 bytes = 64 MiB, about a quarter of a second.
constexpr uint8_t kLogN = 16, kBlocks = 8, kParallel = 1;
constexpr uint8_t kMaxLogN = 20;
constexpr uint64_t kMaxScryptBytes = 2ull << 30;

using BundleKey = SecretBytes<kGcmKeyBytes>;

absl::StatusOr<BundleKey> Stretch(std::string_view passphrase, std::string_view head) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(head[kMagic.size() + i]); };
  const auto* salt = reinterpret_cast<const uint8_t*>(head.data()) + kMagic.size() + 3;
  BundleKey key;
  const auto out = key.writable();
  if (EVP_PBE_scrypt(passphrase.data(), passphrase.size(), salt, kSaltBytes, 1ull << at(0), at(1),
                     at(2), kMaxScryptBytes, out.data(), out.size()) == 1) {
    return key;
  }
  ERR_clear_error();
  return absl::ResourceExhaustedError("there is not the memory to stretch the passphrase");
}

bool IsPlainPath(std::string_view path) {
  if (path.empty() || path.size() > 255) return false;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, end);
    if (segment.empty() || segment.front() == '.') return false;
    path.remove_prefix(std::min(path.size(), end + 1));
  }
  return true;
}

absl::StatusOr<KeyFiles> ParseFiles(std::string_view text) {
  const absl::Status bad = absl::InvalidArgumentError("the bundle of keys is not as it should be");
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("files") || !json["files"].is_array()) return bad;
  if (json["files"].size() > kMaxKeyFiles) return bad;
  KeyFiles keys;
  for (const auto& file : json["files"]) {
    if (!file.is_object() || !file.contains("path") || !file["path"].is_string() ||
        !file.contains("mode") || !file["mode"].is_number_unsigned() || !file.contains("hex") ||
        !file["hex"].is_string()) {
      return bad;
    }
    KeyFile key{.path = file["path"].get<std::string>(),
                .mode = file["mode"].get<unsigned>() & 0777u};
    auto bytes = HexDecode(file["hex"].get<std::string>());
    if (!IsPlainPath(key.path) || !bytes.ok() || bytes->size() > kMaxKeyFileBytes) return bad;
    key.bytes = *std::move(bytes);
    keys.files.push_back(std::move(key));
  }
  return keys;
}

}  // namespace

KeyFiles::~KeyFiles() {
  for (KeyFile& file : files) OPENSSL_cleanse(file.bytes.data(), file.bytes.size());
}

absl::StatusOr<std::string> SealKeys(const KeyFiles& keys, std::string_view passphrase,
                                     RandomSource& random) {
  if (passphrase.size() < kMinPassphraseBytes) {
    return absl::InvalidArgumentError(StrCat("the passphrase has ", passphrase.size(),
                                             " bytes; it must have at least ", kMinPassphraseBytes,
                                             ": make one with `openssl rand -base64 24`"));
  }
  nlohmann::json json = {{"files", nlohmann::json::array()}};
  for (const KeyFile& file : keys.files) {
    json["files"].push_back(
        {{"path", file.path}, {"mode", file.mode}, {"hex", HexEncode(file.bytes)}});
  }
  std::string plain = json.dump();
  std::string sealed(kMagic);
  for (const uint8_t parameter : {kLogN, kBlocks, kParallel}) {
    sealed += static_cast<char>(parameter);
  }
  std::array<uint8_t, kSaltBytes> salt;
  random.Fill(salt);
  sealed.append(salt.begin(), salt.end());
  MUSTER_ASSIGN_OR_RETURN(const BundleKey key, Stretch(passphrase, sealed));
  GcmVector nonce;
  random.Fill(nonce);
  const std::string head = sealed;
  sealed.append(nonce.begin(), nonce.end());
  const size_t begin = sealed.size();
  sealed.resize(begin + plain.size() + kGcmTagBytes);
  GcmSeal(key.span(), nonce, head, {reinterpret_cast<const uint8_t*>(plain.data()), plain.size()},
          {reinterpret_cast<uint8_t*>(sealed.data()) + begin, sealed.size() - begin});
  OPENSSL_cleanse(plain.data(), plain.size());
  return sealed;
}

absl::StatusOr<KeyFiles> OpenKeys(std::string_view sealed, std::string_view passphrase) {
  if (sealed.size() < kHeadBytes + kNonceBytes + kGcmTagBytes || sealed.size() > kMaxBundleBytes ||
      !sealed.starts_with(kMagic)) {
    return absl::InvalidArgumentError("this is no bundle of keys");
  }
  const std::string_view head = sealed.substr(0, kHeadBytes);
  const auto log_n = static_cast<uint8_t>(head[kMagic.size()]);
  const auto blocks = static_cast<uint8_t>(head[kMagic.size() + 1]);
  const auto parallel = static_cast<uint8_t>(head[kMagic.size() + 2]);
  if (log_n < 1 || log_n > kMaxLogN || blocks != kBlocks || parallel != kParallel) {
    return absl::InvalidArgumentError("the bundle of keys wants more work than is ever needed");
  }
  MUSTER_ASSIGN_OR_RETURN(const BundleKey key, Stretch(passphrase, head));
  GcmVector nonce;
  std::copy_n(sealed.begin() + kHeadBytes, kNonceBytes, nonce.begin());
  const std::string_view box = sealed.substr(kHeadBytes + kNonceBytes);
  std::string plain(box.size() - kGcmTagBytes, '\0');
  const bool authentic =
      GcmOpen(key.span(), nonce, head, {reinterpret_cast<const uint8_t*>(box.data()), box.size()},
              {reinterpret_cast<uint8_t*>(plain.data()), plain.size()});
  if (!authentic) {
    return absl::UnauthenticatedError(
        "the keys do not open: the passphrase is another one, or the file was changed");
  }
  auto keys = ParseFiles(plain);
  OPENSSL_cleanse(plain.data(), plain.size());
  return keys;
}

}  // namespace muster
