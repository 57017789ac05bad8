#include "coordinator/drive/fleet.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"
#include "tests/support/small_coordinator.h"

namespace muster {
namespace {

using std::chrono::hours;

class EnrolTest : public SmallCoordinator {
 protected:
  void SetUp() override {
    SmallCoordinator::SetUp();
    ASSERT_TRUE(CertificateAuthority::Create(folder_ / "ca", random_, clock_.Now()).ok());
    authority_.emplace(CertificateAuthority::Open(folder_ / "ca").value());
  }
  absl::StatusOr<Enrolled> Join(const std::string& token, const std::string& name = "",
                                const Labels& labels = {}) {
    const auto key = EcPrivateKey::Generate().value();
    return Enrol(*context_, *authority_, hours(24),
                 {.token = token,
                  .csr_der = MakeCertificateRequest(key).value(),
                  .requested_name = name.empty() ? DeviceId() : DeviceId::Trusted(name),
                  .labels = labels});
  }
  std::optional<CertificateAuthority> authority_;
};

TEST_F(EnrolTest, ATokenAdmitsAsOftenAsItSays) {
  const auto token = CreateToken(*context_, 2, hours(1), {}, "operator/test").value();
  EXPECT_TRUE(Join(token.text).ok());
  EXPECT_TRUE(Join(token.text).ok());
  const auto third = Join(token.text);
  EXPECT_TRUE(absl::IsPermissionDenied(third.status())) << third.status();
}

TEST_F(EnrolTest, ARefusedEnrolmentUsesNothingUp) {
  const auto token = CreateToken(*context_, 1, hours(1), {}, "operator/test").value();
  EXPECT_FALSE(
      Enrol(*context_, *authority_, hours(24), {.token = token.text, .csr_der = "x"}).ok());
  EXPECT_TRUE(Join(token.text).ok());
}

TEST_F(EnrolTest, ExpiredRevokedAndForgedTokensAreRefused) {
  const auto token = CreateToken(*context_, 5, hours(1), {}, "operator/test").value();
  std::string forged = token.text;
  forged.back() = forged.back() == '0' ? '1' : '0';
  EXPECT_TRUE(absl::IsUnauthenticated(Join(forged).status()));
  ASSERT_TRUE(RevokeToken(*context_, token.record.id, "operator/test").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Join(token.text).status()));
  const auto brief = CreateToken(*context_, 5, hours(1), {}, "operator/test").value();
  clock_.Advance(hours(1));
  EXPECT_TRUE(absl::IsPermissionDenied(Join(brief.text).status()));
}

TEST_F(EnrolTest, TheTokensLabelsWinOverTheDevices) {
  const auto token = CreateToken(*context_, 1, hours(1), {{"site", "a"}}, "operator/test").value();
  const auto enrolled = Join(token.text, "", {{"site", "b"}, {"rack", "3"}});
  ASSERT_TRUE(enrolled.ok()) << enrolled.status();
  EXPECT_EQ(enrolled->device.labels, (Labels{{"rack", "3"}, {"site", "a"}}));
}

TEST_F(EnrolTest, ANameIsTakenForGoodAlsoAfterRevocation) {
  const auto token = CreateToken(*context_, 5, hours(1), {}, "operator/test").value();
  ASSERT_TRUE(Join(token.text, "pump-7").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Join(token.text, "pump-7").status()));
  ASSERT_TRUE(RevokeDevice(*context_, DeviceId::Trusted("pump-7"), "stolen", "operator/test").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Join(token.text, "pump-7").status()));
}

TEST_F(EnrolTest, StandingIsLostWithRevocationAndNeverHadByStrangers) {
  const auto token = CreateToken(*context_, 1, hours(1), {}, "operator/test").value();
  const DeviceId id = Join(token.text)->device.id;
  EXPECT_TRUE(CheckStanding(*context_, id).ok());
  ASSERT_TRUE(RevokeDevice(*context_, id, "sold", "operator/test").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(CheckStanding(*context_, id)));
  EXPECT_TRUE(absl::IsUnauthenticated(CheckStanding(*context_, DeviceId::Trusted("nobody"))));
}

}  // namespace
}  // namespace muster
