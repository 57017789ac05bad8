#include "proto/x509/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ec.h>

#include "proto/core/limits.h"
#include "proto/x509/openssl_handles.h"

namespace muster {
namespace {

using std::chrono_literals::operator""h;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr Timestamp kNow{1'700'000'000'000'000};

CertificateSpec Spec(std::string unit, bool is_ca) {
  CertificateSpec spec;
  spec.unit = std::move(unit);
  spec.is_ca = is_ca;
  spec.serial = std::string("\x41\x02\x03", 3);
  spec.not_before = kNow - 1h;
  spec.not_after = kNow + 1h;
  return spec;
}

struct Authority {
  EcPrivateKey key = *EcPrivateKey::Generate();
  Certificate certificate = *MakeSelfSigned(Spec("CA", true), key);
};

TEST(Certificate, SurvivesPemAndDer) {
  Authority ca;
  auto from_pem = Certificate::FromPem(ca.certificate.ToPem());
  auto from_der = Certificate::FromDer(ca.certificate.ToDer());
  ASSERT_TRUE(from_pem.ok() && from_der.ok());
  EXPECT_EQ(from_pem->ToDer(), ca.certificate.ToDer());
  EXPECT_EQ(from_der->Fingerprint(), Sha256(ca.certificate.ToDer()));
  EXPECT_EQ(from_der->SerialHex(), "410203");
  EXPECT_EQ(from_der->not_before(), kNow - 1h);
  EXPECT_EQ(from_der->not_after(), kNow + 1h);
  EXPECT_FALSE(Certificate::FromDer(ca.certificate.ToDer() + "x").ok());
}

TEST(Certificate, ChainsSkipKeysAndAreBounded) {
  Authority ca;
  std::string pem = ca.certificate.ToPem();
  auto chain = Certificate::ChainFromPem(ca.key.ToPem() + pem + pem);
  ASSERT_TRUE(chain.ok()) << chain.status();
  EXPECT_EQ(chain->size(), 2u);
  std::string many;
  for (size_t i = 0; i <= kMaxChainLength; ++i) many += pem;
  EXPECT_THAT(std::string(Certificate::ChainFromPem(many).status().message()),
              HasSubstr("more than"));
  EXPECT_FALSE(Certificate::ChainFromPem("").ok());
  EXPECT_FALSE(Certificate::ChainFromPem(pem + pem.substr(0, pem.size() / 2)).ok());
}

TEST(Certificate, NamesWithCommasStayOneName) {
  Authority ca;
  CertificateSpec spec = Spec("device", false);
  spec.dns_names = {"a,DNS:muster-coordinator"};
  spec.ip_names = {"127.0.0.1", "::1"};
  auto leaf = MakeCertificate(spec, ca.key.PublicKey(), ca.certificate, ca.key);
  ASSERT_TRUE(leaf.ok());
  EXPECT_THAT(leaf->DnsNames(), ElementsAre("a,DNS:muster-coordinator"));
  spec.ip_names = {"300.0.0.1"};
  EXPECT_FALSE(MakeCertificate(spec, ca.key.PublicKey(), ca.certificate, ca.key).ok());
}

TEST(Certificate, VerificationChecksIssuerTimeAndName) {
  Authority ca, other;
  CertificateSpec spec = Spec("coordinator", false);
  spec.dns_names = {kCoordinatorName};
  EcPrivateKey key = *EcPrivateKey::Generate();
  Certificate leaf = *MakeCertificate(spec, key.PublicKey(), ca.certificate, ca.key);
  auto verify = [&](const Certificate& issuer, Timestamp now, const char* name) {
    return leaf.VerifyIssuedBy(issuer, CertificateUse::kServer, now, name);
  };
  EXPECT_TRUE(verify(ca.certificate, kNow, kCoordinatorName).ok());
  EXPECT_EQ(verify(other.certificate, kNow, kCoordinatorName).code(),
            absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(verify(ca.certificate, kNow, "elsewhere").code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(verify(ca.certificate, kNow + 2h, kCoordinatorName).message()),
              HasSubstr("expired at " + leaf.not_after().ToString()));
  EXPECT_THAT(std::string(verify(ca.certificate, kNow - 2h, kCoordinatorName).message()),
              HasSubstr("valid from"));
}

TEST(Certificate, ALeafCannotIssue) {
  Authority ca;
  EcPrivateKey key = *EcPrivateKey::Generate();
  Certificate leaf =
      *MakeCertificate(Spec("device", false), key.PublicKey(), ca.certificate, ca.key);
  Certificate forged = *MakeCertificate(Spec("operator", false), key.PublicKey(), leaf, key);
  EXPECT_FALSE(forged.VerifyIssuedBy(leaf, CertificateUse::kClient, kNow).ok());
  EXPECT_FALSE(forged.VerifyIssuedBy(ca.certificate, CertificateUse::kClient, kNow).ok());
}

TEST(CertificatePin, IsTheDigestOfTheDerAndParsesStrictly) {
  Authority ca;
  const std::string pin = CertificatePin(ca.certificate);
  EXPECT_EQ(pin, "sha256:" + Sha256(ca.certificate.ToDer()).hex());
  EXPECT_EQ(*ParseCertificatePin(pin), ca.certificate.Fingerprint());
  EXPECT_FALSE(ParseCertificatePin(pin.substr(7)).ok());
  EXPECT_FALSE(ParseCertificatePin(pin.substr(0, pin.size() - 1)).ok());
  EXPECT_FALSE(ParseCertificatePin("sha1:" + pin.substr(7)).ok());
}

TEST(CertificateRequest, ProvesPossessionOfItsKey) {
  EcPrivateKey key = *EcPrivateKey::Generate();
  auto request = MakeCertificateRequest(key);
  ASSERT_TRUE(request.ok());
  auto verified = VerifyCertificateRequest(*request);
  ASSERT_TRUE(verified.ok()) << verified.status();
  EXPECT_TRUE(*verified == key.PublicKey());
}

TEST(CertificateRequest, RefusesAStolenKeyTrailingBytesAndOversize) {
  std::string request = *MakeCertificateRequest(*EcPrivateKey::Generate());
  std::string resigned = request;
  resigned[resigned.size() - 4] ^= 1;  // inside the signature
  EXPECT_EQ(VerifyCertificateRequest(resigned).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(VerifyCertificateRequest(request + "x").ok());
  EXPECT_FALSE(VerifyCertificateRequest("").ok());
  EXPECT_FALSE(VerifyCertificateRequest(std::string(limits::kMaxCsrBytes + 1, 'x')).ok());
}

TEST(CertificateRequest, RefusesOtherCurves) {
  std::shared_ptr<EVP_PKEY> key(EVP_EC_gen("P-384"), EVP_PKEY_free);
  openssl::Req request(X509_REQ_new());
  openssl::Bio bio = openssl::WriteBio();
  X509_REQ_set_pubkey(request.get(), key.get());
  ASSERT_NE(X509_REQ_sign(request.get(), key.get(), EVP_sha256()), 0);
  ASSERT_EQ(i2d_X509_REQ_bio(bio.get(), request.get()), 1);
  auto verified = VerifyCertificateRequest(openssl::Contents(bio.get()));
  EXPECT_THAT(std::string(verified.status().message()), HasSubstr("P-256"));
}

}  // namespace
}  // namespace muster
