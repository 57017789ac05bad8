#include "coordinator/blobs/staging.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include "proto/core/random.h"
#include "proto/core/strings.h"
#include "tests/contract/blobs/backends.h"

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Staging : public BlobContractTest {
 protected:
  void SetUp() override {
    BlobContractTest::SetUp();
    if (backend_ != nullptr) Reopen();
  }
  void Reopen(StagingLimits limits = {}) {
    area_.reset();
    auto opened = backend_->OpenStaging(limits);
    ASSERT_TRUE(opened.ok()) << opened.status();
    area_ = *std::move(opened);
  }
  absl::Status Append(uint64_t offset, std::string_view data) {
    return area_->Append(kOwner, digest_, bytes_.size(), offset, data);
  }
  void ExpectStat(uint64_t offset, bool complete) {
    const auto stat = area_->Stat(kOwner, digest_);
    ASSERT_TRUE(stat.ok()) << stat.status();
    EXPECT_EQ(stat->offset, offset);
    EXPECT_EQ(stat->complete, complete);
  }
  void UploadAll(const std::string& owner, const std::string& bytes) {
    const Digest digest = Sha256(bytes);
    ASSERT_TRUE(area_->Append(owner, digest, bytes.size(), 0, bytes).ok());
    const auto flushed = area_->Flush(owner, digest);
    ASSERT_TRUE(flushed.ok()) << flushed.status();
    EXPECT_TRUE(flushed->complete);
  }
  std::vector<std::filesystem::path> Files() const { return backend_->Uploads(); }
  // The folder below staging/ that a file is in.
  std::string OwnerFolder(const std::filesystem::path& file) const {
    return *std::filesystem::relative(file, backend_->staging()).begin();
  }

  static constexpr char kOwner[] = "device/d1";
  const std::string bytes_ = "0123456789abcdef";
  const Digest digest_ = Sha256(bytes_);
  std::unique_ptr<StagingArea> area_;
};
INSTANTIATE_TEST_SUITE_P(Adapters, Staging,
                         ::testing::Values("Directory", "Sealed", "S3", "SealedS3"), BackendName);

class StagingSealed : public Staging {};
INSTANTIATE_TEST_SUITE_P(Adapters, StagingSealed, ::testing::Values("Sealed", "SealedS3"),
                         BackendName);

