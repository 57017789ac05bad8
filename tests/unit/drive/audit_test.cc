// Each change by an operator, a researcher or a device is in the audit log once, with who did it.
#include "coordinator/drive/audit.h"

#include <gmock/gmock.h>

#include "coordinator/drive/fleet.h"
#include "coordinator/drive/promotions.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"
#include "tests/support/small_coordinator.h"

namespace muster {
namespace {

using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class AuditTest : public SmallCoordinator {
 protected:
  void SetUp() override {
    SmallCoordinator::SetUp();
    ASSERT_TRUE(CertificateAuthority::Create(folder_ / "ca", random_, clock_.Now()).ok());
    authority_.emplace(CertificateAuthority::Open(folder_ / "ca").value());
  }
  std::string Csr() { return MakeCertificateRequest(EcPrivateKey::Generate().value()).value(); }

  std::vector<AuditRecord> Rows() {
    std::vector<AuditRecord> rows;
    EXPECT_TRUE(store_
                    ->Read([&](const StoreReader& reader) -> absl::Status {
                      rows =
                          reader.ReadAuditChain(ChangesChain(context_->options), 0, 1000).value();
                      return absl::OkStatus();
                    })
                    .ok());
    return rows;
  }
  // "actor action subject" of each row.
  std::vector<std::string> Lines() {
    std::vector<std::string> lines;
    for (const AuditRecord& row : Rows()) {
      lines.push_back(row.actor + " " + row.action + " " + row.subject);
    }
    return lines;
  }

  std::optional<CertificateAuthority> authority_;
};

TEST_F(AuditTest, TokensEnrolmentsRenewalsAndRevocations) {
  const auto token = CreateToken(*context_, 2, hours(1), {{"site", "a"}}, "operator/ada").value();
  const std::string id = "token/" + token.record.id.value();
  const auto enrolled =
      Enrol(*context_, *authority_, hours(1),
            {.token = token.text, .csr_der = Csr(), .requested_name = DeviceId::Trusted("pump-7")});
  ASSERT_TRUE(enrolled.ok()) << enrolled.status();
  ASSERT_TRUE(
      RenewDevice(*context_, *authority_, hours(1), DeviceId::Trusted("pump-7"), Csr()).ok());
  ASSERT_TRUE(RevokeToken(*context_, token.record.id, "operator/bob").ok());
  ASSERT_TRUE(RevokeDevice(*context_, DeviceId::Trusted("pump-7"), "stolen", "operator/ada").ok());
  EXPECT_THAT(
      Lines(),
      ElementsAre("operator/ada token.create " + id, id + " device.enrol device/pump-7",
                  "device/pump-7 device.renew device/pump-7", "operator/bob token.revoke " + id,
                  "operator/ada device.revoke device/pump-7"));
  EXPECT_THAT(Rows()[1].detail, HasSubstr(enrolled->certificate.serial));
  EXPECT_THAT(Rows()[4].detail, HasSubstr("stolen"));
  for (const AuditRecord& row : Rows()) {
    EXPECT_EQ((row.detail + row.subject + row.actor).find(token.text), std::string::npos);
  }
}

TEST_F(AuditTest, JobsAndPromotions) {
  const JobId job = Submit(Spec(2));
  ASSERT_TRUE(CancelJob(*context_, job, "operator/ada").ok());
  EXPECT_THAT(Lines(), ElementsAre("researcher/test job.submit job/" + job.value(),
                                   "operator/ada job.cancel job/" + job.value()));
  ASSERT_TRUE(
      store_
          ->Write([&](StoreTx& tx) {
            return tx.PutModel({.id = {ModelName::Trusted("m"), 1}, .package = Sha256("package")});
          })
          .ok());
  ASSERT_TRUE(
      Promote(*context_, {ModelName::Trusted("m"), 1}, Selector(), true, "operator/ada").ok());
  ASSERT_TRUE(RollBack(*context_, "m", "", "operator/bob").ok());
  const auto lines = Lines();
  ASSERT_THAT(lines, SizeIs(4));
  EXPECT_EQ(lines[2], "operator/ada model.promote model/m@1");
  EXPECT_EQ(lines[3], "operator/bob model.roll-back model/m@1");
}

TEST_F(AuditTest, WhatChangedNothingLeavesNoRow) {
  const auto token = CreateToken(*context_, 1, hours(1), {}, "operator/ada").value();
  ASSERT_TRUE(RevokeToken(*context_, token.record.id, "operator/ada").ok());
  ASSERT_TRUE(RevokeToken(*context_, token.record.id, "operator/ada").ok());
  EXPECT_FALSE(
      Enrol(*context_, *authority_, hours(1), {.token = token.text, .csr_der = Csr()}).ok());
  EXPECT_FALSE(CancelJob(*context_, JobId::Trusted("j-none"), "operator/ada").ok());
  EXPECT_THAT(Rows(), SizeIs(2));
}

TEST(CutTextTest, CutsBetweenCharactersAndSaysSo) {
  EXPECT_EQ(CutText("short", 5), "short");
  EXPECT_EQ(CutText("longer", 5), "lo...");
  EXPECT_EQ(CutText("a\xC3\xA4\xC3\xA4\xC3\xA4", 6), "a\xC3\xA4...");
  EXPECT_EQ(CutText("\xC3\xA4\xC3\xA4\xC3\xA4", 4), "...");
}

}  // namespace
}  // namespace muster
