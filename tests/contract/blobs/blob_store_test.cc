#include "coordinator/blobs/blob_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "proto/core/strings.h"
#include "tests/contract/blobs/backends.h"

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

class BlobContract : public BlobContractTest {
 protected:
  void SetUp() override {
    BlobContractTest::SetUp();
    if (backend_ != nullptr) Reopen();
  }
  void Reopen() {
    blobs_.reset();
    auto opened = backend_->OpenBlobs();
    ASSERT_TRUE(opened.ok()) << opened.status();
    blobs_ = *std::move(opened);
  }
  std::filesystem::path PathOf(const Digest& digest) const { return backend_->PathOf(digest); }
  size_t Blobs() const { return backend_->Blobs(); }
  std::unique_ptr<BlobStore> blobs_;
};
INSTANTIATE_TEST_SUITE_P(Adapters, BlobContract, ::testing::Values("Directory", "S3"), BackendName);

TEST_P(BlobContract, ABlobIsNamedByItsSha256AndComesBackByteForByte) {
  const std::string bytes = RandomBytes(3'000'001, 1);
  const auto digest = PutBlob(*blobs_, bytes);
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*digest, Sha256(bytes));
  EXPECT_EQ(*GetBlob(*blobs_, *digest, bytes.size()), bytes);
  EXPECT_TRUE(*blobs_->Has(*digest));
  EXPECT_TRUE(std::filesystem::exists(PathOf(*digest)));
}

TEST_P(BlobContract, TheEmptyBlobIsABlob) {
  const auto digest = PutBlob(*blobs_, "");
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*GetBlob(*blobs_, *digest, 0), "");
}

