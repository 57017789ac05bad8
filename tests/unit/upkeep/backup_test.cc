// A backup of a store that is written to, and the coordinator that is made of it.
#include "coordinator/upkeep/backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "coordinator/blobs/at_rest/at_rest_keys.h"
#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/identity/authority.h"
#include "coordinator/store/sqlite/sqlite_store.h"
#include "coordinator/upkeep/doctor.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "tests/support/temp_folder.h"

namespace muster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kPassphrase[] = "correct horse battery";

class BackupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(state_);
    ASSERT_TRUE(
        CertificateAuthority::Create(state_ / "identity", random_, SystemClock().Now()).ok());
    ASSERT_TRUE(PackageSigner::Create(state_ / "package-key.pem").ok());
    ASSERT_TRUE(AtRestKeys::Create(state_ / "at-rest-key", random_).ok());
    fs::create_directories(state_ / "staging");
    store_ = OpenSqliteStore({.directory = state_}).value();
    blobs_ = OpenDirectoryBlobs(state_ / "blobs").value();
  }
  static StateLayout Layout(const fs::path& state) {
    return {.state_dir = state,
            .database = "muster.db",
            .blobs = "blobs",
            .keys = {"identity", "package-key.pem", "at-rest-key"}};
  }
  PackageVerifier Verifier() {
    return PackageVerifier::FromPublicKeyPem(
               PackageSigner::Open(state_ / "package-key.pem").value().public_key_pem())
        .value();
  }
  absl::StatusOr<BackupReport> Backup(const std::string& passphrase = "") {
    return MakeBackup(Layout(state_), backup_, Verifier(), passphrase, random_,
                      SystemClock().Now());
  }
  absl::StatusOr<RestoreReport> Restore(const std::string& passphrase = "") {
    return RestoreBackup(Layout(restored_), backup_, passphrase, random_, {}, SystemClock().Now());
  }
  // A version whose row and blob belong together: the blob first, as the coordinator does.
  absl::Status PutVersion(uint32_t version) {
    const std::string weights = StrCat("weights of version ", version);
    MUSTER_ASSIGN_OR_RETURN(const Digest digest, PutBlob(*blobs_, weights));
    ModelRecord model;
    model.id = {ModelName::Trusted("m"), version};
    model.weights = digest;
    return store_->Write([&](StoreTx& tx) { return tx.PutModel(model); });
  }
  std::vector<CheckResult> Doctor(const fs::path& state) {
    return Examine({.state_dir = state,
                    .identity = "identity",
                    .package_key = "package-key.pem",
                    .at_rest_key = "at-rest-key",
                    .blobs = {.blob_folder = state / "blobs", .staging_folder = state / "staging"},
                    .deep = true},
                   SystemClock().Now());
  }
  static std::string ProblemsOf(const std::vector<CheckResult>& results) {
    std::string problems;
    for (const CheckResult& result : results) {
      if (result.finding == Finding::kProblem) {
        StrAppend(&problems, result.check, ": ", result.text, "\n");
      }
    }
    return problems;
  }

  TempFolder folder_;
  const fs::path state_ = folder_.path() / "state";
  const fs::path backup_ = folder_.path() / "backup";
  const fs::path restored_ = folder_.path() / "restored";
  SystemRandom random_;
  std::unique_ptr<StateStore> store_;
  std::unique_ptr<BlobStore> blobs_;
};

