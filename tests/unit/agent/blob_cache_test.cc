#include "client/agent/blob_cache.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "client/agent/transfer.h"
#include "proto/core/files.h"
#include "tests/unit/agent/fleet_server.h"
#include "tests/unit/agent/tiny_disk.h"

namespace muster {
namespace {

std::string Bytes(size_t size, char seed) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 251 + seed);
  return bytes;
}

class BlobCacheTest : public testing::Test {
 protected:
  BlobCacheTest() : transfer_(server_.channel()) {
    std::string name = testing::TempDir() + "/cache-XXXXXX";
    dir_ = mkdtemp(name.data());
    Open(1u << 20);
  }
  ~BlobCacheTest() override {
    cache_.reset();
    std::filesystem::remove_all(dir_);
  }
  void Open(uint64_t max_bytes) {
    cache_.reset();
    auto opened = BlobCache::Open(dir_, max_bytes);
    ASSERT_TRUE(opened.ok()) << opened.status();
    cache_ = *std::move(opened);
  }
  absl::StatusOr<CachedBlob> Get(const Digest& digest, uint64_t size = 0) {
    return cache_->Get(digest, size, transfer_, Bounds{});
  }

  FleetServer server_;
  BlobTransfer transfer_;
  std::filesystem::path dir_;
  std::unique_ptr<BlobCache> cache_;
};

