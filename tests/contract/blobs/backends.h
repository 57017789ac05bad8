// What the blob contracts run over: each adapter with a way to look at, damage and age what it
// keeps. The S3-compatible server keeps objects as files, so the same hands reach both.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/blobs/s3/s3_blobs.h"
#include "coordinator/blobs/s3/s3_staging.h"
#include "coordinator/blobs/staging.h"
#include "proto/core/random.h"
#include "proto/core/strings.h"
#include "tests/support/s3_server.h"
#include "tests/support/temp_folder.h"

namespace muster {

class BlobBackend {
 public:
  virtual ~BlobBackend() = default;
  virtual absl::StatusOr<std::unique_ptr<BlobStore>> OpenBlobs() = 0;
  virtual absl::StatusOr<std::unique_ptr<StagingArea>> OpenStaging(StagingLimits limits = {}) = 0;

  // Folders that hold blobs and uploads, as files.
  virtual std::filesystem::path blobs() const = 0;
  virtual std::filesystem::path staging() const = 0;
  // Half-made blobs, and one as a crash leaves it.
  virtual size_t HalfMade() = 0;
  virtual void LeaveHalfMade() = 0;
  // Whether who reads a blob that was deleted can read on, however large it is.
  virtual bool readers_outlive_blobs() const = 0;
  // Something among the uploads of `owner_folder` that is none; and when it is cleared.
  virtual void LeaveJunk(const std::filesystem::path& owner_folder) = 0;
  virtual void ClearJunk(std::unique_ptr<StagingArea>& area) = 0;
  // As if the process had ended between an upload's last byte and the check of its digest.
  virtual void ForgetCheck(const std::string& digest_hex, uint64_t total) = 0;

  std::filesystem::path PathOf(const Digest& digest) const {
    return blobs() / digest.hex().substr(0, 2) / digest.hex();
  }
  static std::vector<std::filesystem::path> FilesBelow(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    std::error_code error;
    for (std::filesystem::recursive_directory_iterator it(folder, error), end; !error && it != end;
         it.increment(error)) {
      if (it->is_regular_file()) files.push_back(it->path());
    }
    return files;
  }
  std::vector<std::filesystem::path> Uploads() const { return FilesBelow(staging()); }
  size_t Blobs() const {
    size_t count = 0;
    for (const auto& file : FilesBelow(blobs())) {
      const std::string folder = *std::filesystem::relative(file, blobs()).begin();
      count += folder != "ages" && folder != "staging" && folder != "tmp" ? 1 : 0;
    }
    return count;
  }
};

class DirectoryBackend : public BlobBackend {
 public:
  absl::StatusOr<std::unique_ptr<BlobStore>> OpenBlobs() override {
    return OpenDirectoryBlobs(blobs());
  }
  absl::StatusOr<std::unique_ptr<StagingArea>> OpenStaging(StagingLimits limits) override {
    return StagingArea::Open(staging(), limits);
  }
  std::filesystem::path blobs() const override { return folder_.path() / "blobs"; }
  std::filesystem::path staging() const override { return folder_.path() / "staging"; }
  size_t HalfMade() override { return FilesBelow(blobs() / "tmp").size(); }
  void LeaveHalfMade() override { std::ofstream(blobs() / "tmp" / "4711") << "half a blob"; }
  bool readers_outlive_blobs() const override { return true; }
  void LeaveJunk(const std::filesystem::path& owner_folder) override {
    std::ofstream(owner_folder / "core.1234") << "junk";
  }
  void ClearJunk(std::unique_ptr<StagingArea>& area) override {
    area.reset();
    area = *OpenStaging({});
  }
  void ForgetCheck(const std::string& digest_hex, uint64_t total) override {
    for (const auto& file : Uploads()) {
      if (file.filename() != digest_hex + ".done") continue;
      std::filesystem::rename(file, file.parent_path() / StrCat(digest_hex, ".", total, ".part"));
    }
  }

 protected:
  TempFolder folder_;
};

// Uploads sealed.
class SealedBackend final : public DirectoryBackend {
 public:
  SealedBackend() {
    SystemRandom random;
    EXPECT_TRUE(AtRestKeys::Create(folder_.path() / "key", random).ok());
    keys_ = AtRestKeys::Open(folder_.path() / "key").value();
  }
  absl::StatusOr<std::unique_ptr<StagingArea>> OpenStaging(StagingLimits limits) override {
    return StagingArea::OpenSealed(staging(), keys_, limits);
  }

