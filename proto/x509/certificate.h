// X.509 v3 certificates (RFC 5280) and PKCS#10 requests (RFC 2986), P-256 only.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/digest.h"
#include "proto/core/time.h"
#include "proto/x509/ec_key.h"

namespace muster {

inline constexpr size_t kMaxCertificateBytes = 16u << 10;  // DER
inline constexpr size_t kMaxChainLength = 8;

// The name that every coordinator's certificate carries and every client asks for. The pinned CA is
// what clients trust, so the coordinator may move between hosts and addresses.
inline constexpr char kCoordinatorName[] = "muster-coordinator";

enum class CertificateUse { kServer, kClient };

// Immutable; copies share one object.
class Certificate {
 public:
  static absl::StatusOr<Certificate> FromPem(std::string_view pem);  // the first one in it
  static absl::StatusOr<Certificate> FromDer(std::string_view der);
  // Every certificate in `pem`, in order; 1 to kMaxChainLength. Private keys between them are
  // skipped.
  static absl::StatusOr<std::vector<Certificate>> ChainFromPem(std::string_view pem);
  static Certificate Wrap(std::shared_ptr<X509> certificate);

  std::string ToPem() const;
  std::string ToDer() const;
  Digest Fingerprint() const;     // SHA-256 over the DER
  std::string SerialHex() const;  // lower case, no leading zeros
  Timestamp not_before() const;
  Timestamp not_after() const;
  std::vector<std::string> UriNames() const;  // subject alternative names
  std::vector<std::string> DnsNames() const;
  bool IsCa() const;
  bool IsSelfSigned() const;  // and the signature verifies
  absl::StatusOr<EcPublicKey> PublicKey() const;
  X509* get() const { return x509_.get(); }

  // Full path validation of this leaf against one trusted CA at time `now`. `name`, unless empty,
  // is a DNS name that the leaf must carry. Unauthenticated with the reason.
  absl::Status VerifyIssuedBy(const Certificate& ca, CertificateUse use, Timestamp now,
                              std::string_view name = {}) const;

 private:
  explicit Certificate(std::shared_ptr<X509> x509) : x509_(std::move(x509)) {}
  std::shared_ptr<X509> x509_;
};

// "sha256:<64 hex digits>" over the CA's DER: what a device is given to recognise its coordinator.
std::string CertificatePin(const Certificate& certificate);
absl::StatusOr<Digest> ParseCertificatePin(std::string_view pin);

// A certificate to be made. Subject: O=Muster, OU=`unit` and no common name, because TLS clients
// may take a common name for a host name; what a certificate stands for is in its SANs alone.
struct CertificateSpec {
  std::string unit;
  std::vector<std::string> uri_names, dns_names, ip_names;
  bool is_ca = false;               // keyCertSign and cRLSign, path length 0; else digitalSignature
  std::string serial;               // 1 to 20 big-endian bytes, positive
  Timestamp not_before, not_after;  // whole seconds; fractions are cut
};

absl::StatusOr<Certificate> MakeSelfSigned(const CertificateSpec& spec, const EcPrivateKey& key);
absl::StatusOr<Certificate> MakeCertificate(const CertificateSpec& spec, const EcPublicKey& subject,
                                            const Certificate& issuer, const EcPrivateKey& key);

// A PKCS#10 request in DER, signed with `key`. It names nobody: the issuer decides the names.
absl::StatusOr<std::string> MakeCertificateRequest(const EcPrivateKey& key);

// The key of a request that proves possession of it. InvalidArgument for anything else: oversized,
// trailing bytes, another curve, a signature that does not verify.
absl::StatusOr<EcPublicKey> VerifyCertificateRequest(std::string_view der);

}  // namespace muster
