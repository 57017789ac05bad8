// Bytes sealed for the disk: they come back, any part of them, and nothing that was changed does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "coordinator/blobs/at_rest/sealed_blobs.h"
#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/blobs/staging.h"
#include "proto/core/random.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "tests/support/temp_folder.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

std::string RandomBytes(size_t size, uint64_t seed) {
  SeededRandom random(seed);
  std::string bytes(size, '\0');
  random.Fill({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
  return bytes;
}

class Sealed : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(AtRestKeys::Create(KeyFile(), random_).ok());
    inner_ = *OpenDirectoryBlobs(folder_.path() / "blobs");
    Reopen();
  }
  void Reopen() {
    keys_ = AtRestKeys::Open(KeyFile()).value();
    blobs_ = MakeSealedBlobs(*inner_, keys_);
  }
  std::filesystem::path KeyFile() const { return folder_.path() / "at-rest-key"; }
  std::string Raw(const Digest& digest) { return *GetBlob(*inner_, digest, 1 << 24); }
  std::string Plain(const Digest& digest) {
    const auto reader = blobs_->Open(digest);
    EXPECT_TRUE(reader.ok()) << reader.status();
    if (!reader.ok()) return "";
    std::string out((*reader)->size(), '\0');
    EXPECT_EQ(*(*reader)->ReadAt(0, out), out.size());
    return out;
  }
  // Reads all of the sealed bytes `raw`; the first error.
  absl::Status ReadBack(const std::string& raw) {
    MUSTER_ASSIGN_OR_RETURN(const Digest digest, PutBlob(*inner_, raw));
    MUSTER_ASSIGN_OR_RETURN(const auto reader, blobs_->Open(digest));
    std::string out(reader->size(), '\0');
    return reader->ReadAt(0, out).status();
  }

  TempFolder folder_;
  SystemRandom random_;
  std::shared_ptr<const AtRestKeys> keys_;
  std::unique_ptr<BlobStore> inner_;
  std::unique_ptr<BlobStore> blobs_;
};

TEST_F(Sealed, EverySizeComesBackAndTheDiskHoldsNoneOfIt) {
  for (const size_t size : {size_t{0}, size_t{1}, kSegmentBytes - 1, kSegmentBytes,
                            kSegmentBytes + 1, 3 * kSegmentBytes, 3 * kSegmentBytes + 7}) {
    const std::string bytes = RandomBytes(size, size);
    const Digest digest = *PutBlob(*blobs_, bytes);
    EXPECT_EQ(Plain(digest), bytes) << size;
    const std::string raw = Raw(digest);
    EXPECT_EQ(Sha256(raw), digest) << "checked without a key";
    if (size >= 16) {
      EXPECT_EQ(raw.find(bytes.substr(0, 16)), std::string::npos);
    }
  }
}

TEST_F(Sealed, AnyPartCanBeReadByItself) {
  const std::string bytes = RandomBytes(5 * kSegmentBytes + 123, 1);
  const auto reader = *blobs_->Open(*PutBlob(*blobs_, bytes));
  SeededRandom random(2);
  for (int i = 0; i < 200; ++i) {
    const uint64_t at = random.Below(bytes.size() + 10);
    std::string out(random.Below(2 * kSegmentBytes), '\0');
    const size_t got = *reader->ReadAt(at, out);
    const size_t there = at >= bytes.size() ? 0 : bytes.size() - at;
    ASSERT_EQ(got, std::min(out.size(), there));
    EXPECT_EQ(std::string_view(out).substr(0, got),
              std::string_view(bytes).substr(std::min<size_t>(at, bytes.size()), got));
  }
}

TEST_F(Sealed, EqualContentHasNoEqualNames) {
  EXPECT_NE(*PutBlob(*blobs_, "same"), *PutBlob(*blobs_, "same"));
}

TEST_F(Sealed, EveryChangedByteIsFound) {
  const std::string raw = Raw(*PutBlob(*blobs_, RandomBytes(kSegmentBytes + 40, 3)));
  ASSERT_TRUE(ReadBack(raw).ok());
  SeededRandom random(4);
  for (int i = 0; i < 300; ++i) {
    std::string changed = raw;
    changed[i < 60 ? static_cast<size_t>(i) : random.Below(raw.size())] ^=
        static_cast<char>(1 + random.Below(255));
    EXPECT_FALSE(ReadBack(changed).ok()) << i;
  }
}

