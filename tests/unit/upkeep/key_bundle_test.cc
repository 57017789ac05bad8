// Keys under a passphrase, and what a backup says of itself.
#include "coordinator/upkeep/key_bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/upkeep/backup_manifest.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

constexpr char kPassphrase[] = "correct horse battery";

KeyFiles SomeKeys() {
  KeyFiles keys;
  keys.files.push_back({"identity/ca-key.pem", 0600, "secret one"});
  keys.files.push_back({"at-rest-key", 0600, std::string("\0\xFFtwo", 5)});
  return keys;
}

TEST(KeyBundle, WhatWasSealedComesBackWithThePassphraseAlone) {
  SystemRandom random;
  const std::string sealed = SealKeys(SomeKeys(), kPassphrase, random).value();
  EXPECT_EQ(sealed.find("secret one"), std::string::npos);
  const auto opened = OpenKeys(sealed, kPassphrase);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->files, SomeKeys().files);
  EXPECT_TRUE(absl::IsUnauthenticated(OpenKeys(sealed, "correct horse batterz").status()));
  EXPECT_NE(SealKeys(SomeKeys(), kPassphrase, random).value(), sealed);
}

TEST(KeyBundle, ChangedBytesAreFound) {
  SystemRandom random;
  const std::string sealed = SealKeys(SomeKeys(), kPassphrase, random).value();
  for (const size_t at : {size_t{0}, size_t{9}, size_t{20}, size_t{50}, sealed.size() - 1}) {
    std::string changed = sealed;
    changed[at] ^= 1;
    EXPECT_FALSE(OpenKeys(changed, kPassphrase).ok()) << at;
  }
  EXPECT_FALSE(OpenKeys(sealed.substr(0, 40), kPassphrase).ok());
  EXPECT_FALSE(OpenKeys("", kPassphrase).ok());
}

TEST(KeyBundle, AParameterThatWouldEatTheMachineIsRefused) {
  SystemRandom random;
  std::string sealed = SealKeys(SomeKeys(), kPassphrase, random).value();
  sealed[8] = 63;
  const absl::Status status = OpenKeys(sealed, kPassphrase).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}

TEST(KeyBundle, AShortPassphraseIsRefused) {
  SystemRandom random;
  const absl::Status status = SealKeys(SomeKeys(), "short", random).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("openssl rand"));
}

TEST(KeyBundle, NoPathLeavesTheStateFolder) {
  SystemRandom random;
  for (const char* path : {"../x", "/etc/x", "a//b"}) {
    KeyFiles keys;
    keys.files.push_back({path, 0600, "x"});
    const std::string sealed = SealKeys(keys, kPassphrase, random).value();
    EXPECT_FALSE(OpenKeys(sealed, kPassphrase).ok()) << path;
  }
}

TEST(BackupManifest, ReadsWhatItWritesAndRefusesTheRest) {
  BackupManifest manifest{.created = {123}, .schema = 3, .database = Sha256("db")};
  manifest.blobs = {{Sha256("a"), 1}, {Sha256("b"), 2}};
  EXPECT_EQ(BackupManifest::FromJson(manifest.ToJson()).value(), manifest);
  manifest.keys = Sha256("keys");
  EXPECT_EQ(BackupManifest::FromJson(manifest.ToJson()).value(), manifest);
  for (const char* bad : {"", "[]", "{}", R"({"format": 2})",
                          R"({"format": 1, "created_unix_us": 1, "schema": 1})"}) {
    EXPECT_FALSE(BackupManifest::FromJson(bad).ok()) << bad;
  }
  std::string negative = manifest.ToJson();
  negative.replace(negative.find("\"bytes\": 1"), 10, "\"bytes\": -1");
  EXPECT_FALSE(BackupManifest::FromJson(negative).ok());
}

}  // namespace
}  // namespace muster
