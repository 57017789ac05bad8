// The certificate authority of one coordinator: ECDSA P-256, one level, a key file and a
// certificate file. While one takes over from another (ca_state.h) two are trusted, and one issues.
// Its leaves are SPIFFE X.509-SVIDs: exactly one URI name, cA=false, critical
// keyUsage digitalSignature, extended key usage client and server.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/identity/ca_state.h"
#include "coordinator/identity/spiffe.h"
#include "proto/core/ids.h"
#include "proto/core/random.h"
#include "proto/core/time.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"
#include "proto/x509/spiffe.h"
#include "proto/x509/trust_bundle.h"

namespace muster {

inline constexpr char kCaKeyFile[] = "ca-key.pem";                      // 0600
inline constexpr char kCaCertificateFile[] = "ca.pem";                  // 0644
inline constexpr auto kCaLifetime = std::chrono::hours(24 * 3653);      // ten years
inline constexpr auto kBackdate = std::chrono::minutes(5);              // for clocks that run slow
inline constexpr auto kMaxLeafLifetime = std::chrono::hours(24 * 825);  // any leaf
inline constexpr size_t kMaxServerHosts = 32;

struct IssuedCertificate {
  std::string certificate_pem;  // leaf, then CA
  std::string serial;           // lower-case hex
  Timestamp not_after;
};

struct ServerCredential {
  std::string certificate_pem;  // leaf, then CA
  std::string key_pem;          // secret
};

// Thread-safe once open.
class CertificateAuthority {
 public:
  // Makes key and certificate in `dir`, which is made if it is missing. AlreadyExists if a CA is
  // there: replacing one locks every device out.
  static absl::Status Create(const std::filesystem::path& dir, RandomSource& random, Timestamp now,
                             std::string_view trust_domain = kDefaultTrustDomain);
  // As authorities.json says.
  static absl::StatusOr<CertificateAuthority> Open(const std::filesystem::path& dir);
  static absl::StatusOr<CertificateAuthority> OpenAs(const std::filesystem::path& dir,
                                                     const CaState& state);
  // The files of one CA; a key that is there already is AlreadyExists.
  static absl::Status MakeKeyAndCertificate(const std::filesystem::path& key_file,
                                            const std::filesystem::path& certificate_file,
                                            RandomSource& random, Timestamp now,
                                            std::string_view trust_domain);

  const std::string& ca_pem() const { return ca_pem_; }       // of the one that issues
  std::string ca_pin() const { return CertificatePin(ca_); }  // its "sha256:<hex>" over the DER
  const std::string& trust_domain() const { return trust_domain_; }

  const CaState& state() const { return state_; }
  const TrustBundle& trust() const { return trust_; }   // all that are trusted, as in the state
  const Certificate& authority(uint32_t number) const;  // of one that is trusted

  // `csr_der` is an outside request: InvalidArgument unless it proves possession of a P-256 key.
  // Names inside it count for nothing. A leaf never outlives the CA.
  absl::StatusOr<IssuedCertificate> SignCsr(std::string_view csr_der, Role role,
                                            const std::string& id, Duration lifetime,
                                            Timestamp now) const;
  absl::StatusOr<IssuedCertificate> SignDeviceCsr(std::string_view csr_der, const DeviceId& device,
                                                  Duration lifetime, Timestamp now) const;

  // A fresh key and a leaf for the coordinator's own port, with DNS:muster-coordinator and `hosts`
  // (DNS names or IP addresses).
  absl::StatusOr<ServerCredential> IssueServer(const std::vector<std::string>& hosts,
                                               Duration lifetime, Timestamp now) const;

 private:
  CertificateAuthority(CaState state, EcPrivateKey key, Certificate ca, TrustBundle trust,
                       std::string trust_domain);
  absl::StatusOr<Certificate> Issue(CertificateSpec spec, const EcPublicKey& subject,
                                    Duration lifetime, Timestamp now) const;

  CaState state_;
  EcPrivateKey key_;
  Certificate ca_;
  TrustBundle trust_;
  std::string ca_pem_, trust_domain_;
};

}  // namespace muster
