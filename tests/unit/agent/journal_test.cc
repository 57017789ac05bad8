#include "client/agent/journal.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "tests/unit/agent/tiny_disk.h"

namespace muster {
namespace {

Invocation MakeInvocation(const std::string& id) {
  Invocation invocation;
  invocation.id = InvocationId::Trusted(id);
  invocation.package = Sha256("package");
  invocation.job = JobId::Trusted("job");
  invocation.round = 2;
  invocation.attempt = 1;
  invocation.seed = 99;
  invocation.deadline = {1'800'000'000'000'000};
  return invocation;
}

UpdateOffer MakeUpdate(const std::string& id, uint64_t examples = 10) {
  UpdateOffer offer;
  offer.invocation = InvocationId::Trusted(id);
  offer.update = Sha256("update of " + id);
  offer.examples = examples;
  offer.metrics = {{"train_loss", 0.5}};
  offer.metering = {.wall = Duration(5), .cpu = Duration(4), .peak_memory_bytes = 3};
  return offer;
}

DesiredModel MakeModel(uint32_t version) {
  return {ModelName::Trusted("m"), version, Sha256(std::to_string(version)), true};
}
GoodModel MakeGood(uint32_t version, uint64_t security_version) {
  GoodModel good{MakeModel(version), security_version, "models/m/1/model.mq8", {}};
  good.status.name = good.model.name;
  good.status.version = version;
  good.status.phase = ModelPhase::kLive;
  good.status.serving_version = version;
  good.status.metrics = {{"int8_accuracy", 0.9}};
  return good;
}

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    std::string name = testing::TempDir() + "/journal-XXXXXX";
    dir_ = mkdtemp(name.data());
    Reopen();
  }
  ~JournalTest() override {
    journal_.reset();
    std::filesystem::remove_all(dir_);
  }
  void Reopen() {
    journal_.reset();
    auto opened = Journal::Open(dir_ / "journal.db");
    ASSERT_TRUE(opened.ok()) << opened.status();
    journal_ = *std::move(opened);
  }
  // Does `work` in a process that is then killed with -9, and opens what it left.
  void InKilledProcess(const std::function<void(Journal&)>& work) {
    journal_.reset();
    const pid_t child = fork();
    if (child == 0) {
      auto opened = Journal::Open(dir_ / "journal.db");
      if (opened.ok()) work(**opened);
      kill(getpid(), SIGKILL);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    Reopen();
  }
  JournalEntry Entry(const std::string& id) {
    auto entry = journal_->Find(InvocationId::Trusted(id));
    EXPECT_TRUE(entry.ok() && entry->has_value()) << entry.status();
    return **entry;
  }

  const InvocationId a_ = InvocationId::Trusted("a");
  std::filesystem::path dir_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, EveryStageSurvivesKillMinusNine) {
  InKilledProcess([&](Journal& j) { j.Receive(MakeInvocation("a")).IgnoreError(); });
  EXPECT_EQ(Entry("a").stage, Stage::kReceived);
  EXPECT_EQ(Entry("a").invocation, MakeInvocation("a"));

  InKilledProcess([&](Journal& j) { j.StartAttempt(a_).IgnoreError(); });
  EXPECT_EQ(Entry("a").stage, Stage::kRunning);
  EXPECT_EQ(Entry("a").attempts, 1u);

  InKilledProcess([&](Journal& j) { j.StartAttempt(a_).IgnoreError(); });
  EXPECT_EQ(Entry("a").attempts, 2u);

  InKilledProcess([&](Journal& j) { j.StoreAnswer(a_, MakeUpdate("a"), "m").IgnoreError(); });
  EXPECT_EQ(Entry("a").stage, Stage::kReady);
  EXPECT_EQ(std::get<UpdateOffer>(*Entry("a").answer), MakeUpdate("a"));
  EXPECT_EQ(Entry("a").personal_of, "m");

  InKilledProcess([&](Journal& j) { j.MarkAnswered(a_, "accepted").IgnoreError(); });
  EXPECT_EQ(Entry("a").stage, Stage::kAnswered);
  EXPECT_EQ(Entry("a").outcome, "accepted");
  EXPECT_TRUE(journal_->Unfinished()->empty());
}

TEST_F(JournalTest, AReceivedInvocationStaysWhereItIsWhenReceivedAgain) {
  ASSERT_TRUE(journal_->Receive(MakeInvocation("a")).ok());
  ASSERT_TRUE(journal_->StoreAnswer(a_, MakeUpdate("a")).ok());
  ASSERT_TRUE(journal_->Receive(MakeInvocation("a")).ok());
  EXPECT_EQ(Entry("a").stage, Stage::kReady);
}

TEST_F(JournalTest, TheFirstAnswerIsTheAnswer) {
  ASSERT_TRUE(journal_->Receive(MakeInvocation("a")).ok());
  ASSERT_TRUE(journal_->StoreAnswer(a_, MakeUpdate("a", 10)).ok());
  ASSERT_TRUE(journal_->StoreAnswer(a_, MakeUpdate("a", 20)).ok());
  ASSERT_TRUE(journal_->StoreAnswer(a_, ResultOffer{.invocation = a_, .failure = "no"}).ok());
  EXPECT_EQ(std::get<UpdateOffer>(*Entry("a").answer).examples, 10u);
}

TEST_F(JournalTest, AnOutcomeIsNeverComputedAgain) {
  ASSERT_TRUE(journal_->Receive(MakeInvocation("a")).ok());
  ASSERT_TRUE(journal_->StoreAnswer(a_, MakeUpdate("a")).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(journal_->StartAttempt(a_).status()));
  ASSERT_TRUE(journal_->MarkAnswered(a_, "accepted").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(journal_->StartAttempt(a_).status()));
}

TEST_F(JournalTest, KeepsABoundedNumberOfAnsweredInvocationsAndAllOpenOnes) {
  ASSERT_TRUE(journal_->Receive(MakeInvocation("open")).ok());
  for (size_t i = 0; i < kKeptInvocations + 5; ++i) {
    const std::string id = "i" + std::to_string(i);
    ASSERT_TRUE(journal_->Receive(MakeInvocation(id)).ok());
    ASSERT_TRUE(journal_->MarkAnswered(InvocationId::Trusted(id), "x").ok());
  }
  EXPECT_EQ(journal_->Recent(10'000)->size(), kKeptInvocations + 1);
  EXPECT_FALSE(journal_->Find(InvocationId::Trusted("i0"))->has_value());
  EXPECT_EQ(journal_->Unfinished()->size(), 1u);
}

TEST_F(JournalTest, DesiredStateNeverGoesBack) {
  EXPECT_FALSE(journal_->Desired()->has_value());
  const DesiredState newest{7, {MakeModel(2)}};
  ASSERT_TRUE(journal_->SetDesired(newest).ok());
  ASSERT_TRUE(journal_->SetDesired({5, {MakeModel(1)}}).ok());
  ASSERT_TRUE(journal_->SetApplied(7).ok());
  Reopen();
  EXPECT_EQ(**journal_->Desired(), newest);
  EXPECT_EQ(*journal_->Applied(), 7u);
}

TEST_F(JournalTest, TheFloorRisesWithCommitsAndNeverFalls) {
  const ModelName name = ModelName::Trusted("m");
  EXPECT_EQ(*journal_->Floor(name), 0u);
  ASSERT_TRUE(journal_->CommitModel(MakeGood(1, 5)).ok());
  ASSERT_TRUE(journal_->CommitModel(MakeGood(2, 3)).ok());
  EXPECT_EQ(*journal_->Floor(name), 5u);
  ASSERT_TRUE(journal_->RemoveModel(name).ok());
  Reopen();
  EXPECT_EQ(*journal_->Floor(name), 5u);
  EXPECT_TRUE(journal_->GoodModels()->empty());
}

TEST_F(JournalTest, TheLastGoodModelIsTheOneThatWasCommittedLast) {
  ASSERT_TRUE(journal_->CommitModel(MakeGood(1, 1)).ok());
  ASSERT_TRUE(journal_->CommitModel(MakeGood(2, 1)).ok());
  Reopen();
  const auto models = *journal_->GoodModels();
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].model, MakeModel(2));
  EXPECT_EQ(models[0].status, MakeGood(2, 1).status);
}

TEST_F(JournalTest, MeteringIsReportedOnceHoweverOftenTheReportIsSent) {
  const Metering half{.wall = Duration(10), .cpu = Duration(5), .bytes_down = 100};
  ASSERT_TRUE(journal_->AddMetering(half).ok());
  ASSERT_TRUE(journal_->AddMetering(half).ok());
  auto first = journal_->PrepareReport({.generation = 1}, "r.1");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->metering.wall, Duration(20));
  ASSERT_TRUE(journal_->AddMetering(half).ok());
  Reopen();
  auto again = journal_->PrepareReport({.generation = 2}, "r.2");
  EXPECT_EQ(*again, *first) << "a report that is out stays as it is";
  ASSERT_TRUE(journal_->ReportTaken("r.1").ok());
  auto second = journal_->PrepareReport({.generation = 2}, "r.2");
  EXPECT_EQ(second->metering.wall, Duration(10));
  EXPECT_EQ(second->report_id, "r.2");
}

TEST_F(JournalTest, ANewerFormatIsRefusedWithARemedy) {
  journal_.reset();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((dir_ / "journal.db").c_str(), &db), SQLITE_OK);
  sqlite3_exec(db, "PRAGMA user_version = 99", nullptr, nullptr, nullptr);
  sqlite3_close(db);
  auto opened = Journal::Open(dir_ / "journal.db");
  EXPECT_TRUE(absl::IsFailedPrecondition(opened.status())) << opened.status();
  std::filesystem::remove_all(dir_);
  std::filesystem::create_directories(dir_);
  Reopen();
}

