// What the doctor makes of what it finds. backup_test.cc has it over a whole state folder.
#include "coordinator/upkeep/doctor.h"

#include <gmock/gmock.h>

#include <set>

#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/store/memory/memory_store.h"
#include "coordinator/upkeep/checks/blobs.h"
#include "coordinator/upkeep/checks/database.h"
#include "tests/support/temp_folder.h"

namespace muster {
namespace {

using checks::Results;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::SizeIs;

Results Judged(const DatabaseState& state) {
  Results results;
  checks::JudgeDatabase(state, results);
  return results;
}

TEST(Doctor, ADatabaseServersClockMustBeThisMachines) {
  for (const Duration ahead : {seconds(0), seconds(10), seconds(-10)}) {
    EXPECT_THAT(Judged({.clock_ahead = ahead}),
                AllOf(SizeIs(2), Each(Field(&CheckResult::finding, Finding::kFine))));
  }
  const Results ahead = Judged({.clock_ahead = seconds(11)});
  EXPECT_EQ(ahead[1].finding, Finding::kProblem);
  EXPECT_THAT(ahead[1].text, HasSubstr("11 s ahead of"));
  const Results behind = Judged({.clock_ahead = seconds(-3600)});
  EXPECT_EQ(behind[1].finding, Finding::kProblem);
  EXPECT_THAT(behind[1].text, HasSubstr("3600 s behind"));
}

TEST(Doctor, ADatabaseThatTakesNoWritesIsAProblem) {
  const Results results = Judged(
      {.name = "PostgreSQL 15.1 at h:5432/d", .read_only = true, .clock_ahead = Duration::zero()});
  EXPECT_EQ(results[0].finding, Finding::kProblem);
  EXPECT_THAT(results[0].text, HasSubstr("PostgreSQL 15.1 at h:5432/d takes no writes"));
}

TEST(Doctor, AFileHasNoClock) { EXPECT_THAT(Judged({.name = "SQLite"}), SizeIs(1)); }

TEST(Doctor, NoCheckIsLeftOutWithoutAWord) {
  const TempFolder folder;
  const auto results = Examine({.state_dir = folder.path(),
                                .identity = "identity",
                                .package_key = "package-key.pem",
                                .at_rest_key = "at-rest-key",
                                .blobs = {.blob_folder = folder.path() / "blobs",
                                          .staging_folder = folder.path() / "staging"}},
                               SystemClock().Now());
  std::set<std::string> checked, unchecked;
  for (const CheckResult& result : results) {
    checked.insert(result.check);
    if (result.text.starts_with("not checked: ")) unchecked.insert(result.check);
  }
  EXPECT_THAT(checked, IsSupersetOf({"restore", "keys", "certificate", "disk", "staging",
                                     "database", "schema", "clock", "tasks", "blobs", "orphans"}));
  EXPECT_EQ(unchecked, (std::set<std::string>{"schema", "clock", "tasks", "blobs", "orphans"}));
}

// A round that ends beside the doctor takes its sums along.
TEST(Doctor, WhatTheStoreLetGoMeanwhileIsNotMissed) {
  const TempFolder folder;
  const auto store = MakeMemoryStore();
  const auto blobs = OpenDirectoryBlobs(folder.path() / "blobs").value();
  ASSERT_TRUE(PackageSigner::Create(folder.path() / "key").ok());
  const auto verifier = PackageVerifier::FromPublicKeyPem(
      PackageSigner::Open(folder.path() / "key").value().public_key_pem());
  ReferenceFinder finder(*blobs, *verifier);
  const Digest gone = Sha256("gone"), missed = Sha256("missed");
  ModelRecord model;
  model.id = {ModelName::Trusted("m"), 1};
  model.weights = missed;
  ASSERT_TRUE(store->Write([&](StoreTx& tx) { return tx.PutModel(model); }).ok());
  const checks::BlobsToCheck context{*store, *blobs, finder};
  Results results;
  checks::CheckBlobs(context, {gone}, SystemClock().Now(), results);
  EXPECT_THAT(results, Each(Field(&CheckResult::finding, Finding::kFine)));
  results.clear();
  checks::CheckBlobs(context, {gone, missed}, SystemClock().Now(), results);
  EXPECT_EQ(results[0].finding, Finding::kProblem);
  EXPECT_THAT(results[0].text, AllOf(HasSubstr("1 of 2"), HasSubstr(missed.hex())));
}

}  // namespace
}  // namespace muster
