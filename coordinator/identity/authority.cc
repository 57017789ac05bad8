#include "coordinator/identity/authority.h"

#include <arpa/inet.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/core/files.h"
#include "proto/core/status.h"

namespace muster {
namespace {

constexpr size_t kSerialBytes = 16;  // 128 random bits
constexpr size_t kMaxDnsNameBytes = 253;
constexpr char kServerKind[] = "coordinator";

std::string NewSerial(RandomSource& random) {
  std::string serial(kSerialBytes, '\0');
  random.Fill({reinterpret_cast<uint8_t*>(serial.data()), serial.size()});
  // Positive and never zero, without leading zero bytes: RFC 5280, 4.1.2.2.
  serial[0] = static_cast<char>((static_cast<uint8_t>(serial[0]) & 0x3f) | 0x40);
  return serial;
}

bool IsIpAddress(const std::string& host) {
  unsigned char buffer[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), buffer) == 1 ||
         inet_pton(AF_INET6, host.c_str(), buffer) == 1;
}

bool IsDnsName(const std::string& host) {
  return !host.empty() && host.size() <= kMaxDnsNameBytes &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '.' || c == '_';
         });
}

absl::Status AddHosts(const std::vector<std::string>& hosts, CertificateSpec& spec) {
  if (hosts.size() > kMaxServerHosts) {
    return absl::InvalidArgumentError(absl::StrCat(
        "server certificate: ", hosts.size(), " hosts, at most ", kMaxServerHosts, " allowed"));
  }
  for (const std::string& host : hosts) {
    if (host == kCoordinatorName) continue;
    if (IsIpAddress(host)) {
      spec.ip_names.push_back(host);
    } else if (IsDnsName(host)) {
      spec.dns_names.push_back(host);
    } else {
      return absl::InvalidArgumentError(
          "server certificate: a host is neither a DNS name nor an IP address");
    }
  }
  return absl::OkStatus();
}

// The CA's own SPIFFE ID is its trust domain alone.
absl::StatusOr<std::string> TrustDomainOf(const Certificate& ca) {
  const std::vector<std::string> uris = ca.UriNames();
  if (uris.size() != 1) {
    return absl::InvalidArgumentError("the CA certificate must carry exactly one URI name");
  }
  absl::string_view uri = uris.front();
  if (!absl::ConsumePrefix(&uri, "spiffe://")) {
    return absl::InvalidArgumentError("the CA certificate's URI name is not spiffe://...");
  }
  std::string trust_domain(uri);
  MUSTER_RETURN_IF_ERROR(ValidateTrustDomain(trust_domain));
  return trust_domain;
}

absl::StatusOr<Certificate> ReadAuthority(const std::filesystem::path& path) {
  MUSTER_ASSIGN_OR_RETURN(const std::string pem, ReadFile(path, kMaxPemBytes));
  absl::StatusOr<Certificate> authority = Certificate::FromPem(pem);
  if (!authority.ok()) return Annotate(authority.status(), path.string());
  return authority;
}

absl::Status NoAuthority(const std::filesystem::path& dir) {
  return absl::NotFoundError(absl::StrCat("there is no CA in ", dir.string(),
                                          "; make one with `muster-coordinator init`"));
}

}  // namespace

CertificateAuthority::CertificateAuthority(CaState state, EcPrivateKey key, Certificate ca,
                                           TrustBundle trust, std::string trust_domain)
    : state_(std::move(state)),
      key_(std::move(key)),
      ca_(std::move(ca)),
      trust_(std::move(trust)),
      ca_pem_(ca_.ToPem()),
      trust_domain_(std::move(trust_domain)) {}

absl::Status CertificateAuthority::Create(const std::filesystem::path& dir, RandomSource& random,
                                          Timestamp now, std::string_view trust_domain) {
  MUSTER_RETURN_IF_ERROR(ValidateTrustDomain(trust_domain));
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) return ErrnoStatus(error.value(), "making the CA's folder", dir);
  for (const char* file : {kCaCertificateFile, kCaStateFile}) {
    if (!std::filesystem::exists(dir / file, error)) continue;
    return absl::AlreadyExistsError(
        absl::StrCat((dir / file).string(),
                     " exists already: this coordinator has a CA, and another folder's "
                     "would lock every device out; `muster-coordinator ca rotate` replaces one"));
  }
  return MakeKeyAndCertificate(dir / kCaKeyFile, dir / kCaCertificateFile, random, now,
                               trust_domain);
}

absl::Status CertificateAuthority::MakeKeyAndCertificate(
    const std::filesystem::path& key_file, const std::filesystem::path& certificate_file,
    RandomSource& random, Timestamp now, std::string_view trust_domain) {
  CertificateSpec spec;
  spec.unit = "CA";
  spec.is_ca = true;
  spec.uri_names = {absl::StrCat("spiffe://", std::string(trust_domain))};
  spec.serial = NewSerial(random);
  spec.not_before = now - kBackdate;
  spec.not_after = now + kCaLifetime;
  MUSTER_ASSIGN_OR_RETURN(EcPrivateKey key, EcPrivateKey::Generate());
  MUSTER_ASSIGN_OR_RETURN(Certificate ca, MakeSelfSigned(spec, key));
  MUSTER_RETURN_IF_ERROR(WriteNewKeyFile(key_file, key));
  return WriteFileDurably(certificate_file, ca.ToPem(), kPublicFileMode);
}

