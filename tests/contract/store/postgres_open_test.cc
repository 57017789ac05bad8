// Opening a store in PostgreSQL: URLs, schemas, several replicas that start at once.
#include <latch>
#include <thread>

#include "coordinator/store/open_store.h"
#include "coordinator/store/postgres/conninfo.h"
#include "coordinator/store/postgres/pg_migrations.h"
#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class PostgresOpen : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<StateStore>> Open() { return OpenPostgresStore({.url = url_}); }
  void Sql(const std::string& sql) {
    const auto done = SharedPostgres().Sql(url_, sql);
    ASSERT_TRUE(done.ok()) << done.status();
  }
  const std::string url_ = SharedPostgres().FreshUrl();
};

TEST_F(PostgresOpen, EverythingIsThereAfterClosingAndOpening) {
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

TEST_F(PostgresOpen, ReplicasThatStartAtOnceMakeTheSchemaOnce) {
  constexpr int kReplicas = 4;
  std::latch start(kReplicas);
  std::vector<absl::Status> opened(kReplicas);
  std::vector<std::thread> threads;
  for (absl::Status& status : opened) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      const auto store = Open();
      status = store.status();
      if (!store.ok()) return;
      status = (*store)->Write([](StoreTx& tx) { return tx.NextGeneration().status(); });
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : opened) EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(*SharedPostgres().Sql(url_, "SELECT count(*) FROM schema_version"),
            std::to_string(PostgresMigrations().size()));
  EXPECT_EQ(*SharedPostgres().Sql(url_, "SELECT value FROM counter WHERE name = 'generation'"),
            std::to_string(kReplicas));
}

TEST_F(PostgresOpen, ANewerSchemaIsRefusedAndLeftAlone) {
  ASSERT_TRUE(Open().ok());
  Sql("INSERT INTO schema_version (version, name) VALUES (99, 'from the future')");
  const absl::Status refused = Open().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("schema version 99"), HasSubstr("newer program")));
}

TEST_F(PostgresOpen, WhoDoesNotMigrateIsToldToAndChangesNothing) {
  const auto unmigrated = [&] {
    return OpenStore(url_, "/nonexistent", /*migrate=*/false).status();
  };
  const absl::Status refused = unmigrated();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("muster-coordinator migrate"));
  const auto before = InspectSchema(url_, "/nonexistent");
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ(before->found, 0);
  EXPECT_EQ(before->pending.size(), PostgresMigrations().size());
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenStoreForReading(url_, "/nonexistent").status()));
  EXPECT_EQ(*SharedPostgres().Sql(url_,
                                  "SELECT count(*) FROM pg_tables"
                                  " WHERE schemaname = current_schema()"),
            "0");

  ASSERT_TRUE(Open().ok());
  EXPECT_TRUE(InspectSchema(url_, "/nonexistent")->pending.empty());
  EXPECT_TRUE(unmigrated().ok());
}

TEST_F(PostgresOpen, ADatabaseSaysWhatItIsAndWhetherItTakesWrites) {
  const auto inspect = [](const std::string& url) { return InspectDatabase(url, "/nonexistent"); };
  const auto state = inspect(url_);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_THAT(state->name, AllOf(HasSubstr("PostgreSQL 1"), HasSubstr(" at ")));
  EXPECT_GT(state->bytes, 0u);
  EXPECT_FALSE(state->read_only);
  ASSERT_TRUE(state->clock_ahead.has_value());
  EXPECT_EQ(*state->clock_ahead, Duration::zero());  // the server is on this machine
  const auto read_only = inspect(url_ + "%20-cdefault_transaction_read_only%3Don");
  ASSERT_TRUE(read_only.ok()) << read_only.status();
  EXPECT_TRUE(read_only->read_only);
}

TEST_F(PostgresOpen, WhoeverHasTheDatabaseIsNamed) {
  const auto store = OpenPostgresStore({.url = url_ + "&application_name=replica-7"});
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_OK((*store)->Write([](StoreTx& tx) { return tx.NextGeneration().status(); }));
  const absl::Status refused = CheckNobodyServes(url_ + "&application_name=replica-7");
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("pid "));
}

TEST_F(PostgresOpen, ADatabaseOfAnotherProgramIsRefused) {
  Sql("CREATE TABLE bookmarks (url TEXT)");
  const absl::Status refused = Open().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("another program"));
}

TEST_F(PostgresOpen, ASchemaThatDoesNotExistIsRefused) {
  const absl::Status refused =
      OpenPostgresStore(
          {.url = SharedPostgres().Url() + "&options=-csearch_path%3Dnowhere_to_be_found"})
          .status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("create it first"));
}

