#include "coordinator/blobs/blob_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <thread>

#include "coordinator/blobs/directory/directory_blobs.h"
#include "proto/core/strings.h"
#include "tests/support/temp_folder.h"

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

class BlobContract : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  void Reopen() {
    blobs_.reset();
    auto opened = OpenDirectoryBlobs(folder_.path() / "blobs");
    ASSERT_TRUE(opened.ok()) << opened.status();
    blobs_ = *std::move(opened);
  }
  std::filesystem::path PathOf(const Digest& digest) const {
    return folder_.path() / "blobs" / digest.hex().substr(0, 2) / digest.hex();
  }
  size_t Files() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }
  TempFolder folder_;
  std::unique_ptr<BlobStore> blobs_;
};

TEST_F(BlobContract, ABlobIsNamedByItsSha256AndComesBackByteForByte) {
  const std::string bytes = RandomBytes(3'000'001, 1);
  const auto digest = PutBlob(*blobs_, bytes);
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*digest, Sha256(bytes));
  EXPECT_EQ(*GetBlob(*blobs_, *digest, bytes.size()), bytes);
  EXPECT_TRUE(*blobs_->Has(*digest));
  EXPECT_TRUE(std::filesystem::exists(PathOf(*digest)));
}

TEST_F(BlobContract, TheEmptyBlobIsABlob) {
  const auto digest = PutBlob(*blobs_, "");
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*GetBlob(*blobs_, *digest, 0), "");
}

TEST_F(BlobContract, PiecesAddUpToTheWhole) {
  const std::string bytes = RandomBytes(100'000, 2);
  auto writer = *blobs_->Create();
  for (size_t at = 0; at < bytes.size(); at += 777) {
    ASSERT_TRUE(writer->Append(std::string_view(bytes).substr(at, 777)).ok());
  }
  EXPECT_EQ(*writer->Commit(), Sha256(bytes));
  EXPECT_EQ(*GetBlob(*blobs_, Sha256(bytes), 1 << 20), bytes);
}

TEST_F(BlobContract, AReaderReadsAnyRangeAndStopsAtTheEnd) {
  const std::string bytes = RandomBytes(1000, 3);
  const auto reader = *blobs_->Open(*PutBlob(*blobs_, bytes));
  EXPECT_EQ(reader->size(), 1000u);
  std::string out(300, '\0');
  EXPECT_EQ(*reader->ReadAt(100, out), 300u);
  EXPECT_EQ(out, bytes.substr(100, 300));
  EXPECT_EQ(*reader->ReadAt(900, out), 100u);
  EXPECT_EQ(out.substr(0, 100), bytes.substr(900));
  EXPECT_EQ(*reader->ReadAt(1000, out), 0u);
  EXPECT_EQ(*reader->ReadAt(5000, out), 0u);
}

TEST_F(BlobContract, WritingABlobThatExistsIsFine) {
  ASSERT_TRUE(PutBlob(*blobs_, "same").ok());
  EXPECT_EQ(*PutBlob(*blobs_, "same"), Sha256("same"));
  EXPECT_EQ(Files(), 1u);
}

TEST_F(BlobContract, AnAbsentBlobIsNotFoundAndDeletingItIsFine) {
  const Digest digest = Sha256("never");
  EXPECT_FALSE(*blobs_->Has(digest));
  const absl::Status open = blobs_->Open(digest).status();
  EXPECT_TRUE(absl::IsNotFound(open)) << open;
  EXPECT_THAT(std::string(open.message()), HasSubstr(digest.hex()));
  EXPECT_TRUE(blobs_->Delete(digest).ok());
}

TEST_F(BlobContract, ADeletedBlobIsGoneButItsReadersGoOn) {
  const Digest digest = *PutBlob(*blobs_, "short life");
  const auto reader = *blobs_->Open(digest);
  ASSERT_TRUE(blobs_->Delete(digest).ok());
  EXPECT_FALSE(*blobs_->Has(digest));
  std::string out(10, '\0');
  EXPECT_EQ(*reader->ReadAt(0, out), 10u);
  EXPECT_EQ(out, "short life");
}

TEST_F(BlobContract, AWriterThatIsDroppedLeavesNothing) {
  {
    auto writer = *blobs_->Create();
    ASSERT_TRUE(writer->Append("half").ok());
  }
  EXPECT_EQ(Files(), 0u);
}

TEST_F(BlobContract, AWriterCommitsOnce) {
  auto writer = *blobs_->Create();
  ASSERT_TRUE(writer->Append("x").ok());
  ASSERT_TRUE(writer->Commit().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(writer->Commit().status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(writer->Append("y")));
}

TEST_F(BlobContract, LeftoversOfACrashAreSweptAtOpeningAndBlobsStay) {
  ASSERT_TRUE(PutBlob(*blobs_, "kept").ok());
  std::ofstream(folder_.path() / "blobs" / "tmp" / "4711") << "half a blob";
  ASSERT_EQ(Files(), 2u);
  Reopen();
  EXPECT_EQ(Files(), 1u);
  EXPECT_EQ(*GetBlob(*blobs_, Sha256("kept"), 100), "kept");
}

TEST_F(BlobContract, ABlobThatTheDiskCorruptedIsDataLoss) {
  const Digest digest = *PutBlob(*blobs_, "precious");
  std::ofstream(PathOf(digest)) << "poisoned";
  const absl::Status got = GetBlob(*blobs_, digest, 100).status();
  EXPECT_TRUE(absl::IsDataLoss(got)) << got;
  EXPECT_THAT(std::string(got.message()), AllOf(HasSubstr(digest.hex()), HasSubstr("backup")));
  // Writing it again repairs it.
  ASSERT_TRUE(PutBlob(*blobs_, "precious").ok());
  EXPECT_EQ(*GetBlob(*blobs_, digest, 100), "precious");
}

TEST_F(BlobContract, AFileThatWasCutShortWhileItIsReadIsDataLoss) {
  const Digest digest = *PutBlob(*blobs_, "0123456789");
  const auto reader = *blobs_->Open(digest);
  std::filesystem::resize_file(PathOf(digest), 4);
  std::string out(10, '\0');
  EXPECT_TRUE(absl::IsDataLoss(reader->ReadAt(0, out).status()));
}

TEST_F(BlobContract, GetRefusesABlobAboveItsLimit) {
  const Digest digest = *PutBlob(*blobs_, "four");
  const absl::Status got = GetBlob(*blobs_, digest, 3).status();
  EXPECT_TRUE(absl::IsResourceExhausted(got)) << got;
}

TEST_F(BlobContract, AFolderThatIsAFileIsRefusedClearly) {
  std::ofstream(folder_.path() / "file") << "x";
  const absl::Status status = OpenDirectoryBlobs(folder_.path() / "file").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("is not a folder"));
}

TEST_F(BlobContract, ManyThreadsWriteTheSameAndDifferentBlobs) {
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < 20; ++i) {
        const std::string bytes = RandomBytes(5000, i % 2 == 0 ? i : 100 * t + i);
        const auto digest = PutBlob(*blobs_, bytes);
        ASSERT_TRUE(digest.ok()) << digest.status();
        EXPECT_EQ(*GetBlob(*blobs_, *digest, 5000), bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path() / "blobs" / "tmp"));
}

}  // namespace
}  // namespace muster
