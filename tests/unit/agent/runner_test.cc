#include "client/agent/runner.h"

#include <gtest/gtest.h>

#include "tests/unit/agent/device_fixture.h"

namespace muster {
namespace {

using worker::v1::WorkerRequest;

class RunnerTest : public DeviceFixture {
 protected:
  RunnerTest() {
    work_ = [](const WorkerRequest& request) {
      WriteOutput(request, "update.f32", std::string(6 * sizeof(float), 'u'));
      return Done(request);
    };
    MakeRunner();
  }
  void Restart() override {
    runner_.reset();
    DeviceFixture::Restart();
    MakeRunner();
    EXPECT_TRUE(runner_->Recover().ok());
  }
  void MakeRunner() {
    secure_ = std::make_unique<SecureUpdate>(dir_, *journal_, random_, clock_);
    runner_ = std::make_unique<Runner>(dir_, FunctionSettings{{}, 1u << 30}, *journal_, *packages_,
                                       Worker(), *secure_);
  }
  Invocation Offer(const Digest& package, FunctionKind function = FunctionKind::kTrain) {
    Invocation invocation;
    invocation.id = id_;
    invocation.function = function;
    invocation.package = package;
    invocation.job = JobId::Trusted("job");
    invocation.round = 2;
    invocation.attempt = 1;
    invocation.seed = 77;
    invocation.deadline = SystemClock().Now() + std::chrono::minutes(10);
    EXPECT_TRUE(journal_->Receive(invocation).ok());
    return invocation;
  }
  absl::Status Execute(const Invocation& invocation) {
    return runner_->Execute(invocation, uplink_, Bounds{});
  }
  absl::Status Send() { return runner_->SendAnswer(id_, uplink_, Bounds{}); }
  std::string Failure() {
    const JournalEntry entry = **journal_->Find(id_);
    EXPECT_EQ(entry.stage, Stage::kReady);
    const auto* result = std::get_if<ResultOffer>(&*entry.answer);
    return result == nullptr ? "" : result->failure;
  }