absl::StatusOr<CertificateAuthority> CertificateAuthority::Open(const std::filesystem::path& dir) {
  MUSTER_ASSIGN_OR_RETURN(const CaState state, ReadCaState(dir));
  return OpenAs(dir, state);
}

absl::StatusOr<CertificateAuthority> CertificateAuthority::OpenAs(const std::filesystem::path& dir,
                                                                  const CaState& state) {
  std::string trusted_pem;
  std::optional<Certificate> issuer;
  for (const uint32_t number : state.trusted) {
    absl::StatusOr<Certificate> one = ReadAuthority(dir / CaCertificateFileOf(number));
    if (absl::IsNotFound(one.status())) {
      if (state == CaState()) return NoAuthority(dir);
      return absl::FailedPreconditionError(
          absl::StrCat((dir / CaCertificateFileOf(number)).string(), ", which ", kCaStateFile,
                       " names, is missing; restore the whole folder from one copy"));
    }
    MUSTER_RETURN_IF_ERROR(one.status());
    trusted_pem += one->ToPem();
    if (number == state.issuer) issuer = *one;
  }
  absl::StatusOr<TrustBundle> trust = TrustBundle::FromPem(trusted_pem);
  absl::StatusOr<EcPrivateKey> key = EcPrivateKey::FromFile(dir / CaKeyFileOf(state.issuer));
  if (!key.ok()) return Annotate(key.status(), "opening the CA's key");
  MUSTER_ASSIGN_OR_RETURN(EcPublicKey certified, issuer->PublicKey());
  if (!trust.ok() || !(certified == key->PublicKey())) {
    return absl::FailedPreconditionError(absl::StrCat(
        dir.string(), ": ", CaKeyFileOf(state.issuer), " and ", CaCertificateFileOf(state.issuer),
        " do not belong together; restore the whole folder from one copy"));
  }
  MUSTER_ASSIGN_OR_RETURN(std::string trust_domain, TrustDomainOf(*issuer));
  for (const Certificate& one : trust->authorities()) {
    MUSTER_ASSIGN_OR_RETURN(const std::string other, TrustDomainOf(one));
    if (other == trust_domain) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(dir.string(), ": its CAs are of two trust domains, ", trust_domain, " and ",
                     other, "; restore the whole folder from one copy"));
  }
  return CertificateAuthority(state, *std::move(key), *std::move(issuer), *std::move(trust),
                              std::move(trust_domain));
}

const Certificate& CertificateAuthority::authority(uint32_t number) const {
  const auto at = std::find(state_.trusted.begin(), state_.trusted.end(), number);
  return trust_.authorities()[static_cast<size_t>(at - state_.trusted.begin())];
}

absl::StatusOr<Certificate> CertificateAuthority::Issue(CertificateSpec spec,
                                                        const EcPublicKey& subject,
                                                        Duration lifetime, Timestamp now) const {
  if (lifetime <= Duration::zero() || lifetime > kMaxLeafLifetime) {
    return absl::InvalidArgumentError(
        "certificate: its lifetime must be positive and at most 825 days");
  }
  SystemRandom random;
  spec.serial = NewSerial(random);
  spec.not_before = std::max(now - kBackdate, ca_.not_before());
  spec.not_after = std::min(now + lifetime, ca_.not_after());
  if (spec.not_after <= now) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the CA itself expired at ", ca_.not_after().ToString(), "; the fleet needs a new one"));
  }
  return MakeCertificate(spec, subject, ca_, key_);
}

absl::StatusOr<IssuedCertificate> CertificateAuthority::SignCsr(std::string_view csr_der, Role role,
                                                                const std::string& id,
                                                                Duration lifetime,
                                                                Timestamp now) const {
  MUSTER_RETURN_IF_ERROR(ValidateId("certificate id", id));
  MUSTER_ASSIGN_OR_RETURN(EcPublicKey subject, VerifyCertificateRequest(csr_der));
  CertificateSpec spec;
  spec.unit = std::string(RoleName(role));
  spec.uri_names = {PrincipalUri(role, id, trust_domain_)};
  MUSTER_ASSIGN_OR_RETURN(Certificate leaf, Issue(std::move(spec), subject, lifetime, now));
  return IssuedCertificate{leaf.ToPem() + ca_pem_, leaf.SerialHex(), leaf.not_after()};
}

absl::StatusOr<IssuedCertificate> CertificateAuthority::SignDeviceCsr(std::string_view csr_der,
                                                                      const DeviceId& device,
                                                                      Duration lifetime,
                                                                      Timestamp now) const {
  return SignCsr(csr_der, Role::kDevice, device.value(), lifetime, now);
}

absl::StatusOr<ServerCredential> CertificateAuthority::IssueServer(
    const std::vector<std::string>& hosts, Duration lifetime, Timestamp now) const {
  CertificateSpec spec;
  spec.unit = kServerKind;
  spec.uri_names = {SpiffeId{trust_domain_, kDefaultTenant, kServerKind, "server"}.ToUri()};
  spec.dns_names = {kCoordinatorName};
  MUSTER_RETURN_IF_ERROR(AddHosts(hosts, spec));
  MUSTER_ASSIGN_OR_RETURN(EcPrivateKey key, EcPrivateKey::Generate());
  MUSTER_ASSIGN_OR_RETURN(Certificate leaf, Issue(std::move(spec), key.PublicKey(), lifetime, now));
  return ServerCredential{leaf.ToPem() + ca_pem_, key.ToPem()};
}

}  // namespace muster