TEST_P(BlobContract, PiecesAddUpToTheWhole) {
  const std::string bytes = RandomBytes(100'000, 2);
  auto writer = *blobs_->Create();
  for (size_t at = 0; at < bytes.size(); at += 777) {
    ASSERT_TRUE(writer->Append(std::string_view(bytes).substr(at, 777)).ok());
  }
  EXPECT_EQ(*writer->Commit(), Sha256(bytes));
  EXPECT_EQ(*GetBlob(*blobs_, Sha256(bytes), 1 << 20), bytes);
}

TEST_P(BlobContract, AReaderReadsAnyRangeAndStopsAtTheEnd) {
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

TEST_P(BlobContract, WritingABlobThatExistsIsFine) {
  ASSERT_TRUE(PutBlob(*blobs_, "same").ok());
  EXPECT_EQ(*PutBlob(*blobs_, "same"), Sha256("same"));
  EXPECT_EQ(Blobs(), 1u);
}

TEST_P(BlobContract, AnAbsentBlobIsNotFoundAndDeletingItIsFine) {
  const Digest digest = Sha256("never");
  EXPECT_FALSE(*blobs_->Has(digest));
  const absl::Status open = blobs_->Open(digest).status();
  EXPECT_TRUE(absl::IsNotFound(open)) << open;
  EXPECT_THAT(std::string(open.message()), HasSubstr(digest.hex()));
  EXPECT_TRUE(blobs_->Delete(digest).ok());
}

TEST_P(BlobContract, ADeletedBlobIsGoneButItsReadersGoOnOrAreToldSo) {
  const std::string bytes = RandomBytes(3'000'000, 4);
  const Digest digest = *PutBlob(*blobs_, bytes);
  const auto reader = *blobs_->Open(digest);
  ASSERT_TRUE(blobs_->Delete(digest).ok());
  EXPECT_FALSE(*blobs_->Has(digest));
  std::string out(10, '\0');
  EXPECT_EQ(*reader->ReadAt(0, out), 10u);
  EXPECT_EQ(out, bytes.substr(0, 10));
  const auto end = reader->ReadAt(2'999'990, out);
  if (backend_->readers_outlive_blobs()) {
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_EQ(out, bytes.substr(2'999'990));
  } else {
    EXPECT_TRUE(absl::IsNotFound(end.status())) << end.status();
  }
}

TEST_P(BlobContract, AWriterThatIsDroppedLeavesNothing) {
  for (const size_t size : {4u, 20'000'000u}) {  // large enough for several parts
    auto writer = *blobs_->Create();
    ASSERT_TRUE(writer->Append(std::string(size, 'h')).ok());
  }
  EXPECT_EQ(Blobs(), 0u);
  EXPECT_EQ(backend_->HalfMade(), 0u);
}

TEST_P(BlobContract, ALargeBlobIsNotThereBeforeItIsWhole) {
  const std::string bytes = RandomBytes(20'000'000, 5);
  auto writer = *blobs_->Create();
  ASSERT_TRUE(writer->Append(bytes).ok());
  EXPECT_FALSE(*blobs_->Has(Sha256(bytes)));
  ASSERT_TRUE(writer->Commit().ok());
  writer.reset();
  EXPECT_EQ(*GetBlob(*blobs_, Sha256(bytes), bytes.size()), bytes);
  EXPECT_EQ(Blobs(), 1u);
  EXPECT_EQ(backend_->HalfMade(), 0u);
}

TEST_P(BlobContract, AWriterCommitsOnce) {
  auto writer = *blobs_->Create();
  ASSERT_TRUE(writer->Append("x").ok());
  ASSERT_TRUE(writer->Commit().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(writer->Commit().status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(writer->Append("y")));
}

TEST_P(BlobContract, LeftoversOfACrashAreSweptAtOpeningAndBlobsStay) {
  ASSERT_TRUE(PutBlob(*blobs_, "kept").ok());
  backend_->LeaveHalfMade();
  ASSERT_GE(backend_->HalfMade(), 1u);
  Reopen();
  EXPECT_EQ(backend_->HalfMade(), 0u);
  EXPECT_EQ(Blobs(), 1u);
  EXPECT_EQ(*GetBlob(*blobs_, Sha256("kept"), 100), "kept");
}

TEST_P(BlobContract, ABlobThatTheDiskCorruptedIsDataLoss) {
  const Digest digest = *PutBlob(*blobs_, "precious");
  std::ofstream(PathOf(digest)) << "poisoned";
  const absl::Status got = GetBlob(*blobs_, digest, 100).status();
  EXPECT_TRUE(absl::IsDataLoss(got)) << got;
  EXPECT_THAT(std::string(got.message()), AllOf(HasSubstr(digest.hex()), HasSubstr("backup")));
  // Writing it again repairs it.
  ASSERT_TRUE(PutBlob(*blobs_, "precious").ok());
  EXPECT_EQ(*GetBlob(*blobs_, digest, 100), "precious");
}

TEST_P(BlobContract, ABlobThatWasCutShortWhileItIsReadIsDataLoss) {
  const Digest digest = *PutBlob(*blobs_, RandomBytes(3'000'000, 6));
  const auto reader = *blobs_->Open(digest);
  std::filesystem::resize_file(PathOf(digest), 2'000'005);
  std::string out(10, '\0');
  const absl::Status status = reader->ReadAt(2'000'000, out).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

TEST_P(BlobContract, GetRefusesABlobAboveItsLimit) {
  const Digest digest = *PutBlob(*blobs_, "four");
  const absl::Status got = GetBlob(*blobs_, digest, 3).status();
  EXPECT_TRUE(absl::IsResourceExhausted(got)) << got;
}

TEST(DirectoryBlobs, AFolderThatIsAFileIsRefusedClearly) {
  const TempFolder folder;
  std::ofstream(folder.path() / "file") << "x";
  const absl::Status status = OpenDirectoryBlobs(folder.path() / "file").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("is not a folder"));
}

TEST_P(BlobContract, ManyThreadsWriteTheSameAndDifferentBlobs) {
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
  EXPECT_EQ(backend_->HalfMade(), 0u);
}

// What garbage collection builds on. `age` is how long ago the blob was written.
class BlobAges : public BlobContract {
 protected:
  Digest PutAged(const std::string& bytes, std::chrono::hours age) {
    const Digest digest = *PutBlob(*blobs_, bytes);
    std::filesystem::last_write_time(backend_->PathOf(digest),
                                     std::chrono::file_clock::now() - age);
    return digest;
  }
  static Timestamp Ago(std::chrono::hours age) { return SystemClock().Now() - age; }
};
INSTANTIATE_TEST_SUITE_P(Adapters, BlobAges, ::testing::Values("Directory", "S3"), BackendName);

TEST_P(BlobAges, ListShowsEachBlobWithItsSizeAndAge) {
  std::map<Digest, BlobInfo> found;
  const Digest young = *PutBlob(*blobs_, "young");
  const Digest old = PutAged("as old as the hills", std::chrono::hours(48));
  const auto writer = *blobs_->Create();  // not a blob yet
  ASSERT_TRUE(writer->Append("half").ok());
  ASSERT_TRUE(blobs_
                  ->List([&](const BlobInfo& blob) {
                    found[blob.digest] = blob;
                    return absl::OkStatus();
                  })
                  .ok());
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[young].size, 5u);
  EXPECT_GT(found[young].modified, Ago(std::chrono::hours(1)));
  EXPECT_LT(found[old].modified, Ago(std::chrono::hours(47)));
  EXPECT_TRUE(absl::IsCancelled(
      blobs_->List([](const BlobInfo&) { return absl::CancelledError("enough"); })));
}

TEST_P(BlobAges, OnlyOldBlobsAreDeleted) {
  const Digest old = PutAged("old", std::chrono::hours(48));
  const Digest young = *PutBlob(*blobs_, "young");
  EXPECT_TRUE(*blobs_->DeleteIfOlder(old, Ago(std::chrono::hours(24))));
  EXPECT_FALSE(*blobs_->DeleteIfOlder(young, Ago(std::chrono::hours(24))));
  EXPECT_FALSE(*blobs_->DeleteIfOlder(Sha256("none"), Ago(std::chrono::hours(24))));
  EXPECT_FALSE(*blobs_->Has(old));
  EXPECT_TRUE(*blobs_->Has(young));
}

TEST_P(BlobAges, TouchingAndWritingAgainMakeABlobYoung) {
  const Digest touched = PutAged("touched", std::chrono::hours(48));
  const Digest written = PutAged("written", std::chrono::hours(48));
  EXPECT_TRUE(*blobs_->Touch(touched));
  EXPECT_EQ(*PutBlob(*blobs_, "written"), written);
  EXPECT_FALSE(*blobs_->Touch(Sha256("none")));
  for (const Digest& digest : {touched, written}) {
    EXPECT_FALSE(*blobs_->DeleteIfOlder(digest, Ago(std::chrono::hours(24))));
    EXPECT_TRUE(*blobs_->Has(digest));
  }
}

TEST_P(BlobAges, WhoWritesWhileItIsDeletedHasWritten) {
  for (int i = 0; i < 50; ++i) {
    const std::string bytes = StrCat("written again ", i);
    const Digest digest = PutAged(bytes, std::chrono::hours(48));
    std::thread writer([&] {
      const auto written = PutBlob(*blobs_, bytes);
      EXPECT_TRUE(written.ok()) << written.status();
    });
    const auto deleted = blobs_->DeleteIfOlder(digest, Ago(std::chrono::hours(24)));
    EXPECT_TRUE(deleted.ok()) << deleted.status();
    writer.join();
    EXPECT_TRUE(*blobs_->Has(digest));
  }
}

TEST_P(BlobAges, WhoTouchesWhileItIsDeletedIsToldTheTruth) {
  for (int i = 0; i < 50; ++i) {
    const Digest digest = PutAged(StrCat("blob ", i), std::chrono::hours(48));
    bool deleted = false, there = false;
    std::thread toucher([&] { there = *blobs_->Touch(digest); });
    deleted = *blobs_->DeleteIfOlder(digest, Ago(std::chrono::hours(24)));
    toucher.join();
    EXPECT_NE(deleted, there);
    EXPECT_EQ(*blobs_->Has(digest), there);
  }
}

TEST_P(BlobAges, OfManyWhoDeleteOneDoes) {
  for (int i = 0; i < 20; ++i) {
    const Digest digest = PutAged(StrCat("blob of many ", i), std::chrono::hours(48));
    std::atomic<int> deleted = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        const auto done = blobs_->DeleteIfOlder(digest, Ago(std::chrono::hours(24)));
        ASSERT_TRUE(done.ok()) << done.status();
        deleted += *done ? 1 : 0;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_LE(deleted, 1);
    EXPECT_EQ(*blobs_->Has(digest), deleted == 0) << "or each left it to the others";
  }
}

// Only a folder is opened for reading.
class FolderForReading : public BlobAges {};
INSTANTIATE_TEST_SUITE_P(Adapters, FolderForReading, ::testing::Values("Directory"), BackendName);

TEST_P(FolderForReading, IsNotChanged) {
  const Digest digest = PutAged("blob", std::chrono::hours(48));
  const auto writer = *blobs_->Create();
  ASSERT_TRUE(writer->Append("half").ok());
  const auto reading = *OpenDirectoryBlobsForReading(backend_->blobs());
  EXPECT_EQ(*GetBlob(*reading, digest, 100), "blob");
  EXPECT_TRUE(absl::IsFailedPrecondition(reading->Create().status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(reading->Delete(digest)));
  EXPECT_TRUE(absl::IsFailedPrecondition(reading->Touch(digest).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      reading->DeleteIfOlder(digest, Ago(std::chrono::hours(1))).status()));
  EXPECT_TRUE(writer->Commit().ok()) << "what its owner writes was left alone";
  EXPECT_TRUE(absl::IsNotFound(OpenDirectoryBlobsForReading(backend_->blobs() / "none").status()));
}

}  // namespace
}  // namespace muster
