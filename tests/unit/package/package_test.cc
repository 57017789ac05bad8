#include "models/package/package.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "models/package/base64.h"
#include "models/package/statement.h"
#include "proto/core/limits.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/package/golden.h"

namespace muster {
namespace {

using testing::HasSubstr;

Package Sample() {
  return {"mnist@3",
          {{kWeightsResource, Sha256("weights"), 7},
           {kManifestResource, Sha256("manifest"), 8},
           {"sub/file", Sha256("file"), 4}}};
}

class PackageTest : public testing::Test {
 protected:
  PackageTest() {
    EXPECT_TRUE(PackageSigner::Create(folder_.path() / "key.pem").ok());
    signer_.emplace(*PackageSigner::Open(folder_.path() / "key.pem"));
    verifier_.emplace(*PackageVerifier::FromPublicKeyPem(signer_->public_key_pem()));
  }
  TempFolder folder_;
  std::optional<PackageSigner> signer_;
  std::optional<PackageVerifier> verifier_;
};

TEST_F(PackageTest, VerifiesToWhatWasSignedInPathOrder) {
  auto bytes = signer_->Sign(Sample());
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  auto package = verifier_->Verify(*bytes);
  ASSERT_TRUE(package.ok()) << package.status();
  EXPECT_EQ(package->name, "mnist@3");
  ASSERT_EQ(package->resources.size(), 3u);
  EXPECT_EQ(package->resources[0].name, kManifestResource);
  EXPECT_EQ(package->resources[1].name, "sub/file");
  ASSERT_NE(package->Find(kWeightsResource), nullptr);
  EXPECT_EQ(*package->Find(kWeightsResource), (Resource{kWeightsResource, Sha256("weights"), 7}));
  EXPECT_EQ(package->Find("other"), nullptr);
}

TEST_F(PackageTest, StatementHasTheShapeOfModelSigning) {
  auto bundle = nlohmann::json::parse(*signer_->Sign(Sample()));
  EXPECT_EQ(bundle["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
  EXPECT_EQ(bundle["dsseEnvelope"]["payloadType"], "application/vnd.in-toto+json");
  EXPECT_EQ(bundle["verificationMaterial"]["publicKey"]["hint"],
            Sha256(signer_->public_key_pem()).hex());
  auto statement =
      nlohmann::json::parse(*DecodeBase64(bundle["dsseEnvelope"]["payload"].get<std::string>()));
  EXPECT_EQ(statement["_type"], "https://in-toto.io/Statement/v1");
  EXPECT_EQ(statement["predicateType"], "https://model_signing/signature/v1.0");
  EXPECT_EQ(statement["subject"][0]["digest"]["sha256"],
            Sha256(std::string(Sha256("manifest").bytes()) + std::string(Sha256("file").bytes()) +
                   std::string(Sha256("weights").bytes()))
                .hex());
}

TEST_F(PackageTest, PreAuthEncodingIsTheOneOfDsse) {
  EXPECT_EQ(PreAuthEncoding("{}"), "DSSEv1 28 application/vnd.in-toto+json 2 {}");
}

TEST_F(PackageTest, VerifiesWhatTheReferenceImplementationSigned) {
  auto verifier = PackageVerifier::FromPublicKeyPem(kGoldenPublicKey);
  ASSERT_TRUE(verifier.ok());
  auto package = verifier->Verify(kGoldenSignature);
  ASSERT_TRUE(package.ok()) << package.status();
  EXPECT_EQ(package->name, "m");
  ASSERT_EQ(package->resources.size(), 3u);
  EXPECT_EQ(package->Find(kManifestResource)->digest, Sha256("{}\n"));
  EXPECT_EQ(package->Find(kWeightsResource)->digest, Sha256("abc\n"));
  EXPECT_EQ(package->Find("sub/y")->digest, Sha256("x\n"));
}

TEST_F(PackageTest, SignsOnlyValidPackages) {
  Package none{"m", {}};
  Package many{"m", {}};
  for (size_t i = 0; i <= limits::kMaxResources; ++i) {
    many.resources.push_back({"r" + std::to_string(i), Sha256("x"), 1});
  }
  Package twice{"m", {{"a", Sha256("x"), 1}, {"a", Sha256("y"), 1}}};
  Package digestless{"m", {{"a", Digest(), 1}}};
  Package oversized{"m", {{"a", Sha256("x"), limits::kMaxBlobBytes + 1}}};
  Package unnamed{"", {{"a", Sha256("x"), 1}}};
  for (const Package& package : {none, many, twice, digestless, oversized, unnamed}) {
    EXPECT_EQ(signer_->Sign(package).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(PackageTest, ResourceNamesCannotLeaveTheirFolder) {
  for (const char* name : {"", "/a", "a/", "../a", "a/../b", "a//b", ".", "a\\b", "a b", "a\n"}) {
    Package package{"m", {{name, Sha256("x"), 1}}};
    EXPECT_EQ(ValidatePackage(package).code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST_F(PackageTest, PathOrderPutsAFolderBeforeItsLookalikes) {
  EXPECT_TRUE(ResourcePathLess("a/b", "a-b"));
  EXPECT_TRUE(ResourcePathLess("a", "a/b"));
  EXPECT_FALSE(ResourcePathLess("a", "a"));
}

TEST_F(PackageTest, TheLargestAllowedPackageFitsItsBound) {
  Package package{std::string(kMaxPackageNameBytes, 'n'), {}};
  for (size_t i = 0; i < limits::kMaxResources; ++i) {
    std::string name = std::to_string(100 + i);
    package.resources.push_back({name + std::string(kMaxResourceNameBytes - name.size(), 'r'),
                                 Sha256(name), limits::kMaxBlobBytes});
  }
  auto bytes = signer_->Sign(package);
  ASSERT_TRUE(bytes.ok());
  EXPECT_LE(bytes->size(), kMaxPackageBytes);
  EXPECT_EQ(*verifier_->Verify(*bytes), package);
}

TEST_F(PackageTest, TheSigningKeyIsNeverReplaced) {
  EXPECT_EQ(PackageSigner::Create(folder_.path() / "key.pem").code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(PackageSigner::Open(folder_.path() / "none").status().message()),
              HasSubstr("package signing key"));
}

TEST(Base64, HasOneTextPerValue) {
  EXPECT_EQ(EncodeBase64("a"), "YQ==");
  EXPECT_EQ(*DecodeBase64("YQ=="), "a");
  EXPECT_EQ(*DecodeBase64(""), "");
  for (const char* bad : {"YQ", "YQ=", "YR==", "Y Q==", "YQ==\n", "-_-_", "YQ==YQ=="}) {
    EXPECT_FALSE(DecodeBase64(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace muster
