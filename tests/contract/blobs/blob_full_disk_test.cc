#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "coordinator/blobs/blob_store.h"
#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/blobs/staging.h"
#include "proto/core/random.h"
#include "tests/contract/small_disk.h"
#include "tests/support/temp_folder.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

constexpr char kOwner[] = "device/d1";

using OpenArea =
    std::function<absl::StatusOr<std::unique_ptr<StagingArea>>(const std::filesystem::path&)>;

absl::StatusOr<std::unique_ptr<StagingArea>> OpenPlain(const std::filesystem::path& folder) {
  return StagingArea::Open(folder);
}

// The keys lie elsewhere: only the uploads fill the disk.
OpenArea OpenSealedWith(const TempFolder& folder) {
  SystemRandom random;
  EXPECT_TRUE(AtRestKeys::Create(folder.path() / "key", random).ok());
  const auto keys = AtRestKeys::Open(folder.path() / "key").value();
  return [keys](const std::filesystem::path& staging) {
    return StagingArea::OpenSealed(staging, keys);
  };
}

// Chunks until one does not fit; then everything that fitted is still there, and after space was
// freed the upload goes on from there.
void StagingStopsAndGoesOn(SmallDisk& disk, const OpenArea& open) {
  const std::string bytes(600'000, 'u');
  const Digest digest = Sha256(bytes);
  constexpr size_t kChunk = 50'000;
  auto area = open(disk.path() / "staging");
  ASSERT_TRUE(area.ok()) << area.status();
  uint64_t offset = 0;
  const auto append = [&] {
    const absl::Status status = (*area)->Append(kOwner, digest, bytes.size(), offset,
                                                std::string_view(bytes).substr(offset, kChunk));
    if (status.ok()) offset += kChunk;
    return status;
  };
  ASSERT_TRUE(append().ok());
  ASSERT_TRUE((*area)->Flush(kOwner, digest).ok());
  disk.Fill();
  absl::Status full;
  while (full.ok() && offset < bytes.size()) full = append();
  ASSERT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_THAT(std::string(full.message()), HasSubstr(disk.path().string()));
  EXPECT_EQ((*area)->Stat(kOwner, digest)->offset, offset);
  // A new upload leaves no trace of itself.
  const std::string other(200'000, 'o');
  EXPECT_TRUE(
      absl::IsResourceExhausted((*area)->Append(kOwner, Sha256(other), other.size(), 0, other)));
  disk.Free();
  EXPECT_EQ((*area)->Stat(kOwner, Sha256(other))->offset, 0u);
  area = open(disk.path() / "staging");
  ASSERT_TRUE(area.ok()) << area.status();
  EXPECT_EQ((*area)->Stat(kOwner, digest)->offset, offset);
  while (offset < bytes.size()) ASSERT_TRUE(append().ok());
  const auto flushed = (*area)->Flush(kOwner, digest);
  ASSERT_TRUE(flushed.ok()) << flushed.status();
  EXPECT_TRUE(flushed->complete);
}

void BlobsAreWholeOrAbsent(SmallDisk& disk) {
  auto blobs = OpenDirectoryBlobs(disk.path() / "blobs");
  ASSERT_TRUE(blobs.ok()) << blobs.status();
  ASSERT_TRUE(PutBlob(**blobs, "before").ok());
  disk.Fill();
  const std::string large(400'000, 'l');
  const absl::Status full = PutBlob(**blobs, large).status();
  ASSERT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_FALSE(*(*blobs)->Has(Sha256(large)));
  EXPECT_TRUE(std::filesystem::is_empty(disk.path() / "blobs" / "tmp"));
  EXPECT_EQ(*GetBlob(**blobs, Sha256("before"), 100), "before");
  disk.Free();
  ASSERT_TRUE(PutBlob(**blobs, large).ok());
  EXPECT_EQ(*GetBlob(**blobs, Sha256(large), 1 << 20), large);
}

constexpr size_t kDiskBytes = 2u << 20, kFileBytes = 130'000;

TEST(FullDisk, AnUploadKeepsWhatItHeldAndGoesOnWhenThereIsSpace) {
  const auto disk = MakeSmallDisk(kDiskBytes, kFileBytes);
  StagingStopsAndGoesOn(*disk, OpenPlain);
}

TEST(FullDisk, ASealedUploadKeepsWhatItHeldAndGoesOnWhenThereIsSpace) {
  const TempFolder folder;
  const auto disk = MakeSmallDisk(kDiskBytes, kFileBytes);
  StagingStopsAndGoesOn(*disk, OpenSealedWith(folder));
}

TEST(FullDisk, AFileSizeLimitStopsAnUploadTheSameWay) {
  FileSizeLimit disk(kFileBytes);
  StagingStopsAndGoesOn(disk, OpenPlain);
}

TEST(FullDisk, AFileSizeLimitStopsASealedUploadTheSameWay) {
  const TempFolder folder;
  FileSizeLimit disk(kFileBytes);
  StagingStopsAndGoesOn(disk, OpenSealedWith(folder));
}

TEST(FullDisk, ABlobIsWholeOrAbsent) {
  const auto disk = MakeSmallDisk(kDiskBytes, kFileBytes);
  BlobsAreWholeOrAbsent(*disk);
}

TEST(FullDisk, AFileSizeLimitNeverLeavesHalfABlob) {
  FileSizeLimit disk(kFileBytes);
  BlobsAreWholeOrAbsent(disk);
}

}  // namespace
}  // namespace muster