 private:
  std::shared_ptr<const AtRestKeys> keys_;
};

class S3Backend : public BlobBackend {
 public:
  explicit S3Backend(S3Server& server) : server_(server), prefix_(NextPrefix()) {
    client_ = Client();
  }
  absl::StatusOr<std::unique_ptr<BlobStore>> OpenBlobs() override { return S3Blobs::Open(client_); }
  absl::StatusOr<std::unique_ptr<StagingArea>> OpenStaging(StagingLimits limits) override {
    return OpenS3Staging(client_, limits);
  }
  std::filesystem::path blobs() const override { return server_.Files(prefix_); }
  std::filesystem::path staging() const override { return server_.Files(prefix_) / "staging"; }
  size_t HalfMade() override {
    return client_->ListUploads(client_->Key(""))->size() + FilesBelow(blobs() / "tmp").size();
  }
  void LeaveHalfMade() override {
    const std::string key = client_->Key("tmp/4711");
    const std::string upload = *client_->BeginUpload(key);
    ASSERT_TRUE(client_->PutPart(key, upload, 1, "half a blob").ok());
    ASSERT_TRUE(client_->Put(client_->Key("tmp/4712"), "a whole one under no name").ok());
  }
  bool readers_outlive_blobs() const override { return false; }
  void LeaveJunk(const std::filesystem::path& owner_folder) override {
    const std::string owner = *std::filesystem::relative(owner_folder, staging()).begin();
    ASSERT_TRUE(client_->Put(client_->Key("staging/" + owner + "/core.1234"), "junk").ok());
  }
  void ClearJunk(std::unique_ptr<StagingArea>& area) override {
    // The upload was touched as lately as the junk, so it is made younger than anything.
    const timespec future[2] = {{.tv_sec = 4'000'000'000}, {.tv_sec = 4'000'000'000}};
    for (const auto& file : Uploads()) {
      if (file.filename() != "core.1234") utimensat(AT_FDCWD, file.c_str(), future, 0);
    }
    ASSERT_EQ(*area->Sweep(Timestamp{3'900'000'000ll * 1'000'000}), 0u);
  }
  void ForgetCheck(const std::string&, uint64_t) override {
    for (const auto& file : Uploads()) {
      if (file.filename() == "done") std::filesystem::remove(file);
    }
  }

 protected:
  const std::shared_ptr<S3Client>& client() const { return client_; }

 private:
  static std::string NextPrefix() {
    static std::atomic<int> next{0};
    return StrCat("t", next.fetch_add(1), "/x");
  }
  std::shared_ptr<S3Client> Client() {
    S3Options options = server_.Options(prefix_);
    options.leftover_age = -std::chrono::minutes(1);  // everything is old, whatever clocks say
    return S3Client::Create(std::move(options)).value();
  }
  S3Server& server_;
  const std::string prefix_;
  std::shared_ptr<S3Client> client_;
};

// Uploads sealed.
class SealedS3Backend final : public S3Backend {
 public:
  explicit SealedS3Backend(S3Server& server) : S3Backend(server) {
    SystemRandom random;
    EXPECT_TRUE(AtRestKeys::Create(folder_.path() / "key", random).ok());
    keys_ = AtRestKeys::Open(folder_.path() / "key").value();
  }
  absl::StatusOr<std::unique_ptr<StagingArea>> OpenStaging(StagingLimits limits) override {
    return OpenS3Staging(client(), limits, keys_);
  }

 private:
  TempFolder folder_;
  std::shared_ptr<const AtRestKeys> keys_;
};

// Contract tests take the adapter's name.
class BlobContractTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "Directory") {
      backend_ = std::make_unique<DirectoryBackend>();
      return;
    }
    if (GetParam() == "Sealed") {
      backend_ = std::make_unique<SealedBackend>();
      return;
    }
    std::string why;
    S3Server* const server = S3Server::Shared(&why);
    if (server == nullptr) GTEST_SKIP() << why;
    if (GetParam() == "SealedS3") {
      backend_ = std::make_unique<SealedS3Backend>(*server);
    } else {
      backend_ = std::make_unique<S3Backend>(*server);
    }
  }
  std::unique_ptr<BlobBackend> backend_;
};

inline std::string BackendName(const ::testing::TestParamInfo<std::string>& info) {
  return info.param;
}

}  // namespace muster
