#include "coordinator/identity/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "proto/core/files.h"
#include "tests/support/temp_folder.h"

namespace muster {
namespace {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""min;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr Timestamp kNow{1'700'000'000'000'000};
constexpr char kDomain[] = "fleet.example";

class AuthorityTest : public testing::Test {
 protected:
  AuthorityTest() {
    SystemRandom random;
    EXPECT_TRUE(CertificateAuthority::Create(dir(), random, kNow, kDomain).ok());
    authority_.emplace(*CertificateAuthority::Open(dir()));
  }
  std::filesystem::path dir() const { return folder_.path() / "ca"; }
  Certificate ca() const { return *Certificate::FromPem(authority_->ca_pem()); }
  IssuedCertificate Issue(const std::string& id, Duration lifetime = 24h, Timestamp now = kNow) {
    std::string csr = *MakeCertificateRequest(*EcPrivateKey::Generate());
    return *authority_->SignDeviceCsr(csr, *DeviceId::Parse(id), lifetime, now);
  }

  TempFolder folder_;
  std::optional<CertificateAuthority> authority_;
};

bool IsCritical(X509* x509, int nid) {
  int at = X509_get_ext_by_NID(x509, nid, -1);
  return at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(x509, at)) == 1;
}

TEST_F(AuthorityTest, RootLivesTenYearsAndMaySignLeavesOnly) {
  Certificate root = ca();
  X509* x509 = root.get();
  EXPECT_TRUE(root.IsCa());
  EXPECT_TRUE(root.IsSelfSigned());
  EXPECT_EQ(root.not_after(), kNow + kCaLifetime);
  EXPECT_EQ(X509_get_pathlen(x509), 0);
  EXPECT_TRUE(IsCritical(x509, NID_basic_constraints));
  EXPECT_TRUE(IsCritical(x509, NID_key_usage));
  EXPECT_EQ(X509_get_key_usage(x509), static_cast<uint32_t>(KU_KEY_CERT_SIGN | KU_CRL_SIGN));
  EXPECT_THAT(root.UriNames(), ElementsAre("spiffe://fleet.example"));
  EXPECT_EQ(authority_->trust_domain(), kDomain);
  EXPECT_EQ(authority_->ca_pin(), "sha256:" + Sha256(root.ToDer()).hex());
}

TEST_F(AuthorityTest, KeyFileBelongsToTheOwnerAlone) {
  struct stat info {};
  ASSERT_EQ(stat((dir() / kCaKeyFile).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(AuthorityTest, IsNeverReplaced) {
  SystemRandom random;
  absl::Status again = CertificateAuthority::Create(dir(), random, kNow, kDomain);
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(CertificateAuthority::Open(dir())->ca_pem(), authority_->ca_pem());
}

TEST_F(AuthorityTest, LeavesHaveExactlyTheFieldsOfAnSvid) {
  IssuedCertificate issued = Issue("pi-1");
  auto chain = Certificate::ChainFromPem(issued.certificate_pem);
  ASSERT_EQ(chain->size(), 2u);
  const Certificate& leaf = chain->front();
  X509* x509 = leaf.get();
  EXPECT_EQ(chain->back().ToPem(), authority_->ca_pem());
  EXPECT_EQ(X509_get_version(x509), X509_VERSION_3);
  EXPECT_THAT(leaf.UriNames(), ElementsAre("spiffe://fleet.example/tenant/default/device/pi-1"));
  EXPECT_TRUE(leaf.DnsNames().empty());
  EXPECT_FALSE(leaf.IsCa());
  EXPECT_TRUE(IsCritical(x509, NID_basic_constraints));
  EXPECT_TRUE(IsCritical(x509, NID_key_usage));
  EXPECT_EQ(X509_get_key_usage(x509), static_cast<uint32_t>(KU_DIGITAL_SIGNATURE));
  EXPECT_EQ(X509_get_extended_key_usage(x509),
            static_cast<uint32_t>(XKU_SSL_SERVER | XKU_SSL_CLIENT));
  EXPECT_EQ(X509_get_signature_nid(x509), NID_ecdsa_with_SHA256);
  EXPECT_EQ(leaf.not_before(), kNow - 5min);
  EXPECT_EQ(leaf.not_after(), kNow + 24h);
  EXPECT_EQ(issued.not_after, leaf.not_after());
  EXPECT_EQ(issued.serial, leaf.SerialHex());
  EXPECT_EQ(issued.serial.size(), 32u);
  EXPECT_TRUE(leaf.VerifyIssuedBy(ca(), CertificateUse::kClient, kNow).ok());
}

TEST_F(AuthorityTest, TheLeafStandsForWhomTheAuthoritySaid) {
  std::string csr = *MakeCertificateRequest(*EcPrivateKey::Generate());
  auto issued = authority_->SignCsr(csr, Role::kResearcher, "ada", 24h, kNow);
  ASSERT_TRUE(issued.ok());
  auto principal = PrincipalFromCertificatePem(issued->certificate_pem, kDomain);
  ASSERT_TRUE(principal.ok());
  EXPECT_EQ(*principal, (Principal{Role::kResearcher, "ada", issued->serial}));
}

TEST_F(AuthorityTest, ADeviceNamedLikeTheCoordinatorCannotServeInItsPlace) {
  Certificate leaf = *Certificate::FromPem(Issue(kCoordinatorName).certificate_pem);
  EXPECT_FALSE(leaf.VerifyIssuedBy(ca(), CertificateUse::kServer, kNow, kCoordinatorName).ok());
  // TLS libraries fall back to the common name, so there must be none.
  EXPECT_LT(X509_NAME_get_index_by_NID(X509_get_subject_name(leaf.get()), NID_commonName, -1), 0);
}

TEST_F(AuthorityTest, SerialsDiffer) { EXPECT_NE(Issue("a").serial, Issue("a").serial); }

TEST_F(AuthorityTest, ALeafNeverOutlivesTheRoot) {
  const Timestamp late = kNow + kCaLifetime - 1h;
  EXPECT_EQ(Issue("a", 24h, late).not_after, kNow + kCaLifetime);
  std::string csr = *MakeCertificateRequest(*EcPrivateKey::Generate());
  auto after = authority_->SignCsr(csr, Role::kDevice, "a", 24h, kNow + kCaLifetime + 1h);
  EXPECT_EQ(after.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(AuthorityTest, RefusesBadRequestsIdsAndLifetimes) {
  std::string csr = *MakeCertificateRequest(*EcPrivateKey::Generate());
  EXPECT_FALSE(authority_->SignCsr("junk", Role::kDevice, "a", 24h, kNow).ok());
  EXPECT_FALSE(authority_->SignCsr(csr, Role::kDevice, "../a", 24h, kNow).ok());
  EXPECT_FALSE(authority_->SignCsr(csr, Role::kDevice, "", 24h, kNow).ok());
  EXPECT_FALSE(authority_->SignCsr(csr, Role::kDevice, "a", 0h, kNow).ok());
  EXPECT_FALSE(authority_->SignCsr(csr, Role::kDevice, "a", kMaxLeafLifetime + 1h, kNow).ok());
}

TEST_F(AuthorityTest, ServerCertificatesCarryTheCoordinatorsNameAndHosts) {
  auto server = authority_->IssueServer({"localhost", "127.0.0.1", "::1"}, 24h, kNow);
  ASSERT_TRUE(server.ok()) << server.status();
  Certificate leaf = *Certificate::FromPem(server->certificate_pem);
  EXPECT_THAT(leaf.DnsNames(), ElementsAre(kCoordinatorName, "localhost"));
  EXPECT_TRUE(leaf.VerifyIssuedBy(ca(), CertificateUse::kServer, kNow, kCoordinatorName).ok());
  EXPECT_EQ(X509_check_ip_asc(leaf.get(), "127.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(leaf.get(), "::1", 0), 1);
  EXPECT_TRUE(*leaf.PublicKey() == EcPrivateKey::FromPem(server->key_pem)->PublicKey());
  EXPECT_EQ(PrincipalFromCertificatePem(server->certificate_pem, kDomain).status().code(),
            absl::StatusCode::kUnauthenticated);
  EXPECT_FALSE(authority_->IssueServer({"a b"}, 24h, kNow).ok());
  EXPECT_FALSE(authority_->IssueServer(std::vector<std::string>(33, "a"), 24h, kNow).ok());
}

TEST_F(AuthorityTest, MissingAndMixedFilesAreSaid) {
  EXPECT_THAT(std::string(CertificateAuthority::Open(folder_.path()).status().message()),
              HasSubstr("muster-coordinator init"));
  std::filesystem::remove(dir() / kCaKeyFile);
  EXPECT_FALSE(CertificateAuthority::Open(dir()).ok());
  ASSERT_TRUE(WriteNewKeyFile(dir() / kCaKeyFile, *EcPrivateKey::Generate()).ok());
  EXPECT_THAT(std::string(CertificateAuthority::Open(dir()).status().message()),
              HasSubstr("do not belong together"));
}

TEST(AuthorityCreate, RefusesAnImpossibleTrustDomain) {
  TempFolder folder;
  SystemRandom random;
  EXPECT_EQ(CertificateAuthority::Create(folder.path(), random, kNow, "Fleet/1").code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace muster