TEST_F(Sealed, CutMovedAndMixedSegmentsAreFound) {
  const std::string raw = Raw(*PutBlob(*blobs_, RandomBytes(3 * kSegmentBytes, 5)));
  const std::string other = Raw(*PutBlob(*blobs_, RandomBytes(3 * kSegmentBytes, 6)));
  const auto segment = [](const std::string& from, size_t i) {
    return from.substr(kSealedHeaderBytes + i * kSealedSegmentBytes, kSealedSegmentBytes);
  };
  const std::string header = raw.substr(0, kSealedHeaderBytes);
  const std::string a = segment(raw, 0), b = segment(raw, 1), c = segment(raw, 2);
  ASSERT_TRUE(ReadBack(header + a + b + c).ok());
  for (const std::string& bad :
       {header, header + a, header + a + b, header + a + c, header + b + a + c,
        header + a + b + c + c, header + a + b + segment(other, 2), header + c,
        header + a + b + c.substr(0, 100), raw.substr(0, 20), std::string()}) {
    const absl::Status status = ReadBack(bad);
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  }
}

TEST_F(Sealed, AfterARotationOldOnesOpenAndNewOnesAreOfTheNewKey) {
  const Digest before = *PutBlob(*blobs_, "before");
  const AtRestKeyId old = keys_->current_id();
  ASSERT_TRUE(AtRestKeys::Rotate(KeyFile(), random_).ok());
  Reopen();
  EXPECT_NE(keys_->current_id(), old);
  EXPECT_EQ(Plain(before), "before");
  const Digest after = *PutBlob(*blobs_, "after");
  // Without the old key only the new ones open, and the error names the key.
  std::ifstream file(KeyFile());
  std::string first;
  std::getline(file, first);
  file.close();
  std::filesystem::remove(KeyFile());
  { std::ofstream(KeyFile()) << first << "\n"; }
  std::filesystem::permissions(KeyFile(), std::filesystem::perms(0600));
  Reopen();
  EXPECT_EQ(Plain(after), "after");
  const absl::Status closed = blobs_->Open(before).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(closed)) << closed;
  EXPECT_THAT(std::string(closed.message()), HasSubstr(KeyIdText(old)));
}

TEST_F(Sealed, AKeyFileIsMadeOnceForItsOwnerAlone) {
  struct stat info {};
  ASSERT_EQ(stat(KeyFile().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_TRUE(absl::IsAlreadyExists(AtRestKeys::Create(KeyFile(), random_)));
  std::filesystem::permissions(KeyFile(), std::filesystem::perms(0640));
  const absl::Status open = AtRestKeys::Open(KeyFile()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(open)) << open;
  EXPECT_THAT(std::string(open.message()), HasSubstr("chmod 600"));
}

// As Kubernetes mounts it: root's, for the group that this process alone has.
TEST_F(Sealed, ASecretThatSomebodyElseLendsMayBeReadByItsGroupAndByNobodyMore) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  ASSERT_EQ(chown(KeyFile().c_str(), 12345, 12345), 0);
  for (const auto& [mode, opens] : {std::pair{0440, true}, {0460, false}, {0444, false}}) {
    std::filesystem::permissions(KeyFile(), static_cast<std::filesystem::perms>(mode));
    EXPECT_EQ(AtRestKeys::Open(KeyFile()).ok(), opens) << std::oct << mode;
  }
}

TEST_F(Sealed, WithoutAKeyNothingOpens) {
  std::filesystem::remove(KeyFile());
  const absl::Status missing = AtRestKeys::Open(KeyFile()).status();
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
  EXPECT_THAT(std::string(missing.message()), HasSubstr("at-rest-key new"));
  EXPECT_FALSE(StagingArea::OpenSealed(folder_.path() / "staging", nullptr).ok());
  for (const char* junk : {"", "muster-at-rest-1 00\n", "hello"}) {
    std::filesystem::remove(KeyFile());
    { std::ofstream(KeyFile()) << junk; }
    std::filesystem::permissions(KeyFile(), std::filesystem::perms(0600));
    EXPECT_FALSE(AtRestKeys::Open(KeyFile()).ok()) << junk;
  }
}

class SealedStaging : public Sealed {
 protected:
  std::unique_ptr<StagingArea> Area() {
    auto area = StagingArea::OpenSealed(folder_.path() / "staging", keys_);
    EXPECT_TRUE(area.ok()) << area.status();
    return area.ok() ? *std::move(area) : nullptr;
  }
  std::filesystem::path File() const {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(folder_.path() / "staging")) {
      if (entry.is_regular_file()) return entry.path();
    }
    return {};
  }
};

