#include "proto/x509/trust_bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using std::chrono_literals::operator""h;
using testing::HasSubstr;

constexpr Timestamp kNow{1'750'000'000'000'000};

struct Authority {
  EcPrivateKey key = *EcPrivateKey::Generate();
  Certificate certificate = *MakeSelfSigned(Spec("CA", true), key);

  static CertificateSpec Spec(const std::string& unit, bool is_ca) {
    static char serial = 1;
    return {.unit = unit,
            .uri_names = {is_ca ? "spiffe://fleet.test" : "spiffe://fleet.test/x"},
            .is_ca = is_ca,
            .serial = std::string(1, serial++),
            .not_before = kNow - 1h,
            .not_after = kNow + 24h};
  }
  Certificate Issue() const {
    return *MakeCertificate(Spec("device", false), EcPrivateKey::Generate()->PublicKey(),
                            certificate, key);
  }
};

TEST(TrustBundle, EachOfItsAuthoritiesCounts) {
  // They share the subject, as the CAs of one coordinator do.
  const Authority old, fresh, foreign;
  const auto bundle = TrustBundle::FromPem(old.certificate.ToPem() + fresh.certificate.ToPem());
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  for (const Authority* authority : {&old, &fresh}) {
    const Certificate leaf = authority->Issue();
    EXPECT_TRUE(bundle->Verify(leaf, CertificateUse::kClient, kNow).ok());
    ASSERT_NE(bundle->IssuerOf(leaf), nullptr);
    EXPECT_EQ(bundle->IssuerOf(leaf)->Fingerprint(), authority->certificate.Fingerprint());
    EXPECT_FALSE(bundle->Verify(leaf, CertificateUse::kClient, kNow + 25h).ok());
  }
  const Certificate leaf = foreign.Issue();
  EXPECT_EQ(bundle->IssuerOf(leaf), nullptr);
  EXPECT_TRUE(absl::IsUnauthenticated(bundle->Verify(leaf, CertificateUse::kClient, kNow)));
  EXPECT_TRUE(bundle->Contains(old.certificate));
  EXPECT_FALSE(bundle->Contains(foreign.certificate));
}

TEST(TrustBundle, ReadsWhatItPrints) {
  const Authority one, two;
  const std::string pem = one.certificate.ToPem() + two.certificate.ToPem();
  EXPECT_EQ(TrustBundle::FromPem(pem)->ToPem(), pem);
}

TEST(TrustBundle, RefusesWhatAreNoAuthorities) {
  const Authority authority;
  const std::string pem = authority.certificate.ToPem();
  const auto refusal = [](const std::string& text) {
    const auto bundle = TrustBundle::FromPem(text);
    EXPECT_TRUE(absl::IsInvalidArgument(bundle.status())) << bundle.status();
    return std::string(bundle.status().message());
  };
  refusal("");
  refusal("hello");
  EXPECT_THAT(refusal(pem + authority.Issue().ToPem()), HasSubstr("no self-signed CA"));
  EXPECT_THAT(refusal(pem + pem), HasSubstr("twice"));
  std::string many;
  for (size_t i = 0; i <= kMaxAuthorities; ++i) many += Authority().certificate.ToPem();
  EXPECT_THAT(refusal(many), HasSubstr("at most 4"));
}

TEST(TrustBundle, ANameAloneIsNoTrust) {
  // A CA of the same names with another key, whose leaf claims our key id by nothing but its name.
  const Authority ours, theirs;
  const auto bundle = TrustBundle::FromPem(ours.certificate.ToPem());
  EXPECT_FALSE(bundle->Verify(theirs.Issue(), CertificateUse::kClient, kNow).ok());
  EXPECT_FALSE(bundle->Verify(theirs.certificate, CertificateUse::kClient, kNow).ok());
}

}  // namespace
}  // namespace muster
