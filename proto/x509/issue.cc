// Making certificates and requests.
#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/err.h>

#include <initializer_list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/x509/certificate.h"
#include "proto/x509/openssl_handles.h"

namespace muster {
namespace {

constexpr size_t kMaxSerialBytes = 20;  // RFC 5280, 4.1.2.2
constexpr size_t kMaxNames = 64;

absl::Status MakeError(std::string_view what) {
  return OpenSslError(absl::StatusCode::kInternal, what);
}

bool AddNameEntry(X509_NAME* name, const char* field, const std::string& value) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

bool AddExtension(X509* x509, X509V3_CTX* context, int nid, const char* value) {
  openssl::Extension extension(X509V3_EXT_conf_nid(nullptr, context, nid, value));
  return extension != nullptr && X509_add_ext(x509, extension.get(), -1) == 1;
}

// Built as a structure, not as OpenSSL's configuration text, in which a comma in a name would begin
// another name.
absl::Status AddAlternativeNames(X509* x509, const CertificateSpec& spec) {
  openssl::Names names(sk_GENERAL_NAME_new_null());
  auto add = [&](int type, ASN1_STRING* value) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, type, value);
    sk_GENERAL_NAME_push(names.get(), name);
  };
  auto text = [](const std::string& value) {
    ASN1_IA5STRING* string = ASN1_IA5STRING_new();
    ASN1_STRING_set(string, value.data(), static_cast<int>(value.size()));
    return string;
  };
  if (spec.uri_names.size() + spec.dns_names.size() + spec.ip_names.size() > kMaxNames) {
    return absl::InvalidArgumentError(
        absl::StrCat("certificate: at most ", kMaxNames, " names allowed"));
  }
  for (const std::string& uri : spec.uri_names) add(GEN_URI, text(uri));
  for (const std::string& dns : spec.dns_names) add(GEN_DNS, text(dns));
  for (const std::string& ip : spec.ip_names) {
    ASN1_OCTET_STRING* address = a2i_IPADDRESS(ip.c_str());
    if (address == nullptr) {
      ERR_clear_error();
      return absl::InvalidArgumentError(absl::StrCat("certificate: ", ip, " is no IP address"));
    }
    add(GEN_IPADD, address);
  }
  if (sk_GENERAL_NAME_num(names.get()) == 0) return absl::OkStatus();
  if (X509_add1_ext_i2d(x509, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) != 1) {
    return MakeError("adding the certificate's names");
  }
  return absl::OkStatus();
}

bool AddExtensions(X509* x509, const CertificateSpec& spec, X509* issuer) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  if (!AddExtension(x509, &context, NID_basic_constraints,
                    spec.is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") ||
      !AddExtension(x509, &context, NID_key_usage,
                    spec.is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") ||
      !AddExtension(x509, &context, NID_subject_key_identifier, "hash") ||
      !AddExtension(x509, &context, NID_authority_key_identifier, "keyid:always")) {
    return false;
  }
  return spec.is_ca || AddExtension(x509, &context, NID_ext_key_usage, "serverAuth,clientAuth");
}

absl::StatusOr<Certificate> Make(const CertificateSpec& spec, EVP_PKEY* subject, X509* issuer,
                                 const EcPrivateKey& key) {
  if (spec.serial.empty() || spec.serial.size() > kMaxSerialBytes) {
    return absl::InvalidArgumentError("certificate: a serial number has 1 to 20 bytes");
  }
  if (spec.not_after <= spec.not_before) {
    return absl::InvalidArgumentError("certificate: it would end before it begins");
  }
  std::shared_ptr<X509> x509(X509_new(), X509_free);
  openssl::BigNum serial(BN_bin2bn(reinterpret_cast<const unsigned char*>(spec.serial.data()),
                                   static_cast<int>(spec.serial.size()), nullptr));
  X509* x = x509.get();
  X509* signer = issuer == nullptr ? x : issuer;
  const bool filled =
      x != nullptr && serial != nullptr && X509_set_version(x, X509_VERSION_3) == 1 &&
      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(x)) != nullptr &&
      ASN1_TIME_set(X509_getm_notBefore(x), spec.not_before.unix_us / 1'000'000) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(x), spec.not_after.unix_us / 1'000'000) != nullptr &&
      X509_set_pubkey(x, subject) == 1 && AddNameEntry(X509_get_subject_name(x), "O", "Muster") &&
      AddNameEntry(X509_get_subject_name(x), "OU", spec.unit) &&
      X509_set_issuer_name(x, X509_get_subject_name(signer)) == 1 && AddExtensions(x, spec, signer);
  if (!filled) return MakeError("filling in a certificate");
  MUSTER_RETURN_IF_ERROR(AddAlternativeNames(x, spec));
  if (X509_sign(x, key.get(), EVP_sha256()) == 0) return MakeError("signing a certificate");
  // Through DER, so that what is returned is what any reader of it will see.
  return Certificate::FromDer(Certificate::Wrap(std::move(x509)).ToDer());
}

}  // namespace

absl::StatusOr<Certificate> MakeSelfSigned(const CertificateSpec& spec, const EcPrivateKey& key) {
  return Make(spec, key.get(), nullptr, key);
}

absl::StatusOr<Certificate> MakeCertificate(const CertificateSpec& spec, const EcPublicKey& subject,
                                            const Certificate& issuer, const EcPrivateKey& key) {
  return Make(spec, subject.get(), issuer.get(), key);
}

absl::StatusOr<std::string> MakeCertificateRequest(const EcPrivateKey& key) {
  openssl::Req request(X509_REQ_new());
  openssl::Bio bio = openssl::WriteBio();
  if (request == nullptr || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      !AddNameEntry(X509_REQ_get_subject_name(request.get()), "O", "Muster") ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0 ||
      i2d_X509_REQ_bio(bio.get(), request.get()) != 1) {
    return MakeError("making a certificate request");
  }
  return openssl::Contents(bio.get());
}

absl::StatusOr<EcPublicKey> VerifyCertificateRequest(std::string_view der) {
  if (der.empty() || der.size() > limits::kMaxCsrBytes) {
    return absl::InvalidArgumentError(absl::StrCat("certificate request: ", der.size(),
                                                   " bytes, expected 1 to ", limits::kMaxCsrBytes));
  }
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* at = begin;
  openssl::Req request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
  if (request == nullptr) {
    return OpenSslError(absl::StatusCode::kInvalidArgument,
                        "certificate request: expected PKCS#10 in DER");
  }
  if (at != begin + der.size()) {
    return absl::InvalidArgumentError("certificate request: there are bytes after its end");
  }
  absl::StatusOr<EcPublicKey> key =
      EcPublicKey::Wrap({X509_REQ_get_pubkey(request.get()), EVP_PKEY_free});
  ERR_clear_error();
  if (!key.ok()) return Annotate(key.status(), "certificate request");
  if (X509_REQ_verify(request.get(), key->get()) != 1) {
    return OpenSslError(absl::StatusCode::kInvalidArgument,
                        "certificate request: its signature does not verify, so the sender has "
                        "not proved that it holds the key");
  }
  return key;
}

}  // namespace muster