  const InvocationId id_ = InvocationId::Trusted("inv-1");
  SystemRandom random_;
  SystemClock clock_;
  std::unique_ptr<SecureUpdate> secure_;
  std::unique_ptr<Runner> runner_;
};

TEST_F(RunnerTest, TrainsUploadsAndSubmits) {
  const Invocation invocation = Offer(AddPackage(server_, *signer_));
  ASSERT_TRUE(Execute(invocation).ok());
  EXPECT_EQ(last_request_.function(), v1::FUNCTION_KIND_TRAIN);
  EXPECT_EQ(last_request_.seed(), 77u);
  EXPECT_EQ(last_request_.round(), 2u);
  EXPECT_EQ(last_request_.memory_bytes(), 1u << 30);
  EXPECT_LE(last_request_.deadline_ms(), 600'000u);
  EXPECT_TRUE(last_request_.module_path().empty());
  ASSERT_TRUE(Send().ok());
  ASSERT_EQ(server_.updates.size(), 1u);
  EXPECT_EQ(server_.updates[0].invocation(), "inv-1");
  EXPECT_EQ(server_.updates[0].examples(), 12u);
  EXPECT_EQ(server_.updates[0].metrics().at("train_loss"), 0.25);
  EXPECT_EQ(server_.updates[0].update(), Sha256(std::string(24, 'u')).bytes());
  EXPECT_EQ(server_.updates[0].metering().bytes_up(), 24u);
  EXPECT_GT(server_.updates[0].metering().bytes_down(), 24u);
  EXPECT_EQ((*journal_->Find(id_))->stage, Stage::kAnswered);
  EXPECT_FALSE(std::filesystem::exists(dir_.work("inv-1")));
}

TEST_F(RunnerTest, EvaluatesWithoutAnUpdate) {
  work_ = [](const WorkerRequest& request) { return Done(request); };
  ASSERT_TRUE(Execute(Offer(AddPackage(server_, *signer_), FunctionKind::kEvaluate)).ok());
  ASSERT_TRUE(Send().ok());
  ASSERT_EQ(server_.results.size(), 1u);
  EXPECT_EQ(server_.results[0].failure(), "");
  EXPECT_EQ(server_.results[0].examples(), 12u);
  EXPECT_TRUE(server_.updates.empty());
}

TEST_F(RunnerTest, AStoredOutcomeIsSentAfterARestartAndNeverComputedAgain) {
  const Invocation invocation = Offer(AddPackage(server_, *signer_));
  ASSERT_TRUE(Execute(invocation).ok());
  Restart();
  ASSERT_TRUE(Execute(invocation).ok());
  EXPECT_EQ(runs_, 1);
  ASSERT_TRUE(Send().ok());
  EXPECT_EQ(server_.updates.size(), 1u);
}

TEST_F(RunnerTest, AnAnswerWhoseReplyWasLostIsSentAgainUnchanged) {
  ASSERT_TRUE(Execute(Offer(AddPackage(server_, *signer_))).ok());
  server_.fail_submits = 1;
  EXPECT_TRUE(absl::IsUnavailable(Send()));
  Restart();
  ASSERT_TRUE(Send().ok());
  ASSERT_EQ(server_.updates.size(), 2u);
  EXPECT_EQ(server_.updates[0].update(), server_.updates[1].update());
  EXPECT_EQ(server_.updates[0].examples(), server_.updates[1].examples());
  EXPECT_EQ((*journal_->Find(id_))->outcome, "accepted before");
  ASSERT_TRUE(Send().ok()) << "asked once more, it answers once more";
  EXPECT_EQ(server_.updates.size(), 3u);
  EXPECT_EQ(runs_, 1);
}

TEST_F(RunnerTest, AKillWhileItRunsCostsOneRepetitionWithTheSameSeed) {
  const Invocation invocation = Offer(AddPackage(server_, *signer_));
  work_ = [](const WorkerRequest&) -> absl::StatusOr<worker::v1::WorkerReply> {
    return absl::UnavailableError("the worker died");
  };
  EXPECT_TRUE(absl::IsUnavailable(Execute(invocation)));
  const uint64_t seed = last_request_.seed();
  EXPECT_EQ((*journal_->Find(id_))->stage, Stage::kRunning);
  Restart();
  work_ = [](const WorkerRequest& request) {
    WriteOutput(request, "update.f32", std::string(24, 'u'));
    return Done(request);
  };
  ASSERT_TRUE(Execute(invocation).ok());
  EXPECT_EQ(last_request_.seed(), seed);
  EXPECT_EQ((*journal_->Find(id_))->attempts, 2u);
}

TEST_F(RunnerTest, AFunctionThatKeepsStoppingTheDeviceIsGivenUp) {
  const Invocation invocation = Offer(AddPackage(server_, *signer_));
  for (uint32_t i = 0; i < kMaxAttempts; ++i) ASSERT_TRUE(journal_->StartAttempt(id_).ok());
  ASSERT_TRUE(Execute(invocation).ok());
  EXPECT_EQ(runs_, 0);
  EXPECT_NE(Failure().find("stopped 5 times"), std::string::npos);
}

TEST_F(RunnerTest, PersonalParametersStayOnTheDeviceAndComeBack) {
  const Digest package = AddPackage(server_, *signer_, {.bias_group = ParameterGroup::kPersonal});
  work_ = [](const WorkerRequest& request) {
    WriteOutput(request, "update.f32", std::string(4 * sizeof(float), 'u'));
    WriteOutput(request, "personal.f32", std::string(6 * sizeof(float), 'p'));
    return Done(request);
  };
  ASSERT_TRUE(Execute(Offer(package)).ok());
  EXPECT_TRUE(last_request_.personal_path().empty()) << "none yet";
  const auto personal = dir_.personal(ModelName::Trusted("m"));
  EXPECT_FALSE(std::filesystem::exists(personal));
  Restart();  // a kill between storing the answer and installing the file
  EXPECT_EQ(*ReadFile(personal, 100), std::string(24, 'p'));
  ASSERT_TRUE(Send().ok());
  EXPECT_EQ(server_.staged.size() + server_.updates.size(), 1u);

  Invocation next = Offer(package);
  next.id = InvocationId::Trusted("inv-2");
  ASSERT_TRUE(journal_->Receive(next).ok());
  ASSERT_TRUE(Execute(next).ok());
  EXPECT_EQ(last_request_.personal_path(), personal);
}

TEST_F(RunnerTest, APackageOfAnotherKeyIsRefused) {
  ASSERT_TRUE(PackageSigner::Create(dir_.root / "other.key").ok());
  auto other = PackageSigner::Open(dir_.root / "other.key");
  ASSERT_TRUE(Execute(Offer(AddPackage(server_, *other))).ok());
  EXPECT_EQ(runs_, 0);
  EXPECT_NE(Failure().find("is refused"), std::string::npos) << Failure();
}

TEST_F(RunnerTest, AVersionBelowTheFloorIsRefused) {
  GoodModel good;
  good.model = {ModelName::Trusted("m"), 9, Sha256("x"), true};
  good.security_version = 3;
  good.status.name = good.model.name;
  good.status.version = 9;
  ASSERT_TRUE(journal_->CommitModel(good).ok());
  ASSERT_TRUE(Execute(Offer(AddPackage(server_, *signer_, {.security_version = 2}))).ok());
  EXPECT_EQ(runs_, 0);
  EXPECT_NE(Failure().find("security_version"), std::string::npos) << Failure();
}

TEST_F(RunnerTest, ABlobThatStaysCorruptedFailsTheInvocationClearly) {
  const Digest package = AddPackage(server_, *signer_);
  server_.corrupt_downloads = 100;
  ASSERT_TRUE(Execute(Offer(package)).ok());
  EXPECT_NE(Failure().find("corrupted twice"), std::string::npos) << Failure();
}

struct BadEnd {
  worker::v1::WorkerOutcome outcome;
  const char* message;
};
class BadEnds : public RunnerTest, public testing::WithParamInterface<BadEnd> {};
TEST_P(BadEnds, BecomeTheInvocationsFailure) {
  work_ = [](const WorkerRequest& request) {
    worker::v1::WorkerReply reply = Done(request);
    reply.set_outcome(GetParam().outcome);
    reply.set_reason("because");
    return reply;
  };
  ASSERT_TRUE(Execute(Offer(AddPackage(server_, *signer_))).ok());
  EXPECT_NE(Failure().find(GetParam().message), std::string::npos) << Failure();
  EXPECT_NE(Failure().find("because"), std::string::npos) << Failure();
  ASSERT_TRUE(Send().ok());
  EXPECT_EQ(server_.results.size(), 1u);
}
INSTANTIATE_TEST_SUITE_P(All, BadEnds,
                         testing::Values(BadEnd{worker::v1::WORKER_OUTCOME_FAILED, "failed"},
                                         BadEnd{worker::v1::WORKER_OUTCOME_KILLED, "killed"},
                                         BadEnd{worker::v1::WORKER_OUTCOME_DEADLINE, "in time"},
                                         BadEnd{worker::v1::WORKER_OUTCOME_OUT_OF_MEMORY,
                                                "worker.memory_bytes"}));

TEST_F(RunnerTest, AnUpdateOfTheWrongSizeIsAFailure) {
  work_ = [](const WorkerRequest& request) {
    WriteOutput(request, "update.f32", "short");
    return Done(request);
  };
  ASSERT_TRUE(Execute(Offer(AddPackage(server_, *signer_))).ok());
  EXPECT_NE(Failure().find("update of 5 bytes"), std::string::npos) << Failure();
}

TEST_F(RunnerTest, WithoutCoordinatorTheInvocationStaysToBeTriedAgain) {
  const Invocation invocation = Offer(AddPackage(server_, *signer_));
  Bounds stopped;
  std::stop_source stop;
  stop.request_stop();
  stopped.stop = stop.get_token();
  EXPECT_TRUE(absl::IsCancelled(runner_->Execute(invocation, uplink_, stopped)));
  EXPECT_EQ((*journal_->Find(id_))->stage, Stage::kReceived);
}

TEST_F(RunnerTest, WorkFoldersThatNobodyNeedsGoAtStart) {
  std::filesystem::create_directories(dir_.work("stale"));
  ASSERT_TRUE(Execute(Offer(AddPackage(server_, *signer_))).ok());
  Restart();
  EXPECT_FALSE(std::filesystem::exists(dir_.work("stale")));
  EXPECT_TRUE(std::filesystem::exists(dir_.work("inv-1") / "update.f32"));
}

}  // namespace
}  // namespace muster