SecAggSession MakeSession(const std::string& sealed) {
  SecAggSession session;
  session.params = secagg::Params{};
  session.params->job = JobId::Trusted("job");
  session.params->round = session.params->attempt = 1;
  session.params->model = session.params->nonce = Sha256("x");
  session.params->dimension = 10;
  session.params->clip = session.params->scale = 1;
  session.params->min_clients = session.params->max_clients = 4;
  session.phase = secagg::Phase::kMasked;
  session.masking = {.wall = Duration(7), .bytes_up = 40};
  session.sealed = sealed;
  session.updated = {1'700'000'000'000'000};
  return session;
}

TEST_F(JournalTest, AnInvocationStaysSecureAndItsSessionIsWhatWasPutLast) {
  Invocation invocation = MakeInvocation("a");
  invocation.secure = true;
  ASSERT_TRUE(journal_->Receive(invocation).ok());
  EXPECT_FALSE(journal_->FindSecAggSession(invocation.id)->has_value());
  InKilledProcess([&](Journal& journal) {
    journal.PutSecAggSession(invocation.id, MakeSession("first")).IgnoreError();
    journal.PutSecAggSession(invocation.id, MakeSession(std::string("a\0b", 3))).IgnoreError();
  });
  EXPECT_EQ((*journal_->Find(invocation.id))->invocation, invocation);
  const auto session = *journal_->FindSecAggSession(invocation.id);
  ASSERT_TRUE(session.has_value());
  EXPECT_EQ(session->params, MakeSession("").params);
  EXPECT_EQ(session->phase, secagg::Phase::kMasked);
  EXPECT_EQ(session->masking, MakeSession("").masking);
  EXPECT_EQ(session->sealed, std::string("a\0b", 3));
  EXPECT_EQ(session->updated, MakeSession("").updated);
  ASSERT_TRUE(journal_->DeleteSecAggSession(invocation.id).ok());
  EXPECT_FALSE(journal_->FindSecAggSession(invocation.id)->has_value());
}

TEST_F(JournalTest, AnAnsweredInvocationKeepsNoSession) {
  const InvocationId a = InvocationId::Trusted("a"), b = InvocationId::Trusted("b");
  for (const InvocationId& id : {a, b}) {
    ASSERT_TRUE(journal_->Receive(MakeInvocation(id.value())).ok());
    ASSERT_TRUE(journal_->PutSecAggSession(id, MakeSession("sealed")).ok());
  }
  ASSERT_TRUE(journal_->MarkAnswered(a, "accepted").ok());
  Reopen();
  EXPECT_FALSE(journal_->FindSecAggSession(a)->has_value());
  EXPECT_TRUE(journal_->FindSecAggSession(b)->has_value());
}

TEST_F(JournalTest, ASessionThatCannotBeReadIsLostAndNotAnError) {
  const InvocationId a = InvocationId::Trusted("a");
  ASSERT_TRUE(journal_->PutSecAggSession(a, MakeSession("sealed")).ok());
  journal_.reset();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((dir_ / "journal.db").c_str(), &db), SQLITE_OK);
  sqlite3_exec(db, "UPDATE secagg_session SET params = x'ff'", nullptr, nullptr, nullptr);
  sqlite3_close(db);
  Reopen();
  EXPECT_TRUE(absl::IsDataLoss(journal_->FindSecAggSession(a).status()));
}

