#include "proto/x509/ec_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/stat.h>

#include "proto/core/files.h"
#include "proto/x509/openssl_handles.h"
#include "tests/support/temp_folder.h"

namespace muster {
namespace {

using testing::HasSubstr;

std::string PemOf(EVP_PKEY* key, bool secret) {
  openssl::Bio bio = openssl::WriteBio();
  if (secret) {
    PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  } else {
    PEM_write_bio_PUBKEY(bio.get(), key);
  }
  return openssl::Contents(bio.get());
}

TEST(EcKey, SignaturesVerifyWithThePublicHalfAlone) {
  auto key = EcPrivateKey::Generate();
  ASSERT_TRUE(key.ok());
  auto signature = key->Sign("a message");
  ASSERT_TRUE(signature.ok());
  auto reader = EcPublicKey::FromPem(key->PublicKey().ToPem());
  ASSERT_TRUE(reader.ok());
  EXPECT_TRUE(reader->Verify("a message", *signature).ok());
}

TEST(EcKey, AnotherMessageKeyOrSignatureIsUnauthenticated) {
  auto key = EcPrivateKey::Generate(), other = EcPrivateKey::Generate();
  auto signature = key->Sign("a message");
  std::string flipped = *signature;
  flipped.back() ^= 1;
  EcPublicKey reader = key->PublicKey();
  EXPECT_EQ(reader.Verify("a messagE", *signature).code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(reader.Verify("a message", flipped).code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(reader.Verify("a message", "").code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(reader.Verify("a message", *signature + *signature).code(),
            absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(other->PublicKey().Verify("a message", *signature).code(),
            absl::StatusCode::kUnauthenticated);
}

TEST(EcKey, PrivateKeysSurvivePemAndPublicPemHoldsNoSecret) {
  auto key = EcPrivateKey::Generate();
  auto again = EcPrivateKey::FromPem(key->ToPem());
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->PublicKey() == key->PublicKey());
  EXPECT_FALSE(EcPrivateKey::FromPem(key->PublicKey().ToPem()).ok());
}

TEST(EcKey, OtherCurvesAndKeyTypesAreRefused) {
  std::shared_ptr<EVP_PKEY> p384(EVP_EC_gen("P-384"), EVP_PKEY_free);
  std::shared_ptr<EVP_PKEY> rsa(EVP_RSA_gen(2048), EVP_PKEY_free);
  for (EVP_PKEY* key : {p384.get(), rsa.get()}) {
    EXPECT_THAT(std::string(EcPublicKey::FromPem(PemOf(key, false)).status().message()),
                HasSubstr("P-256"));
    EXPECT_EQ(EcPrivateKey::FromPem(PemOf(key, true)).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(EcKey, GarbageAndOversizedPemAreRefused) {
  EXPECT_FALSE(EcPublicKey::FromPem("").ok());
  EXPECT_FALSE(EcPublicKey::FromPem("-----BEGIN PUBLIC KEY-----\nAAAA\n").ok());
  EXPECT_THAT(
      std::string(EcPrivateKey::FromPem(std::string(kMaxPemBytes + 1, 'x')).status().message()),
      HasSubstr("at most"));
}

TEST(EcKey, KeyFilesBelongToTheOwnerAloneAndAreNeverReplaced) {
  TempFolder folder;
  auto key = EcPrivateKey::Generate();
  ASSERT_TRUE(WriteNewKeyFile(folder.path() / "k.pem", *key).ok());
  struct stat info {};
  ASSERT_EQ(stat((folder.path() / "k.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(WriteNewKeyFile(folder.path() / "k.pem", *EcPrivateKey::Generate()).code(),
            absl::StatusCode::kAlreadyExists);
  auto read = EcPrivateKey::FromFile(folder.path() / "k.pem");
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(read->PublicKey() == key->PublicKey());
}

TEST(EcKey, WipedStringsAreEmpty) {
  std::string secret = "secret";
  WipeString(secret);
  EXPECT_TRUE(secret.empty());
}

}  // namespace
}  // namespace muster
