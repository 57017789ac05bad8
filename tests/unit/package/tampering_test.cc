// Every way to bend a package, each refused with its own reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "models/package/base64.h"
#include "models/package/package.h"
#include "models/package/statement.h"
#include "tests/support/temp_folder.h"

namespace muster {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;

class TamperingTest : public testing::Test {
 protected:
  TamperingTest() {
    EXPECT_TRUE(PackageSigner::Create(folder_.path() / "key.pem").ok());
    key_.emplace(*EcPrivateKey::FromFile(folder_.path() / "key.pem"));
    PackageSigner signer = *PackageSigner::Open(folder_.path() / "key.pem");
    verifier_.emplace(*PackageVerifier::FromPublicKeyPem(signer.public_key_pem()));
    bytes_ = *signer.Sign(
        {"mnist@3",
         {{kManifestResource, Sha256("manifest"), 8}, {kWeightsResource, Sha256("weights"), 7}}});
    bundle_ = Json::parse(bytes_);
    payload_ = *DecodeBase64(bundle_["dsseEnvelope"]["payload"].get<std::string>());
  }

  // The bundle with another payload, under a good signature by the trusted key: what a faulty
  // signer would make.
  std::string Signed(const std::string& payload) {
    Json json = bundle_;
    json["dsseEnvelope"]["payload"] = EncodeBase64(payload);
    json["dsseEnvelope"]["signatures"][0]["sig"] =
        EncodeBase64(*key_->Sign(PreAuthEncoding(payload)));
    return json.dump();
  }
  void ExpectRefused(const std::string& bytes, absl::StatusCode code, const char* reason) {
    absl::Status status = verifier_->Verify(bytes).status();
    EXPECT_EQ(status.code(), code) << reason;
    EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
  }

