#include "proto/core/files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>

#include "proto/core/strings.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    std::string name = testing::TempDir() + "/files_test.XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    folder_ = name;
  }
  ~FilesTest() override { std::filesystem::remove_all(folder_); }

  size_t FilesInFolder() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  std::filesystem::path folder_;
};

TEST_F(FilesTest, WriteThenReadGivesTheSameBytes) {
  std::string bytes(300'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31);
  ASSERT_TRUE(WriteFileDurably(folder_ / "a", bytes).ok());
  EXPECT_EQ(*ReadFile(folder_ / "a", bytes.size()), bytes);
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(FilesTest, WriteReplacesTheOldContentWhole) {
  ASSERT_TRUE(WriteFileDurably(folder_ / "a", "a long old content").ok());
  ASSERT_TRUE(WriteFileDurably(folder_ / "a", "new").ok());
  EXPECT_EQ(*ReadFile(folder_ / "a", 100), "new");
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(FilesTest, WriteSetsTheModeWhateverTheUmask) {
  const mode_t before = umask(0077);
  ASSERT_TRUE(WriteFileDurably(folder_ / "public", "x").ok());
  umask(0);
  ASSERT_TRUE(WriteFileDurably(folder_ / "private", "x", 0600).ok());
  umask(before);
  struct stat info {};
  ASSERT_EQ(stat((folder_ / "public").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0644u);
  ASSERT_EQ(stat((folder_ / "private").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(FilesTest, FailedWriteKeepsTheOldContentAndLeavesNothingBehind) {
  ASSERT_TRUE(WriteFileDurably(folder_ / "a", "old").ok());
  // A file size limit fails the write half-way, as a full disk does.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 1000, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = WriteFileDurably(folder_ / "a", std::string(5000, 'x'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(*ReadFile(folder_ / "a", 100), "old");
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(FilesTest, WriteIntoAMissingFolderNamesThePath) {
  const absl::Status status = WriteFileDurably(folder_ / "none" / "a", "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(StdView(status.message()), HasSubstr((folder_ / "none" / "a").string()));
}

TEST_F(FilesTest, ReadStopsAtTheLimit) {
  ASSERT_TRUE(WriteFileDurably(folder_ / "a", std::string(1000, 'x')).ok());
  EXPECT_TRUE(ReadFile(folder_ / "a", 1000).ok());
  const auto over = ReadFile(folder_ / "a", 999);
  EXPECT_EQ(over.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(StdView(over.status().message()), HasSubstr("999 bytes"));
}

TEST_F(FilesTest, ReadOfAMissingFileIsNotFoundAndOfAFolderAnError) {
  EXPECT_EQ(ReadFile(folder_ / "none", 10).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(ReadFile(folder_, 10).ok());
}

TEST_F(FilesTest, AFullDiskIsResourceExhaustedAndSaysWhere) {
  for (int error : {ENOSPC, EDQUOT}) {
    const absl::Status status = ErrnoStatus(error, "writing", folder_ / "missing" / "a");
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(StdView(status.message()), HasSubstr("file system at /"));
    EXPECT_THAT(StdView(status.message()), HasSubstr("free some space"));
  }
}

TEST_F(FilesTest, TheFullDeviceIsReportedByARealWrite) {
  UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full.valid());
  ASSERT_EQ(write(full.get(), "x", 1), -1);
  EXPECT_TRUE(absl::IsResourceExhausted(ErrnoStatus(errno, "writing", "/dev/full")));
}

TEST_F(FilesTest, FsyncTellsFilesFromFolders) {
  ASSERT_TRUE(WriteFileDurably(folder_ / "a", "x").ok());
  EXPECT_TRUE(FsyncFile(folder_ / "a").ok());
  EXPECT_TRUE(FsyncDirectory(folder_).ok());
  EXPECT_FALSE(FsyncDirectory(folder_ / "a").ok());
  EXPECT_EQ(FsyncFile(folder_ / "none").code(), absl::StatusCode::kNotFound);
}

TEST_F(FilesTest, UniqueFdClosesOnceAndHandsOver) {
  int raw = -1;
  {
    UniqueFd a(open("/dev/null", O_RDONLY | O_CLOEXEC));
    raw = a.get();
    UniqueFd b(std::move(a));
    EXPECT_FALSE(a.valid());
    EXPECT_EQ(b.get(), raw);
    EXPECT_NE(fcntl(raw, F_GETFD), -1);
  }
  EXPECT_EQ(fcntl(raw, F_GETFD), -1);
  EXPECT_EQ(errno, EBADF);
}

}  // namespace
}  // namespace muster
