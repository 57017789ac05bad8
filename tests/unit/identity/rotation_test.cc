#include "coordinator/identity/rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/identity/authority.h"
#include "coordinator/identity/ca_watch.h"
#include "proto/core/files.h"
#include "tests/support/temp_folder.h"

namespace muster {
namespace {

namespace fs = std::filesystem;
using std::chrono_literals::operator""h;
using testing::HasSubstr;

TEST(CaState, GoesRoundOneStepAtATime) {
  CaState state;
  EXPECT_EQ(state.stage(), CaStage::kSettled);
  EXPECT_TRUE(absl::IsFailedPrecondition(Switched(state).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Retired(state).status()));
  state = *Announced(state);
  EXPECT_EQ(state, (CaState{.generation = 2, .issuer = 1, .trusted = {1, 2}}));
  EXPECT_EQ(state.stage(), CaStage::kAnnounced);
  EXPECT_THAT(std::string(Announced(state).status().message()), HasSubstr("ca switch"));
  EXPECT_THAT(std::string(Retired(state).status().message()), HasSubstr("ca switch"));
  state = *Switched(state);
  EXPECT_EQ(state, (CaState{.generation = 2, .issuer = 2, .trusted = {1, 2}}));
  EXPECT_EQ(state.stage(), CaStage::kSwitched);
  EXPECT_THAT(std::string(Announced(state).status().message()), HasSubstr("ca retire"));
  EXPECT_THAT(std::string(Switched(state).status().message()), HasSubstr("ca retire"));
  state = *Retired(state);
  EXPECT_EQ(state, (CaState{.generation = 3, .issuer = 2, .trusted = {2}}));
  EXPECT_EQ(state.stage(), CaStage::kSettled);
  EXPECT_EQ(Announced(state)->trusted, (std::vector<uint32_t>{2, 3}));
}

TEST(CaState, ReadsWhatItPrints) {
  for (const CaState& state :
       {CaState{}, CaState{2, 1, {1, 2}}, CaState{2, 2, {1, 2}}, CaState{7, 4, {4}}}) {
    EXPECT_EQ(*ParseCaState(PrintCaState(state)), state);
  }
}

TEST(CaState, RefusesWhatNoStepLeadsTo) {
  for (const char* text : {"", "{}", "[1]", R"({"generation":0,"issuer":1,"trusted":[1]})",
                           R"({"generation":1,"issuer":2,"trusted":[1]})",
                           R"({"generation":1,"issuer":1,"trusted":[]})",
                           R"({"generation":1,"issuer":1,"trusted":[1,1]})",
                           R"({"generation":1,"issuer":1,"trusted":[2,1]})",
                           R"({"generation":1,"issuer":1,"trusted":[0,1]})",
                           R"({"generation":1,"issuer":1,"trusted":[1,2,3]})",
                           R"({"generation":1,"issuer":1,"trusted":[1,99999999999]})",
                           R"({"generation":-1,"issuer":1,"trusted":[1]})",
                           R"({"generation":"1","issuer":1,"trusted":[1]})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseCaState(text).status())) << text;
  }
}

class RotationTest : public testing::Test {
 protected:
  RotationTest() {
    EXPECT_TRUE(CertificateAuthority::Create(dir(), random_, now_, "fleet.test").ok());
  }
  const fs::path& dir() const { return folder_.path(); }
  CertificateAuthority Open() const { return *CertificateAuthority::Open(dir()); }
  Certificate Leaf(const CertificateAuthority& authority) {
    const EcPrivateKey key = *EcPrivateKey::Generate();
    return *Certificate::FromPem(
        authority.SignCsr(*MakeCertificateRequest(key), Role::kDevice, "pi", 24h, now_)
            ->certificate_pem);
  }
  static bool Accepts(const CertificateAuthority& authority, const Certificate& leaf) {
    return authority.trust().Verify(leaf, CertificateUse::kClient, leaf.not_before()).ok();
  }
  void Announce() { ASSERT_TRUE(AnnounceCa(dir(), random_, now_).ok()); }
  void Switch() { ASSERT_TRUE(SwitchCa(dir()).ok()); }

  TempFolder folder_;
  SystemRandom random_;
  const Timestamp now_ = SystemClock().Now();
};

TEST_F(RotationTest, NeighbouringStepsAcceptWhatEachOtherIssues) {
  std::vector<CertificateAuthority> steps;
  steps.push_back(Open());
  Announce();
  steps.push_back(Open());
  Switch();
  steps.push_back(Open());
  ASSERT_TRUE(RetireCa(dir()).ok());
  steps.push_back(Open());
  for (size_t i = 0; i + 1 < steps.size(); ++i) {
    EXPECT_TRUE(Accepts(steps[i], Leaf(steps[i]))) << i;
    EXPECT_TRUE(Accepts(steps[i + 1], Leaf(steps[i + 1]))) << i;
    EXPECT_TRUE(Accepts(steps[i + 1], Leaf(steps[i]))) << i;
    EXPECT_TRUE(Accepts(steps[i], Leaf(steps[i + 1]))) << i;
  }
  EXPECT_EQ(steps[0].ca_pin(), steps[1].ca_pin());
  EXPECT_NE(steps[1].ca_pin(), steps[2].ca_pin());
  EXPECT_EQ(steps[2].ca_pin(), steps[3].ca_pin());
  EXPECT_FALSE(Accepts(steps[3], Leaf(steps[0]))) << "which is what it is for";
  EXPECT_EQ(steps[3].trust_domain(), "fleet.test");
}

TEST_F(RotationTest, TheRetiredKeyIsGone) {
  Announce();
  Switch();
  EXPECT_TRUE(fs::exists(dir() / kCaKeyFile));
  ASSERT_TRUE(RetireCa(dir()).ok());
  EXPECT_FALSE(fs::exists(dir() / kCaKeyFile));
  EXPECT_FALSE(fs::exists(dir() / kCaCertificateFile));
  EXPECT_EQ(Open().state().trusted, std::vector<uint32_t>{2});
}

TEST_F(RotationTest, ANewKeyIsTheOwnersAlone) {
  Announce();
  EXPECT_EQ(fs::status(dir() / "ca-2-key.pem").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

// Killed after the key, or after key and certificate, were written: nothing has happened.
TEST_F(RotationTest, KilledBeforeItsCommitItBeginsAnew) {
  const std::string before = Open().trust().ToPem();
  ASSERT_TRUE(WriteFileDurably(dir() / "ca-2-key.pem", "half", 0600).ok());
  EXPECT_EQ(Open().trust().ToPem(), before);
  Announce();
  EXPECT_EQ(Open().state().generation, 2u);
  Switch();
  EXPECT_EQ(Open().state().issuer, 2u);
}

// Killed between the commit and the removal of the old key.
TEST_F(RotationTest, KilledAfterItsCommitTheRetirementIsDoneAndCanBeFinished) {
  Announce();
  Switch();
  const std::string key = *ReadFile(dir() / kCaKeyFile, 10'000);
  const std::string certificate = *ReadFile(dir() / kCaCertificateFile, 10'000);
  ASSERT_TRUE(RetireCa(dir()).ok());
  ASSERT_TRUE(WriteFileDurably(dir() / kCaKeyFile, key, 0600).ok());
  ASSERT_TRUE(WriteFileDurably(dir() / kCaCertificateFile, certificate).ok());
  EXPECT_EQ(Open().state().trusted, std::vector<uint32_t>{2});
  ASSERT_TRUE(RetireCa(dir()).ok());
  EXPECT_FALSE(fs::exists(dir() / kCaKeyFile));
  EXPECT_EQ(Open().state().generation, 3u);
  EXPECT_TRUE(absl::IsFailedPrecondition(RetireCa(dir()).status()));
}

TEST_F(RotationTest, ASwitchToWhatCannotIssueIsRefused) {
  Announce();
  fs::remove(dir() / "ca-2-key.pem");
  EXPECT_FALSE(SwitchCa(dir()).ok());
  EXPECT_EQ(Open().state().issuer, 1u);
}

TEST_F(RotationTest, MixedUpFilesAreRefused) {
  Announce();
  fs::copy_file(dir() / kCaKeyFile, dir() / "ca-2-key.pem", fs::copy_options::overwrite_existing);
  EXPECT_TRUE(absl::IsFailedPrecondition(SwitchCa(dir()).status()));
}

TEST_F(RotationTest, AnotherCoordinatorIsNotMadeOverARotatedOne) {
  Announce();
  Switch();
  ASSERT_TRUE(RetireCa(dir()).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(CertificateAuthority::Create(dir(), random_, now_)));
}

TEST_F(RotationTest, TheWatchSeesAStepOnceItIsWhole) {
  CaWatch watch(dir(), Open().state());
  EXPECT_FALSE(watch.Changed());
  // A copy of the folder from elsewhere, file by file, in the worst order.
  const TempFolder other;
  fs::copy(dir(), other.path(), fs::copy_options::recursive);
  ASSERT_TRUE(AnnounceCa(other.path(), random_, now_).ok());
  ASSERT_TRUE(SwitchCa(other.path()).ok());
  for (const char* file : {kCaStateFile, "ca-2.pem"}) {
    fs::copy_file(other.path() / file, dir() / file);
    EXPECT_FALSE(watch.Changed()) << file;
  }
  fs::copy_file(other.path() / "ca-2-key.pem", dir() / "ca-2-key.pem");
  EXPECT_TRUE(watch.Changed());
  ASSERT_TRUE(WriteFileDurably(dir() / kCaStateFile, "damaged").ok());
  EXPECT_FALSE(watch.Changed());
}

}  // namespace
}  // namespace muster
