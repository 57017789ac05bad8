#include "proto/x509/ec_key.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/x509/openssl_handles.h"

namespace muster {
namespace {

using openssl::Contents;

std::shared_ptr<EVP_PKEY> Share(EVP_PKEY* key) { return {key, EVP_PKEY_free}; }

absl::Status CheckP256(EVP_PKEY* key) {
  char group[64] = "";
  size_t length = 0;
  if (EVP_PKEY_is_a(key, "EC") != 1 ||
      EVP_PKEY_get_group_name(key, group, sizeof(group), &length) != 1 ||
      std::string_view(group, length) != SN_X9_62_prime256v1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        absl::StrCat("the key is not on the curve P-256 but ",
                     length > 0 ? std::string(group, length) : "of another type",
                     "; make it with: openssl ecparam -name prime256v1 -genkey"));
  }
  return absl::OkStatus();
}

// Keys are never encrypted here; without this, OpenSSL would ask for a passphrase on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

}  // namespace

absl::Status OpenSslError(absl::StatusCode code, std::string_view what) {
  unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  if (error == 0) return absl::Status(code, std::string(what));
  char text[256];
  ERR_error_string_n(error, text, sizeof(text));
  return absl::Status(code, absl::StrCat(std::string(what), ": ", text));
}

void WipeString(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

absl::StatusOr<EcPublicKey> EcPublicKey::Wrap(std::shared_ptr<EVP_PKEY> key) {
  if (key == nullptr) return absl::InvalidArgumentError("there is no public key");
  MUSTER_RETURN_IF_ERROR(CheckP256(key.get()));
  return EcPublicKey(std::move(key));
}

absl::StatusOr<EcPublicKey> EcPublicKey::FromPem(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("public key: ", pem.size(), " bytes, at most ", kMaxPemBytes, " allowed"));
  }
  EVP_PKEY* key = PEM_read_bio_PUBKEY(openssl::ReadBio(pem).get(), nullptr, NoPassphrase, nullptr);
  if (key == nullptr) {
    return OpenSslError(absl::StatusCode::kInvalidArgument,
                        "public key: expected PEM that begins with -----BEGIN PUBLIC KEY-----");
  }
  return Wrap(Share(key));
}

std::string EcPublicKey::ToPem() const {
  openssl::Bio bio = openssl::WriteBio();
  if (PEM_write_bio_PUBKEY(bio.get(), key_.get()) != 1) std::abort();  // out of memory
  return Contents(bio.get());
}

absl::Status EcPublicKey::Verify(std::string_view message, std::string_view signature) const {
  openssl::MdCtx context(EVP_MD_CTX_new());
  bool ok = context != nullptr && !signature.empty() && signature.size() <= kMaxSignatureBytes &&
            EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
            EVP_DigestVerify(context.get(), reinterpret_cast<const uint8_t*>(signature.data()),
                             signature.size(), reinterpret_cast<const uint8_t*>(message.data()),
                             message.size()) == 1;
  ERR_clear_error();
  if (!ok) return absl::UnauthenticatedError("the signature does not verify with this key");
  return absl::OkStatus();
}

bool operator==(const EcPublicKey& a, const EcPublicKey& b) {
  return EVP_PKEY_eq(a.get(), b.get()) == 1;
}

absl::StatusOr<EcPrivateKey> EcPrivateKey::Generate() {
  EVP_PKEY* key = EVP_EC_gen(SN_X9_62_prime256v1);
  if (key == nullptr) return OpenSslError(absl::StatusCode::kInternal, "generating a P-256 key");
  return EcPrivateKey(Share(key));
}

absl::StatusOr<EcPrivateKey> EcPrivateKey::FromPem(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("private key: ", pem.size(), " bytes, at most ", kMaxPemBytes, " allowed"));
  }
  EVP_PKEY* key =
      PEM_read_bio_PrivateKey(openssl::ReadBio(pem).get(), nullptr, NoPassphrase, nullptr);
  if (key == nullptr) {
    return OpenSslError(absl::StatusCode::kInvalidArgument,
                        "private key: expected an unencrypted PEM private key");
  }
  std::shared_ptr<EVP_PKEY> shared = Share(key);
  MUSTER_RETURN_IF_ERROR(CheckP256(key));
  return EcPrivateKey(std::move(shared));
}

absl::StatusOr<EcPrivateKey> EcPrivateKey::FromFile(const std::filesystem::path& path) {
  MUSTER_ASSIGN_OR_RETURN(std::string pem, ReadFile(path, kMaxPemBytes));
  absl::StatusOr<EcPrivateKey> key = FromPem(pem);
  WipeString(pem);
  if (!key.ok()) return Annotate(key.status(), path.string());
  return key;
}

std::string EcPrivateKey::ToPem() const {
  openssl::Bio bio = openssl::SecretBio();
  if (PEM_write_bio_PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    std::abort();  // out of memory
  }
  return Contents(bio.get());
}

EcPublicKey EcPrivateKey::PublicKey() const {
  // Through PEM, so that the public half carries nothing of the private one.
  absl::StatusOr<EcPublicKey> key = [&] {
    openssl::Bio bio = openssl::WriteBio();
    PEM_write_bio_PUBKEY(bio.get(), key_.get());
    return EcPublicKey::FromPem(Contents(bio.get()));
  }();
  if (!key.ok()) std::abort();  // out of memory
  return *std::move(key);
}

absl::StatusOr<std::string> EcPrivateKey::Sign(std::string_view message) const {
  openssl::MdCtx context(EVP_MD_CTX_new());
  std::string signature(kMaxSignatureBytes, '\0');
  size_t size = signature.size();
  if (context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<uint8_t*>(signature.data()), &size,
                     reinterpret_cast<const uint8_t*>(message.data()), message.size()) != 1) {
    return OpenSslError(absl::StatusCode::kInternal, "signing");
  }
  signature.resize(size);
  return signature;
}

absl::Status WriteNewKeyFile(const std::filesystem::path& path, const EcPrivateKey& key) {
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    return absl::AlreadyExistsError(
        absl::StrCat(path.string(), " exists already; move it away to make a new key"));
  }
  std::string pem = key.ToPem();
  absl::Status status = WriteFileDurably(path, pem, kPrivateKeyMode);
  WipeString(pem);
  return status;
}

}  // namespace muster