TEST_F(BlobCacheTest, FetchesOnceAndThenServesFromDisk) {
  const std::string bytes = Bytes(200'000, 1);
  const Digest digest = server_.AddBlob(bytes);
  {
    auto blob = Get(digest, bytes.size());
    ASSERT_TRUE(blob.ok()) << blob.status();
    EXPECT_EQ(*ReadFile(blob->path(), 1u << 20), bytes);
  }
  Open(1u << 20);  // a restart keeps it
  ASSERT_TRUE(Get(digest).ok());
  EXPECT_EQ(server_.download_offsets.size(), 1u);
  EXPECT_EQ(transfer_.bytes_down(), bytes.size());
}

TEST_F(BlobCacheTest, ABrokenDownloadGoesOnWhereItEnded) {
  const std::string bytes = Bytes(500'000, 2);
  const Digest digest = server_.AddBlob(bytes);
  server_.cut_after_chunks = 2;
  auto blob = Get(digest);
  ASSERT_TRUE(blob.ok()) << blob.status();
  EXPECT_EQ(*ReadFile(blob->path(), 1u << 20), bytes);
  EXPECT_GT(server_.download_offsets.size(), 2u);
  EXPECT_EQ(transfer_.bytes_down(), bytes.size()) << "no byte came twice";
}

TEST_F(BlobCacheTest, ADownloadGoesOnAfterARestart) {
  const std::string bytes = Bytes(300'000, 3);
  const Digest digest = server_.AddBlob(bytes);
  std::ofstream(dir_ / (digest.hex() + ".partial"), std::ios::binary) << bytes.substr(0, 250'000);
  Open(1u << 20);
  ASSERT_TRUE(Get(digest, bytes.size()).ok());
  EXPECT_EQ(server_.download_offsets, std::vector<uint64_t>{250'000});
}

TEST_F(BlobCacheTest, ADownloadThatWasCompleteNeedsNoNetwork) {
  const std::string bytes = Bytes(1000, 4);
  std::ofstream(dir_ / (Sha256(bytes).hex() + ".partial"), std::ios::binary) << bytes;
  Open(1u << 20);
  EXPECT_TRUE(Get(Sha256(bytes), bytes.size()).ok());
  EXPECT_TRUE(server_.download_offsets.empty());
}

TEST_F(BlobCacheTest, ACorruptedBlobIsFetchedAgainOnce) {
  const Digest digest = server_.AddBlob(Bytes(100'000, 5));
  server_.corrupt_downloads = 1;
  EXPECT_TRUE(Get(digest).ok());
  EXPECT_EQ(server_.download_offsets, (std::vector<uint64_t>{0, 0}));
}

TEST_F(BlobCacheTest, ABlobThatStaysCorruptedIsAClearFailure) {
  const Digest digest = server_.AddBlob(Bytes(100'000, 6));
  server_.corrupt_downloads = 100;
  auto blob = Get(digest);
  EXPECT_TRUE(absl::IsDataLoss(blob.status())) << blob.status();
  EXPECT_NE(std::string(blob.status().message()).find("corrupted twice"), std::string::npos);
  EXPECT_EQ(server_.download_offsets.size(), 2u);
  EXPECT_EQ(cache_->bytes(), 0u) << "nothing corrupted stays";
}

TEST_F(BlobCacheTest, ABlobThatRottedOnDiskIsFetchedAgain) {
  const std::string bytes = Bytes(100'000, 7);
  const Digest digest = server_.AddBlob(bytes);
  ASSERT_TRUE(Get(digest).ok());
  std::fstream file(dir_ / digest.hex(), std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(50'000);
  file.put('!');
  file.close();
  auto blob = Get(digest);
  ASSERT_TRUE(blob.ok()) << blob.status();
  EXPECT_EQ(*ReadFile(blob->path(), 1u << 20), bytes);
}

TEST_F(BlobCacheTest, AWrongSizeIsRefused) {
  const Digest digest = server_.AddBlob(Bytes(1000, 8));
  EXPECT_TRUE(absl::IsDataLoss(Get(digest, 999).status()));
}

TEST_F(BlobCacheTest, AMissingBlobIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(Get(Sha256("nowhere")).status()));
}

TEST_F(BlobCacheTest, EvictsWhatWasUsedLongestAgo) {
  Open(250'000);
  const Digest a = server_.AddBlob(Bytes(100'000, 1));
  const Digest b = server_.AddBlob(Bytes(100'000, 2));
  const Digest c = server_.AddBlob(Bytes(100'000, 3));
  for (const Digest& digest : {a, b, a, c}) ASSERT_TRUE(Get(digest).ok());
  EXPECT_TRUE(cache_->Holds(a));
  EXPECT_FALSE(cache_->Holds(b));
  EXPECT_TRUE(cache_->Holds(c));
  EXPECT_LE(cache_->bytes(), 250'000u);
}

TEST_F(BlobCacheTest, PinnedAndUsedBlobsAreNeverEvicted) {
  Open(250'000);
  const Digest a = server_.AddBlob(Bytes(100'000, 1));
  const Digest b = server_.AddBlob(Bytes(100'000, 2));
  const Digest c = server_.AddBlob(Bytes(100'000, 3));
  cache_->Pin({a});
  ASSERT_TRUE(Get(a).ok());
  auto used = Get(b);
  ASSERT_TRUE(used.ok());
  auto refused = Get(c);
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status())) << refused.status();
  EXPECT_NE(std::string(refused.status().message()).find("raise cache_bytes"), std::string::npos);
  EXPECT_TRUE(cache_->Holds(a) && cache_->Holds(b));
  used = CachedBlob();  // no longer used
  EXPECT_TRUE(Get(c).ok());
  EXPECT_TRUE(cache_->Holds(a));
  EXPECT_FALSE(cache_->Holds(b));
}

TEST_F(BlobCacheTest, ASmallerLimitAtStartEvictsAtOnce) {
  const Digest a = server_.AddBlob(Bytes(100'000, 1));
  const Digest b = server_.AddBlob(Bytes(100'000, 2));
  for (const Digest& digest : {a, b}) ASSERT_TRUE(Get(digest).ok());
  Open(150'000);
  EXPECT_LE(cache_->bytes(), 150'000u);
}

TEST_F(BlobCacheTest, AStoppedAgentStopsDownloading) {
  const Digest digest = server_.AddBlob(Bytes(1000, 1));
  std::stop_source stop;
  stop.request_stop();
  auto blob = cache_->Get(digest, 0, transfer_, Bounds{.stop = stop.get_token()});
  EXPECT_TRUE(absl::IsCancelled(blob.status())) << blob.status();
}

TEST_F(BlobCacheTest, AnUploadGoesOnFromWhatTheCoordinatorHolds) {
  const std::string bytes = Bytes(2'500'000, 9);
  const Digest digest = Sha256(bytes);
  std::ofstream(dir_ / "update", std::ios::binary) << bytes;
  server_.cut_uploads = 1;
  const absl::Status status = transfer_.Upload(digest, dir_ / "update", Bounds{});
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(server_.staged[digest], bytes);
  ASSERT_EQ(server_.upload_offsets.size(), 2u);
  EXPECT_EQ(server_.upload_offsets[1], 1u << 20);
  ASSERT_TRUE(transfer_.Upload(digest, dir_ / "update", Bounds{}).ok());
  EXPECT_EQ(server_.upload_offsets.size(), 2u) << "what is complete is not sent again";
}

TEST(BlobCacheOnAFullDisk, SaysSoAndGoesOnWhenThereIsRoom) {
  TinyDisk disk(1u << 20);
  FleetServer server;
  BlobTransfer transfer(server.channel());
  auto cache = BlobCache::Open(disk.path() / "cache", 16u << 20);
  ASSERT_TRUE(cache.ok()) << cache.status();
  const std::string small = Bytes(100'000, 1), large = Bytes(700'000, 2);
  const Digest kept = server.AddBlob(small), late = server.AddBlob(large);
  ASSERT_TRUE((*cache)->Get(kept, 0, transfer, Bounds{}).ok());
  disk.Fill();
  auto full = (*cache)->Get(late, 0, transfer, Bounds{});
  EXPECT_TRUE(absl::IsResourceExhausted(full.status())) << full.status();
  EXPECT_TRUE((*cache)->Get(kept, 0, transfer, Bounds{}).ok()) << "what was there still is";
  disk.Relieve();
  auto blob = (*cache)->Get(late, 0, transfer, Bounds{});
  ASSERT_TRUE(blob.ok()) << blob.status();
  EXPECT_EQ(*ReadFile(blob->path(), 1u << 20), large);
}

}  // namespace
}  // namespace muster
