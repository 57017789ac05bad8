#include "proto/x509/certificate.h"

#include <openssl/err.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "proto/core/status.h"
#include "proto/x509/openssl_handles.h"

namespace muster {
namespace {

using openssl::Contents;

constexpr std::string_view kPinPrefix = "sha256:";

std::shared_ptr<X509> Share(X509* x509) { return {x509, X509_free}; }

Timestamp ToTimestamp(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return {static_cast<int64_t>(timegm(&parts)) * 1'000'000};
}

std::vector<std::string> AlternativeNames(X509* x509, int type) {
  openssl::Names names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(x509, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> found;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != type) continue;
    const ASN1_IA5STRING* text = name->d.ia5;
    found.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                       static_cast<size_t>(ASN1_STRING_length(text)));
  }
  return found;
}

std::string Explain(int error, const Certificate& leaf, Timestamp now) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return absl::StrCat("it expired at ", leaf.not_after().ToString(),
                          " and the clock here says ", now.ToString());
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return absl::StrCat("it is valid from ", leaf.not_before().ToString(),
                          " and the clock here says ", now.ToString());
    default:
      return X509_verify_cert_error_string(error);
  }
}

}  // namespace

Certificate Certificate::Wrap(std::shared_ptr<X509> certificate) {
  return Certificate(std::move(certificate));
}

absl::StatusOr<Certificate> Certificate::FromPem(std::string_view pem) {
  MUSTER_ASSIGN_OR_RETURN(std::vector<Certificate> chain, ChainFromPem(pem));
  return chain.front();
}

absl::StatusOr<Certificate> Certificate::FromDer(std::string_view der) {
  if (der.size() > kMaxCertificateBytes) {
    return absl::InvalidArgumentError(absl::StrCat("certificate: ", der.size(), " bytes, at most ",
                                                   kMaxCertificateBytes, " allowed"));
  }
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* at = begin;
  std::shared_ptr<X509> x509 = Share(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (x509 == nullptr) {
    return OpenSslError(absl::StatusCode::kInvalidArgument, "certificate: not DER");
  }
  if (at != begin + der.size()) {
    return absl::InvalidArgumentError("certificate: there are bytes after its end");
  }
  return Certificate(std::move(x509));
}

absl::StatusOr<std::vector<Certificate>> Certificate::ChainFromPem(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("certificates: ", pem.size(), " bytes, at most ", kMaxPemBytes, " allowed"));
  }
  std::vector<Certificate> chain;
  openssl::Bio bio = openssl::ReadBio(pem);
  while (X509* x509 = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    chain.push_back(Certificate(Share(x509)));
    if (chain.size() > kMaxChainLength) {
      return absl::InvalidArgumentError(
          absl::StrCat("certificates: more than ", kMaxChainLength, " in one chain"));
    }
  }
  const unsigned long error = ERR_peek_last_error();
  const bool ended = ERR_GET_LIB(error) == ERR_LIB_PEM &&
                     ERR_GET_REASON(error) == PEM_R_NO_START_LINE && !chain.empty();
  if (!ended) {
    return OpenSslError(absl::StatusCode::kInvalidArgument,
                        "certificates: expected PEM with -----BEGIN CERTIFICATE-----");
  }
  ERR_clear_error();
  return chain;
}

std::string Certificate::ToPem() const {
  openssl::Bio bio = openssl::WriteBio();
  if (PEM_write_bio_X509(bio.get(), x509_.get()) != 1) std::abort();  // out of memory
  return Contents(bio.get());
}

std::string Certificate::ToDer() const {
  openssl::Bio bio = openssl::WriteBio();
  if (i2d_X509_bio(bio.get(), x509_.get()) != 1) std::abort();  // out of memory
  return Contents(bio.get());
}

Digest Certificate::Fingerprint() const { return Sha256(ToDer()); }

std::string Certificate::SerialHex() const {
  openssl::BigNum number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509_.get()), nullptr));
  char* hex = number == nullptr ? nullptr : BN_bn2hex(number.get());
  std::string text = hex == nullptr ? "" : absl::AsciiStrToLower(hex);
  OPENSSL_free(hex);
  const size_t first = text.find_first_not_of('0');
  return first == std::string::npos ? "0" : text.substr(first);
}

Timestamp Certificate::not_before() const { return ToTimestamp(X509_get0_notBefore(x509_.get())); }
Timestamp Certificate::not_after() const { return ToTimestamp(X509_get0_notAfter(x509_.get())); }

std::vector<std::string> Certificate::UriNames() const {
  return AlternativeNames(x509_.get(), GEN_URI);
}
std::vector<std::string> Certificate::DnsNames() const {
  return AlternativeNames(x509_.get(), GEN_DNS);
}

bool Certificate::IsCa() const { return X509_check_ca(x509_.get()) == 1; }

bool Certificate::IsSelfSigned() const {
  const bool self_signed = X509_self_signed(x509_.get(), /*verify_signature=*/1) == 1;
  ERR_clear_error();
  return self_signed;
}

absl::StatusOr<EcPublicKey> Certificate::PublicKey() const {
  absl::StatusOr<EcPublicKey> key =
      EcPublicKey::Wrap({X509_get_pubkey(x509_.get()), EVP_PKEY_free});
  ERR_clear_error();
  return key;
}

absl::Status Certificate::VerifyIssuedBy(const Certificate& ca, CertificateUse use, Timestamp now,
                                         std::string_view name) const {
  openssl::Store store(X509_STORE_new());
  openssl::StoreCtx context(X509_STORE_CTX_new());
  if (store == nullptr || context == nullptr || X509_STORE_add_cert(store.get(), ca.get()) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), x509_.get(), nullptr) != 1) {
    return OpenSslError(absl::StatusCode::kInternal, "verifying a certificate");
  }
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(param, static_cast<time_t>(now.unix_us / 1'000'000));
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
  X509_VERIFY_PARAM_set_purpose(
      param, use == CertificateUse::kServer ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT);
  if (!name.empty()) {
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    X509_VERIFY_PARAM_set1_host(param, name.data(), name.size());
  }
  const bool ok = X509_verify_cert(context.get()) == 1;
  const int error = X509_STORE_CTX_get_error(context.get());
  const bool at_leaf = X509_STORE_CTX_get_error_depth(context.get()) == 0;
  ERR_clear_error();
  if (ok) return absl::OkStatus();
  return absl::UnauthenticatedError(
      absl::StrCat(at_leaf ? "the certificate is refused: " : "the CA certificate is refused: ",
                   Explain(error, at_leaf ? *this : ca, now)));
}

std::string CertificatePin(const Certificate& certificate) {
  return absl::StrCat(std::string(kPinPrefix), certificate.Fingerprint().hex());
}

absl::StatusOr<Digest> ParseCertificatePin(std::string_view pin) {
  if (pin.substr(0, kPinPrefix.size()) == kPinPrefix) {
    absl::StatusOr<Digest> digest = Digest::FromHex(pin.substr(kPinPrefix.size()));
    if (digest.ok()) return digest;
  }
  return absl::InvalidArgumentError(
      "CA pin: expected sha256: and 64 hex digits; `muster-coordinator init` printed it, and "
      "`openssl x509 -in ca.pem -outform der | sha256sum` gives it again");
}

}  // namespace muster
