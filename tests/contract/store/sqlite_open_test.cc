// Opening a store: locks, schemas, damage; and what grouping promises.
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "coordinator/store/sqlite/connection.h"
#include "coordinator/store/sqlite/migrations.h"
#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class SqliteOpen : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<StateStore>> Open() {
    return OpenSqliteStore({.directory = folder_.path()});
  }
  void Sql(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open((folder_.path() / "muster.db").c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  TempFolder folder_;
};

TEST_F(SqliteOpen, EverythingIsThereAfterClosingAndOpening) {
  {
    auto store = Open();
    ASSERT_TRUE(store.ok()) << store.status();
    ASSERT_OK((*store)->Write([](StoreTx& tx) { return tx.PutJob(SmallJob("j")); }));
  }
  auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_OK((*store)->Read([](const StoreReader& r) {
    EXPECT_EQ(*r.FindJob(JobId::Trusted("j")), Stored(SmallJob("j")));
    return absl::OkStatus();
  }));
}

TEST_F(SqliteOpen, AStoreThatAnotherProcessHoldsIsRefusedNamingTheHolder) {
  int ready[2], done[2];
  ASSERT_EQ(pipe(ready) | pipe(done), 0);
  const pid_t holder = fork();
  if (holder == 0) {
    close(done[1]);
    const auto store = Open();
    char byte = store.ok() ? 'y' : 'n';
    if (write(ready[1], &byte, 1) != 1) _exit(1);
    if (read(done[0], &byte, 1) < 0) _exit(1);
    _exit(0);
  }
  close(done[0]);
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  const absl::Status refused = Open().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr(folder_.path().string()), HasSubstr(StrCat("process ", holder)),
                    HasSubstr("coordinator.lock"), HasSubstr("stop that process")));
  close(done[1]);
  ASSERT_EQ(waitpid(holder, nullptr, 0), holder);
  EXPECT_TRUE(Open().ok());
  for (int fd : {ready[0], ready[1]}) close(fd);
}

TEST_F(SqliteOpen, ANewerSchemaIsRefusedAndLeftAlone) {
  ASSERT_TRUE(Open().ok());
  Sql("INSERT INTO schema_version (version, name) VALUES (99, 'from the future')");
  const absl::Status refused = Open().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("schema version 99"), HasSubstr("newer program")));
}

TEST_F(SqliteOpen, AStoreIsReadBesideItsOwnerAndNotWritten) {
  auto owner = Open();
  ASSERT_TRUE(owner.ok()) << owner.status();
  const auto put = [&](const char* id) {
    return (*owner)->Write([&](StoreTx& tx) { return tx.PutJob(SmallJob(id)); });
  };
  ASSERT_OK(put("before"));
  const auto reading = OpenSqliteForReading({.directory = folder_.path()});
  ASSERT_TRUE(reading.ok()) << reading.status();
  ASSERT_OK(put("after"));
  ASSERT_OK((*reading)->Read([](const StoreReader& r) {
    EXPECT_EQ(r.ListJobs({})->size(), 2u);
    return absl::OkStatus();
  }));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      (*reading)->Write([](StoreTx& tx) { return tx.PutJob(SmallJob("no")); })));
}

TEST_F(SqliteOpen, ReadingNeedsAStoreOfThisProgramsSchema) {
  EXPECT_TRUE(absl::IsNotFound(OpenSqliteForReading({.directory = folder_.path()}).status()));
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(OpenSqliteForReading({.directory = folder_.path()}).ok());
  Sql("DELETE FROM schema_version WHERE version > 1");
  const absl::Status older = OpenSqliteForReading({.directory = folder_.path()}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(older)) << older;
  EXPECT_THAT(std::string(older.message()), HasSubstr("muster-coordinator migrate"));
}

TEST_F(SqliteOpen, TheAuditLogIsAppendOnlyForOtherProgramsToo) {
  {
    auto store = Open();
    ASSERT_OK((*store)->Write(
        [](StoreTx& tx) { return tx.AppendAudit({.chain = "c", .actor = "a", .action = "x"}); }));
  }
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((folder_.path() / "muster.db").c_str(), &db), SQLITE_OK);
  for (const char* sql : {"UPDATE audit SET actor = 'b'", "DELETE FROM audit"}) {
    EXPECT_NE(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sql;
    EXPECT_THAT(std::string(sqlite3_errmsg(db)), HasSubstr("append-only"));
  }
  sqlite3_close(db);
}

TEST_F(SqliteOpen, ADatabaseOfAnotherProgramIsRefused) {
  Sql("CREATE TABLE bookmarks (url TEXT)");
  const absl::Status refused = Open().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("another program"));
}

TEST_F(SqliteOpen, AFileThatIsNoDatabaseIsDataLoss) {
  std::ofstream(folder_.path() / "muster.db") << std::string(8192, 'x');
  const absl::Status refused = Open().status();
  EXPECT_TRUE(absl::IsDataLoss(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), AllOf(HasSubstr("muster.db"), HasSubstr("backup")));
}

TEST_F(SqliteOpen, AStoredValueThatFitsNoTypeIsDataLossNamingTheColumn) {
  {
    auto store = Open();
    ASSERT_OK((*store)->Write([](StoreTx& tx) { return tx.PutDevice(SmallDevice("d")); }));
  }
  const auto find = [&] {
    auto store = Open();
    absl::Status status;
    EXPECT_TRUE((*store)
                    ->Read([&](const StoreReader& r) {
                      status = r.FindDevice(DeviceId::Trusted("d")).status();
                      return absl::OkStatus();
                    })
                    .ok());
    return status;
  };
  Sql("UPDATE device SET models = '[{\"name\": 3}]'");
  EXPECT_TRUE(absl::IsDataLoss(find())) << find();
  EXPECT_THAT(std::string(find().message()), HasSubstr("column models"));
  Sql("UPDATE device SET models = '[]', revoked = 2");
  EXPECT_THAT(std::string(find().message()), HasSubstr("column revoked"));
  Sql("UPDATE device SET revoked = 0");
  EXPECT_TRUE(find().ok()) << find();
}