TEST_F(JournalTest, AJournalOfTheFirstVersionIsBroughtUpToDate) {
  ASSERT_TRUE(journal_->Receive(MakeInvocation("a")).ok());
  journal_.reset();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((dir_ / "journal.db").c_str(), &db), SQLITE_OK);
  sqlite3_exec(db, "DROP TABLE secagg_session; PRAGMA user_version = 1", nullptr, nullptr, nullptr);
  sqlite3_close(db);
  Reopen();
  EXPECT_TRUE((*journal_->Find(InvocationId::Trusted("a"))).has_value());
  EXPECT_TRUE(journal_->PutSecAggSession(InvocationId::Trusted("a"), MakeSession("sealed")).ok());
}

TEST(JournalOnAFullDisk, SaysSoLosesNothingAndGoesOn) {
  TinyDisk disk(512u << 10);
  auto opened = Journal::Open(disk.path() / "journal.db");
  ASSERT_TRUE(opened.ok()) << opened.status();
  Journal& journal = **opened;
  const InvocationId a = InvocationId::Trusted("a");
  ASSERT_TRUE(journal.Receive(MakeInvocation("a")).ok());
  ASSERT_TRUE(journal.StoreAnswer(a, MakeUpdate("a")).ok());
  disk.Fill();
  absl::Status full;
  int received = 0;
  for (; full.ok() && received < 10'000; ++received) {
    full = journal.Receive(MakeInvocation("i" + std::to_string(received)));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_NE(std::string(full.message()).find("free some space"), std::string::npos);
  auto entry = journal.Find(a);
  ASSERT_TRUE(entry.ok()) << entry.status();
  EXPECT_EQ(std::get<UpdateOffer>(*(*entry)->answer), MakeUpdate("a"));
  disk.Relieve();
  EXPECT_TRUE(journal.Receive(MakeInvocation("later")).ok());
  EXPECT_TRUE(journal.MarkAnswered(a, "accepted").ok());
  EXPECT_EQ(journal.Unfinished()->size(), static_cast<size_t>(received));
}

}  // namespace
}  // namespace muster