TEST_P(StagingSealed, NothingThatLiesThereIsPlainAndAllOfItComesBack) {
  const std::string marker = "the weights of somebody's own data";
  for (const size_t size : {size_t{0}, size_t{40}, size_t{200'000}}) {
    std::string bytes;
    while (bytes.size() < size) bytes += marker;
    bytes.resize(size);
    UploadAll("device/d", bytes);
    for (const auto& file : Files()) {
      std::ifstream in(file, std::ios::binary);
      const std::string raw((std::istreambuf_iterator<char>(in)), {});
      EXPECT_EQ(raw.find(marker.substr(0, 16)), std::string::npos) << file;
    }
    const auto reader = area_->Open("device/d", Sha256(bytes));
    ASSERT_TRUE(reader.ok()) << reader.status();
    std::string back((*reader)->size(), '\0');
    EXPECT_EQ(*(*reader)->ReadAt(0, back), size);
    EXPECT_EQ(back, bytes);
  }
}

TEST_P(StagingSealed, WhatWasChangedWhereItLiesIsLostAndUploadedAgain) {
  const std::string bytes(100'000, 'x');
  UploadAll("device/d", bytes);
  size_t changed = 0;
  for (const auto& file : Files()) {
    const auto size = std::filesystem::file_size(file);
    if (size < bytes.size()) continue;
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(size) - 3);
    out << "!";
    ++changed;
  }
  ASSERT_EQ(changed, 1u);
  Reopen();
  const absl::Status lost = area_->Open("device/d", Sha256(bytes)).status();
  EXPECT_TRUE(absl::IsDataLoss(lost)) << lost;
  EXPECT_FALSE(area_->Stat("device/d", Sha256(bytes))->complete);
  UploadAll("device/d", bytes);
  EXPECT_TRUE(area_->Open("device/d", Sha256(bytes)).ok());
}

TEST_P(Staging, AnUploadGrowsChunkByChunkUntilItIsComplete) {
  ExpectStat(0, false);
  ASSERT_TRUE(Append(0, "01234567").ok());
  const auto half = area_->Flush(kOwner, digest_);
  ASSERT_TRUE(half.ok()) << half.status();
  EXPECT_EQ(half->offset, 8u);
  EXPECT_FALSE(half->complete);
  ASSERT_TRUE(Append(8, "89abcdef").ok());
  const auto whole = area_->Flush(kOwner, digest_);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_TRUE(whole->complete);
  ExpectStat(16, true);
  const auto reader = area_->Open(kOwner, digest_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::string out(16, '\0');
  EXPECT_EQ(*(*reader)->ReadAt(0, out), 16u);
  EXPECT_EQ(out, bytes_);
}

TEST_P(Staging, AWrongOffsetIsOutOfRangeAndNamesTheRightOne) {
  const absl::Status gap = Append(3, "345");
  EXPECT_TRUE(absl::IsOutOfRange(gap)) << gap;
  EXPECT_THAT(std::string(gap.message()), HasSubstr("stands at offset 0"));
  ASSERT_TRUE(Append(0, "01234").ok());
  for (const uint64_t offset : {0u, 4u, 6u}) {
    const absl::Status wrong = Append(offset, "5");
    EXPECT_TRUE(absl::IsOutOfRange(wrong)) << wrong;
    EXPECT_THAT(std::string(wrong.message()), HasSubstr("stands at offset 5"));
  }
  ExpectStat(5, false);
}

TEST_P(Staging, AnUploadGoesOnAfterARestartWhereItStood) {
  ASSERT_TRUE(Append(0, "0123456").ok());
  ASSERT_TRUE(area_->Flush(kOwner, digest_).ok());
  Reopen();
  ExpectStat(7, false);
  ASSERT_TRUE(Append(7, "789abcdef").ok());
  EXPECT_TRUE(area_->Flush(kOwner, digest_)->complete);
  Reopen();
  ExpectStat(16, true);
  EXPECT_TRUE(area_->Open(kOwner, digest_).ok());
}

TEST_P(Staging, AnUploadThatOnlyLacksItsCheckIsCompletedWhenAsked) {
  ASSERT_TRUE(Append(0, "01234567").ok());
  ASSERT_TRUE(area_->Flush(kOwner, digest_).ok());
  ASSERT_TRUE(Append(8, "89abcdef").ok());
  ASSERT_TRUE(area_->Flush(kOwner, digest_).ok());
  backend_->ForgetCheck(digest_.hex(), bytes_.size());
  Reopen();
  EXPECT_TRUE(absl::IsFailedPrecondition(area_->Open(kOwner, digest_).status()));
  ExpectStat(16, true);
  EXPECT_TRUE(area_->Open(kOwner, digest_).ok());
}

TEST_P(Staging, WhatWasFlushedSurvivesSigkill) {
  area_.reset();
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto area = backend_->OpenStaging();
    if (!area.ok() || !(*area)->Append(kOwner, digest_, bytes_.size(), 0, "01234").ok()) _exit(1);
    const auto flushed = (*area)->Flush(kOwner, digest_);
    const char told = flushed.ok() ? static_cast<char>(flushed->offset) : 99;
    if (write(fds[1], &told, 1) != 1) _exit(1);
    while (true) pause();
  }
  char told = 0;
  ASSERT_EQ(read(fds[0], &told, 1), 1);
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  close(fds[0]);
  close(fds[1]);
  Reopen();
  ExpectStat(static_cast<uint64_t>(told), false);
  EXPECT_EQ(told, 5);
}

TEST_P(Staging, BytesThatHashToSomethingElseAreDeletedAndDataLoss) {
  ASSERT_TRUE(Append(0, "0123456789abcdeX").ok());
  const absl::Status status = area_->Flush(kOwner, digest_).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(digest_.hex()), HasSubstr("upload it again")));
  ExpectStat(0, false);
  EXPECT_TRUE(Files().empty());
}

TEST_P(Staging, BytesThatTheDiskChangedDuringARestartAreFoundToo) {
  ASSERT_TRUE(Append(0, "01234567").ok());
  ASSERT_TRUE(area_->Flush(kOwner, digest_).ok());
  ASSERT_EQ(Files().size(), 1u);
  std::fstream(Files()[0]) << "X";
  Reopen();
  if (area_->Stat(kOwner, digest_)->offset == 0) return;  // found at once
  ASSERT_TRUE(Append(8, "89abcdef").ok());
  EXPECT_TRUE(absl::IsDataLoss(area_->Flush(kOwner, digest_).status()));
}