TEST_F(SealedStaging, TheDiskHoldsNothingOfAnUpload) {
  const std::string bytes = RandomBytes(200'000, 7);
  const auto area = Area();
  ASSERT_TRUE(area->Append("d", Sha256(bytes), bytes.size(), 0, bytes).ok());
  ASSERT_TRUE(area->Flush("d", Sha256(bytes))->complete);
  std::ifstream file(File(), std::ios::binary);
  const std::string raw{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(SealedShape::Of(raw.size()).plain_bytes, bytes.size());
  for (size_t at = 0; at + 16 < bytes.size(); at += 5'000) {
    EXPECT_EQ(raw.find(bytes.substr(at, 16)), std::string::npos);
  }
}

TEST_F(SealedStaging, ATornEndCostsTheLastSegmentOfAnIncompleteUploadAtMost) {
  const std::string bytes = RandomBytes(5 * kSegmentBytes, 8);
  const Digest digest = Sha256(bytes);
  const uint64_t held = 2 * kSegmentBytes + 1'000;
  {
    const auto area = Area();
    ASSERT_TRUE(area->Append("d", digest, bytes.size(), 0, bytes.substr(0, held)).ok());
    ASSERT_TRUE(area->Flush("d", digest).ok());
  }
  const uint64_t whole = std::filesystem::file_size(File());
  for (const uint64_t cut : {0u, 1u, 500u, 1'000u, 1'020u}) {
    std::filesystem::resize_file(File(), whole - cut);
    const uint64_t stands = Area()->Stat("d", digest)->offset;
    EXPECT_EQ(stands, cut == 0 ? held : 2 * kSegmentBytes) << cut;
    std::filesystem::resize_file(File(), whole);  // zeros, as after a power cut
    EXPECT_EQ(Area()->Stat("d", digest)->offset, cut == 0 ? held : 2 * kSegmentBytes) << cut;
    const auto area = Area();
    if (cut == 0) continue;
    ASSERT_TRUE(area->Append("d", digest, bytes.size(), 2 * kSegmentBytes,
                             bytes.substr(2 * kSegmentBytes, 1'000))
                    .ok());
    ASSERT_TRUE(area->Flush("d", digest).ok());
  }
  const auto area = Area();
  ASSERT_TRUE(area->Append("d", digest, bytes.size(), held, bytes.substr(held)).ok());
  EXPECT_TRUE(area->Flush("d", digest)->complete);
}

TEST_F(SealedStaging, AnUploadOfALostKeyStopsTheStartAndNamesIt) {
  {
    const auto area = Area();
    ASSERT_TRUE(area->Append("d", Sha256("x"), 1, 0, "x").ok());
    ASSERT_TRUE(area->Flush("d", Sha256("x")).ok());
  }
  const std::string lost = KeyIdText(keys_->current_id());
  std::filesystem::remove(KeyFile());
  ASSERT_TRUE(AtRestKeys::Create(KeyFile(), random_).ok());
  Reopen();
  const absl::Status status = StagingArea::OpenSealed(folder_.path() / "staging", keys_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(lost));
}

TEST_F(SealedStaging, WhatLiesThereInTheClearIsRemoved) {
  const Digest digest = Sha256("in the clear");
  std::filesystem::create_directories(folder_.path() / "staging" / "d");
  { std::ofstream(folder_.path() / "staging" / "d" / (digest.hex() + ".done")) << "in the clear"; }
  EXPECT_EQ(Area()->Stat("d", digest)->offset, 0u);
  EXPECT_TRUE(File().empty());
}

}  // namespace
}  // namespace muster