TEST_F(PostgresOpen, AStepThatFailsLeavesItsPredecessorAndNamesItself) {
  auto info = ConnInfo::Parse(url_);
  ASSERT_TRUE(info.ok()) << info.status();
  auto db = PgConnection::Open(*info, {});
  ASSERT_TRUE(db.ok()) << db.status();
  std::vector<Migration> steps = {{"01_a", "CREATE TABLE a (x BIGINT); INSERT INTO a VALUES (1)"},
                                  {"02_b", "UPDATE a SET x = x + 10"}};
  ASSERT_OK(MigratePostgres(**db, {steps.data(), 1}));
  ASSERT_OK(MigratePostgres(**db, steps));
  ASSERT_OK(MigratePostgres(**db, steps));
  steps.push_back({"03_c", "UPDATE a SET x = 99; SELECT nonsense FROM nowhere"});
  const absl::Status failed = MigratePostgres(**db, steps);
  EXPECT_THAT(std::string(failed.message()), HasSubstr("03_c"));
  EXPECT_EQ(*SharedPostgres().Sql(url_, "SELECT x FROM a"), "11");
}

TEST_F(PostgresOpen, AStoredValueThatFitsNoTypeIsDataLossNamingTheColumn) {
  auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_OK((*store)->Write([](StoreTx& tx) { return tx.PutDevice(SmallDevice("d")); }));
  Sql("UPDATE device SET models = '[{\"name\": 3}]'");
  absl::Status status;
  ASSERT_OK((*store)->Read([&](const StoreReader& r) {
    status = r.FindDevice(DeviceId::Trusted("d")).status();
    return absl::OkStatus();
  }));
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("column models"));
}

TEST_F(PostgresOpen, TextThatPostgresCannotHoldIsStoredWithoutWhatItCannotHold) {
  auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  DeviceRecord device = SmallDevice("d");
  device.revoked_reason = std::string("a\0b", 3) + "\xff" + "\xED\xA0\x80" + "\xC3\xA9";
  ASSERT_OK((*store)->Write([&](StoreTx& tx) { return tx.PutDevice(device); }));
  ASSERT_OK((*store)->Read([&](const StoreReader& r) {
    const std::string gap = "\xEF\xBF\xBD";
    EXPECT_EQ(r.FindDevice(DeviceId::Trusted("d"))->revoked_reason,
              "a" + gap + "b" + gap + gap + gap + gap + "\xC3\xA9");
    return absl::OkStatus();
  }));
}

TEST_F(PostgresOpen, StepsAreNumberedFromOneWithoutGaps) {
  int number = 0;
  for (const Migration& migration : PostgresMigrations()) {
    EXPECT_EQ(std::stoi(std::string(migration.name)), ++number) << migration.name;
  }
  EXPECT_GE(number, 1);
}

// From the first release on, whoever changes a step breaks every store in the field: add a new one.
// Until then this digest is changed together with the file, on purpose.
TEST_F(PostgresOpen, ReleasedStepsAreNeverEdited) {
  EXPECT_EQ(Sha256(PostgresMigrations()[0].sql).hex(),
            "88fde12cb56185330dfb9f4f187b630299791d2da3e8bc10caf274a391661075");
}

TEST(PostgresUrl, AServerThatIsAwayIsUnavailableAndNamed) {
  const absl::Status away =
      OpenPostgresStore({.url = "postgresql:///db?host=/nowhere", .away_timeout = {}}).status();
  EXPECT_TRUE(absl::IsUnavailable(away)) << away;
  EXPECT_THAT(std::string(away.message()), HasSubstr("/nowhere:5432/db"));
}

TEST(PostgresUrl, NoErrorRepeatsThePassword) {
  for (const char* url : {"postgresql://u:s3cret@/db?host=/nowhere", "postgresql://u:s3cret@[/db",
                          "postgresql://u:s3cret@h/db?no=such", "postgresql://u:a?s3cret=b@h/db",
                          "mysql://u:s3cret@h/db", "postgresql:u:s3cret"}) {
    PostgresOptions options{.url = url, .away_timeout = {}};
    const absl::Status direct = OpenPostgresStore(options).status();
    EXPECT_FALSE(direct.ok());
    EXPECT_THAT(direct.ToString(), Not(HasSubstr("s3cret")));
    if (std::string_view(url).starts_with("postgresql://")) continue;
    const absl::Status picked = OpenStore(url, "/nowhere").status();
    EXPECT_TRUE(absl::IsInvalidArgument(picked)) << picked;
    EXPECT_THAT(picked.ToString(), AllOf(Not(HasSubstr("s3cret")), HasSubstr("sqlite:FOLDER"),
                                         HasSubstr("postgresql://USER@HOST")));
  }
}

TEST(PostgresUrl, AServerElsewhereMustProveWhoItIsUnlessTheUrlSaysOtherwise) {
  const auto mode = [](const std::string& url) {
    auto info = ConnInfo::Parse(url);
    EXPECT_TRUE(info.ok()) << info.status();
    return std::string((*info)->Get("sslmode"));
  };
  EXPECT_EQ(mode("postgresql://db.example.org/m"), "verify-full");
  EXPECT_EQ(mode("postgresql://localhost,db.example.org/m"), "verify-full");
  EXPECT_EQ(mode("postgresql:///m?hostaddr=192.0.2.7"), "verify-full");
  EXPECT_EQ(mode("postgresql://db.example.org/m?sslmode=require"), "require");
  EXPECT_EQ(mode("postgresql:///m?host=/run/postgresql"), "");
  EXPECT_EQ(mode("postgresql://127.0.0.1/m"), "");
}

}  // namespace
}  // namespace muster