TEST_F(SqliteOpen, MigrationsRunInOrderAndOnceAndAFailedOneLeavesItsPredecessor) {
  const auto path = folder_.path() / "steps.db";
  auto db = Connection::Open(path, Connection::Mode::kReadWrite, std::chrono::seconds(1));
  ASSERT_TRUE(db.ok()) << db.status();
  const std::vector<Migration> good = {
      {"01_a", "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)"},
      {"02_b", "UPDATE a SET x = x + 10"}};
  ASSERT_OK(Migrate(**db, {good.data(), 1}));
  ASSERT_OK(Migrate(**db, good));
  ASSERT_OK(Migrate(**db, good));
  std::vector<Migration> bad = good;
  bad.push_back({"03_c", "UPDATE a SET x = 99; SELECT nonsense FROM nowhere"});
  const absl::Status failed = Migrate(**db, bad);
  EXPECT_FALSE(failed.ok());
  EXPECT_THAT(std::string(failed.message()), HasSubstr("03_c"));
  Statement value = *(*db)->Prepare("SELECT x FROM a");
  ASSERT_TRUE(*value.Step());
  EXPECT_EQ(value.row().I64(), 11);
}

TEST_F(SqliteOpen, EmbeddedMigrationsAreNumberedFromOneWithoutGaps) {
  int number = 0;
  for (const Migration& migration : EmbeddedMigrations()) {
    EXPECT_EQ(std::stoi(std::string(migration.name)), ++number) << migration.name;
  }
  EXPECT_GE(number, 1);
}

// From the first release on, whoever changes a migration breaks every store in the field: add a new
// one. Until then this digest is changed together with the file, on purpose.
TEST_F(SqliteOpen, ReleasedMigrationsAreNeverEdited) {
  EXPECT_EQ(Sha256(EmbeddedMigrations()[0].sql).hex(),
            "c3904ece1ccabca4a6f223543f4c0afafb78f023a7cb5ce29a44a37e5b5cfa50");
}

TEST_F(SqliteOpen, ASumFromBeforeSumsHadPartsBecomesThePartOfTheUnnamedReplica) {
  const auto path = folder_.path() / "muster.db";
  {
    auto db = Connection::Open(path, Connection::Mode::kReadWrite, std::chrono::seconds(1));
    ASSERT_TRUE(db.ok()) << db.status();
    ASSERT_OK(Migrate(**db, {EmbeddedMigrations().data(), 1}));
  }
  Sql("PRAGMA foreign_keys = OFF;"
      "INSERT INTO round SELECT 'j', 1, 1, 1, 3, 4, 2, 1, 'clear', 1, 'collecting', 1, 2, NULL, 1,"
      " 1, 0, NULL, NULL, 7, NULL, NULL, NULL, NULL, NULL, x'" +
      std::string(62, '0') +
      "07', 0, '{}', '{}',"
      " 0, 0");
  auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_OK((*store)->Read([](const StoreReader& r) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const auto parts, r.ListPartialSums({JobId::Trusted("j"), 1, 1}));
    if (parts.size() != 1) return absl::NotFoundError("one part was expected");
    EXPECT_EQ(parts[0].replica, "main");
    EXPECT_EQ(parts[0].blob.hex(), std::string(62, '0') + "07");
    return absl::OkStatus();
  }));
}

TEST_F(SqliteOpen, WritesThatWaitShareOneCommitAndEachIsJudgedAlone) {
  auto store = *Open();
  constexpr int kWriters = 32;
  std::vector<std::thread> threads;
  std::vector<absl::Status> results(kWriters);
  // The first write holds the writer until all others wait in the queue.
  ASSERT_OK(store->Write([&](StoreTx& tx) {
    if (threads.empty()) {
      for (int i = 0; i < kWriters; ++i) {
        threads.emplace_back([&, i] {
          results[static_cast<size_t>(i)] = store->Write([&](StoreTx& inner) -> absl::Status {
            MUSTER_RETURN_IF_ERROR(inner.PutDevice(SmallDevice(StrCat("d", i))));
            return i % 4 == 0 ? absl::CancelledError("no") : absl::OkStatus();
          });
        });
      }
      while (store->Stats().waiting < kWriters) std::this_thread::yield();
    }
    return tx.PutDevice(SmallDevice("first"));
  }));
  for (std::thread& thread : threads) thread.join();
  const StoreStats stats = store->Stats();
  EXPECT_EQ(stats.commits, 2u);
  EXPECT_EQ(stats.writes, 1u + kWriters - kWriters / 4);
  EXPECT_EQ(stats.failed_writes, uint64_t{kWriters / 4});
  EXPECT_EQ(stats.largest_group, uint64_t{kWriters - kWriters / 4});
  EXPECT_GT(stats.commit_seconds, 0);
  ASSERT_OK(store->Read([&](const StoreReader& r) {
    for (int i = 0; i < kWriters; ++i) {
      const bool kept = r.FindDevice(DeviceId::Trusted(StrCat("d", i))).ok();
      EXPECT_EQ(kept, i % 4 != 0);
      EXPECT_EQ(results[static_cast<size_t>(i)].ok(), kept);
    }
    return absl::OkStatus();
  }));
}

}  // namespace
}  // namespace muster
