#include "client/agent/secure_vault.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <set>

#include "proto/core/files.h"

namespace muster {
namespace {

class SecureVaultTest : public testing::Test {
 protected:
  SecureVaultTest() {
    std::string name = testing::TempDir() + "/vault-XXXXXX";
    dir_ = mkdtemp(name.data());
  }
  ~SecureVaultTest() override { std::filesystem::remove_all(dir_); }
  SecureVault Vault() { return SecureVault(dir_ / "secagg.key", random_); }

  std::filesystem::path dir_;
  SystemRandom random_;
  const InvocationId id_ = InvocationId::Trusted("inv-1");
  const std::string secret_ = std::string("seed\0and keys", 13);
};

TEST_F(SecureVaultTest, OpensWhatItSealedAlsoInAnotherProcess) {
  const std::string sealed = *Vault().Seal(id_, "state", secret_);
  EXPECT_EQ(sealed.find("seed"), std::string::npos);
  EXPECT_EQ(Vault().Open(id_, "state", sealed)->view(), secret_);
}

TEST_F(SecureVaultTest, TheKeyIsMadeOnceAndItsOwnersAlone) {
  EXPECT_TRUE(absl::IsDataLoss(Vault().Open(id_, "state", std::string(60, '\1')).status()));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "secagg.key")) << "opening makes no key";
  ASSERT_TRUE(Vault().Seal(id_, "state", secret_).ok());
  const std::string key = *ReadFile(dir_ / "secagg.key", 100);
  EXPECT_EQ(key.size(), 32u);
  struct stat info {};
  ASSERT_EQ(stat((dir_ / "secagg.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_TRUE(Vault().Seal(id_, "state", secret_).ok());
  EXPECT_EQ(*ReadFile(dir_ / "secagg.key", 100), key);
}

TEST_F(SecureVaultTest, TheSameSecretNeverLooksTheSame) {
  std::set<std::string> nonces;
  for (int i = 0; i < 100; ++i) nonces.insert(Vault().Seal(id_, "state", secret_)->substr(1, 12));
  EXPECT_EQ(nonces.size(), 100u);
}

TEST_F(SecureVaultTest, EveryChangedByteIsNoticed) {
  const std::string sealed = *Vault().Seal(id_, "state", secret_);
  for (size_t i = 0; i < sealed.size(); ++i) {
    std::string bad = sealed;
    bad[i] = static_cast<char>(bad[i] ^ 0x40);
    EXPECT_TRUE(absl::IsDataLoss(Vault().Open(id_, "state", bad).status())) << "byte " << i;
    EXPECT_TRUE(absl::IsDataLoss(Vault().Open(id_, "state", sealed.substr(0, i)).status()));
  }
  EXPECT_TRUE(absl::IsDataLoss(Vault().Open(id_, "state", sealed + "x").status()));
}

TEST_F(SecureVaultTest, OneSessionsStateCannotStandInForAnothers) {
  const std::string sealed = *Vault().Seal(id_, "state", secret_);
  EXPECT_TRUE(
      absl::IsDataLoss(Vault().Open(InvocationId::Trusted("inv-2"), "state", sealed).status()));
  EXPECT_TRUE(absl::IsDataLoss(Vault().Open(id_, "other", sealed).status()));
}

TEST_F(SecureVaultTest, ALostOrWrongKeyIsALostState) {
  const std::string sealed = *Vault().Seal(id_, "state", secret_);
  for (const std::string& key :
       {std::string(32, 'k'), std::string(31, 'k'), std::string(33, 'k'), std::string()}) {
    ASSERT_TRUE(WriteFileDurably(dir_ / "secagg.key", key).ok());
    EXPECT_TRUE(absl::IsDataLoss(Vault().Open(id_, "state", sealed).status())) << key.size();
  }
  std::filesystem::remove(dir_ / "secagg.key");
  EXPECT_TRUE(absl::IsDataLoss(Vault().Open(id_, "state", sealed).status()));
  // Later sessions go on under a new key.
  const std::string later = *Vault().Seal(id_, "state", secret_);
  EXPECT_EQ(Vault().Open(id_, "state", later)->view(), secret_);
}

}  // namespace
}  // namespace muster
