#include "client/identity/identity_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/identity/authority.h"
#include "proto/core/files.h"
#include "tests/support/temp_folder.h"

namespace muster {
namespace {

using std::chrono_literals::operator""h;
using testing::HasSubstr;

class IdentityFilesTest : public testing::Test {
 protected:
  IdentityFilesTest() {
    SystemRandom random;
    const Timestamp now = SystemClock().Now();
    EXPECT_TRUE(CertificateAuthority::Create(folder_.path() / "ca", random, now).ok());
    authority_.emplace(*CertificateAuthority::Open(folder_.path() / "ca"));
    identity_ = Make(Role::kDevice);
    std::filesystem::create_directories(dir());
  }
  DeviceIdentity Make(Role role) {
    EcPrivateKey key = *EcPrivateKey::Generate();
    DeviceIdentity identity;
    identity.key_pem = key.ToPem();
    identity.certificate_pem =
        authority_->SignCsr(*MakeCertificateRequest(key), role, "pi-1", 24h, SystemClock().Now())
            ->certificate_pem;
    identity.ca_pem = authority_->ca_pem();
    identity.package_key_pem = EcPrivateKey::Generate()->PublicKey().ToPem();
    identity.labels = {{"site", "a"}};
    return identity;
  }
  std::filesystem::path dir() const { return folder_.path() / kIdentityFolder; }
  absl::Status Load() { return LoadIdentity(folder_.path()).status(); }

  TempFolder folder_;
  std::optional<CertificateAuthority> authority_;
  DeviceIdentity identity_;
};

TEST_F(IdentityFilesTest, LoadSaysHowToEnrol) {
  absl::Status status = Load();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("muster-client enroll"));
}

TEST_F(IdentityFilesTest, APowerCutBeforeTheCredentialLeavesTheDeviceUnenrolled) {
  ASSERT_TRUE(CompleteIdentity(identity_).ok());
  ASSERT_TRUE(SaveNewIdentity(folder_.path(), identity_).ok());
  ASSERT_TRUE(Load().ok());
  std::filesystem::remove(dir() / kCredentialFile);
  EXPECT_EQ(Load().code(), absl::StatusCode::kNotFound);
}

TEST_F(IdentityFilesTest, EachMissingOrDamagedFileIsNamed) {
  ASSERT_TRUE(CompleteIdentity(identity_).ok());
  for (const char* file : {kPinnedCaFile, kPackageKeyFile, kDeviceFile}) {
    ASSERT_TRUE(SaveNewIdentity(folder_.path(), identity_).ok());
    std::filesystem::remove(dir() / file);
    EXPECT_THAT(std::string(Load().message()), HasSubstr(file));
    ASSERT_TRUE(WriteFileDurably(dir() / file, "damaged").ok());
    EXPECT_FALSE(Load().ok()) << file;
  }
}

TEST_F(IdentityFilesTest, AForeignCaKeyOrRoleIsNoIdentity) {
  DeviceIdentity other_key = identity_, researcher = Make(Role::kResearcher), renamed = identity_;
  other_key.key_pem = EcPrivateKey::Generate()->ToPem();
  EXPECT_THAT(std::string(CompleteIdentity(other_key).message()), HasSubstr("another key"));
  EXPECT_THAT(std::string(CompleteIdentity(researcher).message()), HasSubstr("not a device's"));
  renamed.id = DeviceId::Trusted("pi-2");
  EXPECT_THAT(std::string(CompleteIdentity(renamed).message()), HasSubstr("this device is pi-2"));

  SystemRandom random;
  ASSERT_TRUE(CertificateAuthority::Create(folder_.path() / "b", random, SystemClock().Now()).ok());
  DeviceIdentity foreign = identity_;
  foreign.ca_pem = CertificateAuthority::Open(folder_.path() / "b")->ca_pem();
  EXPECT_EQ(CompleteIdentity(foreign).code(), absl::StatusCode::kUnauthenticated);
}

}  // namespace
}  // namespace muster