TEST_P(Staging, MoreBytesThanAnnouncedAreRefused) {
  const absl::Status status = Append(0, bytes_ + "!");
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}

TEST_P(Staging, AnotherTotalSizeIsRefusedInTheMiddleAndStartsOverAtZero) {
  ASSERT_TRUE(area_->Append(kOwner, digest_, 99, 0, "junk").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Append(4, "4567")));
  ASSERT_TRUE(Append(0, bytes_).ok());
  EXPECT_TRUE(area_->Flush(kOwner, digest_)->complete);
  EXPECT_EQ(Files().size(), 1u);
}

TEST_P(Staging, OwnersDoNotSeeEachOther) {
  UploadAll("device/d1", bytes_);
  EXPECT_TRUE(absl::IsNotFound(area_->Open("device/d2", digest_).status()));
  EXPECT_EQ(area_->Stat("device/d2", digest_)->offset, 0u);
  UploadAll("device/d2", bytes_);
  ASSERT_TRUE(area_->Remove("device/d1", digest_).ok());
  EXPECT_TRUE(area_->Open("device/d2", digest_).ok());
}

TEST_P(Staging, AnOwnersNameNeverLeavesTheFolder) {
  for (const std::string owner : {"..", "../../x", "/etc", ".hidden", "a/../b", "a%2Fb"}) {
    UploadAll(owner, bytes_);
  }
  EXPECT_EQ(Files().size(), 6u);
  std::set<std::string> folders;
  for (const auto& file : Files()) folders.insert(OwnerFolder(file));
  EXPECT_EQ(folders.size(), 6u);
  for (const std::string& folder : folders) EXPECT_NE(folder[0], '.') << folder;
  EXPECT_TRUE(absl::IsInvalidArgument(area_->Stat("", digest_).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(area_->Stat(std::string(200, 'a'), digest_).status()));
}

TEST_P(Staging, AnOwnerHasALimitedNumberOfUploads) {
  Reopen({.max_uploads_per_owner = 2});
  UploadAll(kOwner, "one");
  UploadAll(kOwner, "two");
  const absl::Status third = area_->Append(kOwner, Sha256("three"), 5, 0, "three");
  EXPECT_TRUE(absl::IsResourceExhausted(third)) << third;
  UploadAll("device/d2", "three");
  ASSERT_TRUE(area_->Remove(kOwner, Sha256("one")).ok());
  UploadAll(kOwner, "three");
}

TEST_P(Staging, AnOwnerHasALimitedNumberOfBytesReservedWhenAnUploadBegins) {
  Reopen({.max_bytes_per_owner = 20});
  ASSERT_TRUE(Append(0, "0").ok());  // of 16
  const absl::Status over = area_->Append(kOwner, Sha256("other"), 5, 0, "o");
  EXPECT_TRUE(absl::IsResourceExhausted(over)) << over;
  EXPECT_THAT(std::string(over.message()), HasSubstr("20 bytes"));
  EXPECT_TRUE(area_->Append(kOwner, Sha256("four"), 4, 0, "four").ok());
}

TEST_P(Staging, OnlyACompleteUploadOpens) {
  EXPECT_TRUE(absl::IsNotFound(area_->Open(kOwner, digest_).status()));
  ASSERT_TRUE(Append(0, "0123").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(area_->Open(kOwner, digest_).status()));
  EXPECT_TRUE(absl::IsNotFound(area_->Flush(kOwner, Sha256("none")).status()));
}

TEST_P(Staging, APromotedUploadIsABlobAndNoUploadAnyMore) {
  auto blobs = *backend_->OpenBlobs();
  ASSERT_TRUE(Append(0, "0123").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(area_->Promote(kOwner, digest_, *blobs)));
  ASSERT_TRUE(Append(4, "456789abcdef").ok());
  ASSERT_TRUE(area_->Flush(kOwner, digest_).ok());
  ASSERT_TRUE(area_->Promote(kOwner, digest_, *blobs).ok());
  EXPECT_EQ(*GetBlob(*blobs, digest_, 100), bytes_);
  EXPECT_TRUE(absl::IsNotFound(area_->Open(kOwner, digest_).status()));
  EXPECT_TRUE(Files().empty());
}

TEST_P(Staging, AnUploadThatTheDiskCorruptedIsNotPromoted) {
  auto blobs = *backend_->OpenBlobs();
  UploadAll(kOwner, bytes_);
  std::fstream(Files()[0]) << "X";
  const absl::Status status = area_->Promote(kOwner, digest_, *blobs);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_FALSE(*blobs->Has(digest_));
  ExpectStat(0, false);
}

TEST_P(Staging, SweepTakesWhatNobodyTouchedAndNothingElse) {
  UploadAll(kOwner, "old");
  UploadAll(kOwner, "new");
  const timespec ancient[2] = {{.tv_sec = 1000, .tv_nsec = 0}, {.tv_sec = 1000, .tv_nsec = 0}};
  for (const auto& file : Files()) {
    if (file.string().find(Sha256("old").hex()) != std::string::npos) {
      ASSERT_EQ(utimensat(AT_FDCWD, file.c_str(), ancient, 0), 0);
    }
  }
  EXPECT_EQ(*area_->Sweep(Timestamp{1000 * 1'000'000ll}), 0u);
  EXPECT_EQ(area_->CountAbandoned(Timestamp{1000 * 1'000'000ll})->count, 0u);
  const auto abandoned = area_->CountAbandoned(Timestamp{1001 * 1'000'000ll});
  EXPECT_EQ(abandoned->count, 1u);
  EXPECT_GT(abandoned->bytes, 0u);
  EXPECT_EQ(*area_->Sweep(Timestamp{1001 * 1'000'000ll}), 1u);
  EXPECT_TRUE(absl::IsNotFound(area_->Open(kOwner, Sha256("old")).status()));
  EXPECT_TRUE(area_->Open(kOwner, Sha256("new")).ok());
}

TEST_P(Staging, WhatIsNoUploadIsCleared) {
  UploadAll(kOwner, bytes_);
  backend_->LeaveJunk(backend_->staging() / OwnerFolder(Files()[0]));
  ASSERT_EQ(Files().size(), 2u);
  backend_->ClearJunk(area_);
  EXPECT_EQ(Files().size(), 1u);
  ExpectStat(16, true);
}

// Of many writers at one offset one gets through; the others learn that they must ask again.
TEST_P(Staging, ConcurrentWritersOfOneUploadNeverMixTheirBytes) {
  const std::string large(1 << 20, 'z');
  const Digest digest = Sha256(large);
  constexpr size_t kChunk = 4096;
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      uint64_t offset = 0;
      while (offset < large.size()) {
        const absl::Status status = area_->Append(kOwner, digest, large.size(), offset,
                                                  std::string_view(large).substr(offset, kChunk));
        if (status.ok()) {
          offset += kChunk;
          continue;
        }
        ASSERT_TRUE(absl::IsAborted(status) || absl::IsOutOfRange(status)) << status;
        ++refused;
        if (const auto stat = area_->Stat(kOwner, digest); stat.ok()) offset = stat->offset;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto flushed = area_->Flush(kOwner, digest);
  ASSERT_TRUE(flushed.ok()) << flushed.status();
  EXPECT_TRUE(flushed->complete);
  EXPECT_GT(refused, 0);
}

TEST_P(Staging, TheEmptyUploadCompletes) { UploadAll(kOwner, ""); }

TEST_P(Staging, LargeUploadsInOddPiecesComeBackByteForByte) {
  std::string large(700'001, '\0');
  SeededRandom random(7);
  for (char& byte : large) byte = static_cast<char>(random.Next64());
  const Digest digest = Sha256(large);
  for (uint64_t offset = 0; offset < large.size();) {
    const size_t size = 1 + random.Below(150'000);
    const std::string_view piece = std::string_view(large).substr(offset, size);
    ASSERT_TRUE(area_->Append(kOwner, digest, large.size(), offset, piece).ok());
    offset += piece.size();
    if (random.Below(2) == 0) {
      ASSERT_TRUE(area_->Flush(kOwner, digest).ok());
      Reopen();
      ASSERT_EQ(area_->Stat(kOwner, digest)->offset, offset);
    }
  }
  ASSERT_TRUE(area_->Flush(kOwner, digest)->complete);
  const auto reader = *area_->Open(kOwner, digest);
  ASSERT_EQ(reader->size(), large.size());
  for (int i = 0; i < 50; ++i) {
    const uint64_t at = random.Below(large.size());
    std::string out(1 + random.Below(200'000), '\0');
    const size_t got = *reader->ReadAt(at, out);
    EXPECT_EQ(got, std::min<size_t>(out.size(), large.size() - at));
    EXPECT_EQ(std::string_view(out).substr(0, got), std::string_view(large).substr(at, got));
  }
}

}  // namespace
}  // namespace muster
