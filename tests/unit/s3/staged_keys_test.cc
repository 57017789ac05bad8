#include "coordinator/blobs/s3/staged_keys.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

const Digest kDigest = Sha256("x");

S3Listed Object(const std::string& name, uint64_t size, uint64_t total) {
  return {.key = StagedFolder("d1", kDigest, total) + name, .size = size, .modified = {1}};
}

StoredUpload Upload(uint64_t total, const std::vector<std::pair<uint64_t, uint64_t>>& parts) {
  StoredUploads uploads;
  for (const auto& [offset, length] : parts) {
    const S3Listed object = Object(StagedPart(offset, length), length, total);
    EXPECT_TRUE(AddStored(object, object.key, false, uploads)) << object.key;
  }
  return uploads.empty() ? StoredUpload{.total = total} : uploads.begin()->second;
}

TEST(StagedKeys, AKeySaysAllThatIsKnown) {
  const auto key = ParseStagedKey(StagedFolder("d1", kDigest, 100) + StagedPart(30, 70));
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(key->owner_name, "d1");
  EXPECT_EQ(key->digest, kDigest);
  EXPECT_EQ(key->total, 100u);
  EXPECT_EQ(key->offset, 30u);
  EXPECT_EQ(key->length, 70u);
  EXPECT_TRUE(ParseStagedKey(StagedFolder("d1", kDigest, 100) + kStagedDone)->done);
}

TEST(StagedKeys, ForeignKeysAreNone) {
  const std::string folder = StagedFolder("d1", kDigest, 100);
  for (const std::string& key :
       {std::string(), std::string("d1"), std::string("d1/core.1234"), folder, folder + "x",
        folder + "1-", folder + "-1", folder + "0-0", folder + "50-51", folder + "+1-2",
        folder + "0-1/x", "/" + folder + "done",
        std::string("d1/") + kDigest.hex() + ".99999999999999999999/done"}) {
    EXPECT_FALSE(ParseStagedKey(key).has_value()) << key;
  }
}

TEST(StagedKeys, OwnersNeverCollideOrLeaveTheirFolder) {
  EXPECT_EQ(*StagedOwner("device/d-1.x"), "device_2fd-1.x");
  EXPECT_NE(*StagedOwner("a/b"), *StagedOwner("a_2fb"));
  EXPECT_EQ(*StagedOwner(".."), "_2e.");
  EXPECT_FALSE(StagedOwner("").ok());
  EXPECT_FALSE(StagedOwner(std::string(81, 'a')).ok());
}

TEST(StagedKeys, BytesCountFromTheBeginWithoutGaps) {
  EXPECT_EQ(Upload(100, {}).covered(), 0u);
  EXPECT_EQ(Upload(100, {{0, 30}, {30, 70}}).covered(), 100u);
  EXPECT_EQ(Upload(100, {{0, 30}, {40, 60}}).covered(), 30u);
  EXPECT_EQ(Upload(100, {{10, 90}}).covered(), 0u);
}

TEST(StagedKeys, PartsMayOverlap) {
  const StoredUpload upload = Upload(100, {{0, 40}, {0, 60}, {50, 20}, {20, 10}, {70, 30}});
  EXPECT_EQ(upload.covered(), 100u);
  uint64_t at = 0;
  for (const auto& piece : upload.Pieces()) {
    EXPECT_EQ(piece.offset, at);
    EXPECT_GE(piece.offset, upload.parts[piece.part].offset);
    EXPECT_LE(piece.offset + piece.length,
              upload.parts[piece.part].offset + upload.parts[piece.part].length);
    at += piece.length;
  }
  EXPECT_EQ(at, 100u);
}

TEST(StagedKeys, DoneIsNotCompleteWithHoles) {
  StoredUploads uploads;
  const S3Listed part = Object(StagedPart(0, 30), 30, 100);
  const S3Listed done = Object(kStagedDone, 0, 100);
  ASSERT_TRUE(AddStored(part, part.key, false, uploads));
  ASSERT_TRUE(AddStored(done, done.key, false, uploads));
  EXPECT_FALSE(uploads.begin()->second.complete());
  EXPECT_EQ(uploads.begin()->second.keys[0], done.key) << "it is deleted first";
  const S3Listed rest = Object(StagedPart(30, 70), 70, 100);
  ASSERT_TRUE(AddStored(rest, rest.key, false, uploads));
  EXPECT_TRUE(uploads.begin()->second.complete());
}

TEST(StagedKeys, AnObjectOfAnotherSizeThanItsNameSaysIsNone) {
  StoredUploads uploads;
  const S3Listed part = Object(StagedPart(0, 30), 29, 100);
  EXPECT_FALSE(AddStored(part, part.key, false, uploads));
  const S3Listed done = Object(kStagedDone, 99, 100);
  EXPECT_FALSE(AddStored(done, done.key, false, uploads));
  EXPECT_TRUE(uploads.empty());
}

}  // namespace
}  // namespace muster