  TempFolder folder_;
  std::optional<EcPrivateKey> key_;
  std::optional<PackageVerifier> verifier_;
  std::string bytes_, payload_;
  Json bundle_;
};

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kUnauthenticated = absl::StatusCode::kUnauthenticated;

TEST_F(TamperingTest, UntouchedIsAccepted) {
  EXPECT_TRUE(verifier_->Verify(bytes_).ok());
  EXPECT_TRUE(verifier_->Verify(Signed(payload_)).ok());
}

TEST_F(TamperingTest, AnyChangeToTheSignedBytesIsUnauthenticated) {
  for (size_t i = 0; i < payload_.size(); i += 7) {
    std::string changed = payload_;
    changed[i] ^= 1;
    Json json = bundle_;
    json["dsseEnvelope"]["payload"] = EncodeBase64(changed);
    ExpectRefused(json.dump(), kUnauthenticated, "does not verify");
  }
}

TEST_F(TamperingTest, AnotherKeysSignatureIsUnauthenticated) {
  EcPrivateKey other = *EcPrivateKey::Generate();
  Json json = bundle_;
  json["dsseEnvelope"]["signatures"][0]["sig"] =
      EncodeBase64(*other.Sign(PreAuthEncoding(payload_)));
  ExpectRefused(json.dump(), kUnauthenticated, "does not verify");
  json["verificationMaterial"]["publicKey"]["hint"] = Sha256(other.PublicKey().ToPem()).hex();
  ExpectRefused(json.dump(), kUnauthenticated, "another key");
}

TEST_F(TamperingTest, ASignatureOverTheBarePayloadIsNoSignature) {
  Json json = bundle_;
  json["dsseEnvelope"]["signatures"][0]["sig"] = EncodeBase64(*key_->Sign(payload_));
  ExpectRefused(json.dump(), kUnauthenticated, "does not verify");
}

TEST_F(TamperingTest, BentEnvelopesAreInvalid) {
  const struct {
    const char* reason;
    std::function<void(Json&)> bend;
  } cases[] = {
      {"\"mediaType\" must be", [](Json& j) { j["mediaType"] = "application/json"; }},
      {"\"mediaType\" is missing", [](Json& j) { j.erase("mediaType"); }},
      {"\"verificationMaterial\" is missing", [](Json& j) { j.erase("verificationMaterial"); }},
      {"\"publicKey\" is of another type",
       [](Json& j) { j["verificationMaterial"]["publicKey"] = "x"; }},
      {"\"hint\" is missing", [](Json& j) { j["verificationMaterial"]["publicKey"].clear(); }},
      {"\"dsseEnvelope\" is of another type", [](Json& j) { j["dsseEnvelope"] = 1; }},
      {"\"payloadType\" must be", [](Json& j) { j["dsseEnvelope"]["payloadType"] = "text/plain"; }},
      {"not standard base64", [](Json& j) { j["dsseEnvelope"]["payload"] = "e30"; }},
      {"\"payload\" is of another type", [](Json& j) { j["dsseEnvelope"]["payload"] = nullptr; }},
      {"\"signatures\" must hold exactly one",
       [](Json& j) { j["dsseEnvelope"]["signatures"] = Json::array(); }},
      {"\"signatures\" must hold exactly one",
       [](Json& j) {
         Json& list = j["dsseEnvelope"]["signatures"];
         list.push_back(Json(list[0]));
       }},
      {"\"sig\" is missing", [](Json& j) { j["dsseEnvelope"]["signatures"][0].erase("sig"); }},
  };
  for (const auto& [reason, bend] : cases) {
    Json json = bundle_;
    bend(json);
    ExpectRefused(json.dump(), kInvalid, reason);
  }
}

TEST_F(TamperingTest, BentStatementsAreInvalidEvenWhenSigned) {
  const struct {
    const char* reason;
    std::function<void(Json&)> bend;
  } cases[] = {
      {"\"_type\" must be", [](Json& j) { j["_type"] = "https://in-toto.io/Statement/v0.1"; }},
      {"\"predicateType\" must be", [](Json& j) { j["predicateType"] = "https://slsa.dev/v1"; }},
      {"\"subject\" must hold exactly one",
       [](Json& j) { j["subject"].push_back(Json(j["subject"][0])); }},
      {"\"sha256\" is missing", [](Json& j) { j["subject"][0]["digest"].clear(); }},
      {"subject's digest",
       [](Json& j) { j["subject"][0]["digest"]["sha256"] = Sha256("other").hex(); }},
      {"its name must", [](Json& j) { j["subject"][0]["name"] = "../x"; }},
      {"\"method\" must be", [](Json& j) { j["predicate"]["serialization"]["method"] = "shards"; }},
      {"\"hash_type\" must be",
       [](Json& j) { j["predicate"]["serialization"]["hash_type"] = "blake2"; }},
      {"\"serialization\" is missing", [](Json& j) { j["predicate"].erase("serialization"); }},
      {"\"resources\" is of another type", [](Json& j) { j["predicate"]["resources"] = 1; }},
      {"0 resources", [](Json& j) { j["predicate"]["resources"] = Json::array(); }},
      {"must be an object", [](Json& j) { j["predicate"]["resources"][0] = 1; }},
      {"\"algorithm\" must be",
       [](Json& j) { j["predicate"]["resources"][0]["algorithm"] = "sha1"; }},
      {"\"digest\"", [](Json& j) { j["predicate"]["resources"][0]["digest"] = "00"; }},
      {"\"size\" is not a whole number",
       [](Json& j) { j["predicate"]["resources"][0]["size"] = -1; }},
      {"bytes, at most", [](Json& j) { j["predicate"]["resources"][0]["size"] = UINT64_MAX; }},
      {"is there twice",
       [](Json& j) { j["predicate"]["resources"][1]["name"] = kManifestResource; }},
      {"relative path", [](Json& j) { j["predicate"]["resources"][0]["name"] = "/etc/passwd"; }},
      {"not in path order",
       [](Json& j) {
         Json& list = j["predicate"]["resources"];
         std::swap(list[0], list[1]);
       }},
      {"at most 64",
       [](Json& j) {
         Json& list = j["predicate"]["resources"];
         while (list.size() <= 64) list.push_back(Json(list[0]));
       }},
      {"subject's digest",  // a resource left out
       [](Json& j) { j["predicate"]["resources"].erase(1); }},
  };
  for (const auto& [reason, bend] : cases) {
    Json json = Json::parse(payload_);
    bend(json);
    ExpectRefused(Signed(json.dump()), kInvalid, reason);
  }
}

TEST_F(TamperingTest, DocumentsThatTwoReadersCouldReadDifferentlyAreInvalid) {
  ExpectRefused("", kInvalid, "is not JSON");
  ExpectRefused("[]", kInvalid, "is not a JSON object");
  ExpectRefused(bytes_ + "{}", kInvalid, "is not JSON");
  ExpectRefused(bytes_.substr(0, bytes_.size() - 1), kInvalid, "is not JSON");
  ExpectRefused(R"({"mediaType":"a",)" + bytes_.substr(1), kInvalid, "has a key twice");
  ExpectRefused(Signed(R"({"_type":"a",)" + payload_.substr(1)), kInvalid, "has a key twice");
  ExpectRefused(R"({"a":)" + std::string(50, '[') + std::string(50, ']') + "," + bytes_.substr(1),
                kInvalid, "nested too deeply");
  ExpectRefused(std::string(kMaxPackageBytes + 1, ' '), kInvalid, "at most");
  ExpectRefused("{\"a\":\"\xff\"}", kInvalid, "is not JSON");
}

}  // namespace
}  // namespace muster