TEST_F(BackupTest, ABackupWhileTheStoreIsWrittenIsWholeAndRestores) {
  std::atomic<bool> stop{false};
  std::atomic<uint32_t> written{0};
  std::thread writer([&] {
    for (uint32_t version = 1; !stop; ++version) {
      ASSERT_TRUE(PutVersion(version).ok());
      written = version;
    }
  });
  while (written < 20) std::this_thread::yield();
  const auto report = Backup(kPassphrase);
  const uint32_t after = written;
  stop = true;
  writer.join();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_GE(report->blobs, 20u);
  EXPECT_LE(report->blobs, after + 1u);

  const auto restored = Restore(kPassphrase);
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->blobs, report->blobs);
  EXPECT_EQ(ProblemsOf(Doctor(restored_)), "");
  for (const char* key :
       {"identity/ca-key.pem", "identity/ca.pem", "package-key.pem", "at-rest-key"}) {
    EXPECT_EQ(Sha256File(restored_ / key).value(), Sha256File(state_ / key).value()) << key;
    EXPECT_EQ(fs::status(restored_ / key).permissions(), fs::status(state_ / key).permissions());
  }
  const auto store = OpenSqliteForReading({.directory = restored_}).value();
  EXPECT_TRUE(store
                  ->Read([&](const StoreReader& reader) -> absl::Status {
                    EXPECT_EQ(reader.ListModels("", {.limit = 100'000})->size(), report->blobs);
                    EXPECT_GE(reader.CurrentGeneration().value(), uint64_t{1} << 32);
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(BackupTest, TheNextBackupCopiesOnlyWhatIsNew) {
  ASSERT_TRUE(PutVersion(1).ok());
  EXPECT_EQ(Backup()->copied, 1u);
  ASSERT_TRUE(PutVersion(2).ok());
  const auto second = Backup();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->copied, 1u);
  EXPECT_EQ(second->blobs, 2u);
}

TEST_F(BackupTest, WithoutAPassphraseTheKeysAreLeftOutAndMustBeThere) {
  ASSERT_TRUE(PutVersion(1).ok());
  ASSERT_TRUE(Backup().ok());
  for (const auto& entry : fs::recursive_directory_iterator(backup_)) {
    EXPECT_EQ(entry.path().string().find("key"), std::string::npos) << entry.path();
  }
  const absl::Status refused = Restore().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the keys are not there"));
  fs::create_directories(restored_);
  for (const char* key : {"identity", "package-key.pem", "at-rest-key"}) {
    fs::copy(state_ / key, restored_ / key, fs::copy_options::recursive);
  }
  const auto restored = Restore();
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_FALSE(restored->keys);
}

TEST_F(BackupTest, ARestoreOverwritesNothing) {
  ASSERT_TRUE(Backup(kPassphrase).ok());
  ASSERT_TRUE(Restore(kPassphrase).ok());
  const absl::Status again = Restore(kPassphrase).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(again)) << again;
  EXPECT_THAT(std::string(again.message()), HasSubstr("is not empty"));
}

TEST_F(BackupTest, EveryDamageIsFoundBeforeAnythingIsWritten) {
  ASSERT_TRUE(PutVersion(1).ok());
  ASSERT_TRUE(Backup(kPassphrase).ok());
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(backup_)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  ASSERT_EQ(files.size(), 4u);  // backup.json, muster.db, keys.sealed, one blob
  for (const fs::path& file : files) {
    const fs::path kept = folder_.path() / "kept";
    fs::copy_file(file, kept, fs::copy_options::overwrite_existing);
    {
      std::fstream damaged(file, std::ios::in | std::ios::out | std::ios::binary);
      damaged.seekp(static_cast<std::streamoff>(fs::file_size(file) / 2));
      damaged << "\x01\x02\x03\x04\x05";
    }
    EXPECT_FALSE(Restore(kPassphrase).ok()) << file;
    EXPECT_FALSE(fs::exists(restored_)) << file;
    fs::remove(file);
    EXPECT_FALSE(Restore(kPassphrase).ok()) << "without " << file;
    EXPECT_FALSE(fs::exists(restored_)) << file;
    fs::copy_file(kept, file);
  }
  EXPECT_TRUE(Restore(kPassphrase).ok());
}

TEST_F(BackupTest, AWrongPassphraseIsRefusedAndLeavesNothing) {
  ASSERT_TRUE(Backup(kPassphrase).ok());
  EXPECT_TRUE(absl::IsUnauthenticated(Restore("correct horse batterz").status()));
  EXPECT_FALSE(fs::exists(restored_));
}

TEST_F(BackupTest, AMissingBlobStopsTheBackupAndTheDoctorNamesIt) {
  ASSERT_TRUE(PutVersion(1).ok());
  EXPECT_EQ(ProblemsOf(Doctor(state_)), "");
  const Digest digest = Sha256("weights of version 1");
  ASSERT_TRUE(blobs_->Delete(digest).ok());
  EXPECT_FALSE(Backup().ok());
  EXPECT_FALSE(fs::exists(backup_ / kBackupManifestFile));
  EXPECT_THAT(ProblemsOf(Doctor(state_)), HasSubstr(digest.hex()));
}

TEST_F(BackupTest, TheDoctorFindsWhatIsNotInOrder) {
  ASSERT_TRUE(PutVersion(1).ok());
  fs::permissions(state_ / "at-rest-key", fs::perms(0644));
  EXPECT_THAT(ProblemsOf(Doctor(state_)), HasSubstr("at-rest-key can be read by others"));
  fs::permissions(state_ / "at-rest-key", fs::perms(0600));
  const std::string hex = Sha256("weights of version 1").hex();
  { std::ofstream(state_ / "blobs" / hex.substr(0, 2) / hex) << "other"; }
  EXPECT_THAT(ProblemsOf(Doctor(state_)), HasSubstr("is damaged"));
  { std::ofstream(state_ / kRestoringFile) << "x"; }
  EXPECT_THAT(ProblemsOf(Doctor(state_)), HasSubstr("restore: "));
}

}  // namespace
}  // namespace muster
