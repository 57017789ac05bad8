#include "client/agent/reconciler.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/unit/agent/device_fixture.h"

namespace muster {
namespace {

using worker::v1::WorkerRequest;

// Serves by remembering; fails where a test says so.
class RememberedServing final : public Serving {
 public:
  absl::StatusOr<ServingReport> Deploy(const ModelName& name, uint32_t version,
                                       const std::filesystem::path& file) override {
    if (!std::filesystem::exists(file)) return absl::NotFoundError("no model file");
    if (version == broken_version) return absl::FailedPreconditionError("it does not answer");
    served[name.value()] = version;
    return ServingReport{3.5, 42.0};
  }
  absl::Status Remove(const ModelName& name) override {
    served.erase(name.value());
    return absl::OkStatus();
  }
  Metering DrainMetering() override { return std::exchange(metering, {}); }

  std::map<std::string, uint32_t> served;
  uint32_t broken_version = 0;
  Metering metering;
};

class ReconcilerTest : public DeviceFixture {
 protected:
  ReconcilerTest() {
    work_ = [this](const WorkerRequest& request) {
      WriteOutput(request, "model.mq8", "int8 model");
      WriteOutput(request, "personal.f32", std::string(24, 'p'));
      auto reply = Done(request);
      (*reply.mutable_metrics())["int8_accuracy"] = 0.9;
      (*reply.mutable_metrics())["gate_passed"] = gate_;
      return reply;
    };
    MakeReconciler();
  }
  void Restart() override {
    reconciler_.reset();
    DeviceFixture::Restart();
    serving_ = RememberedServing();
    MakeReconciler();
  }
  void MakeReconciler() {
    reconciler_ =
        std::make_unique<Reconciler>(dir_, DeviceId::Trusted("dev"), FunctionSettings{{}, 1u << 30},
                                     *journal_, *cache_, *packages_, Worker(), serving_);
  }
  DesiredModel Promote(const PackageOptions& options = {}, bool personalize = true) {
    return {ModelName::Trusted(options.name), options.version,
            AddPackage(server_, *signer_, options), personalize};
  }
  bool Apply(std::vector<DesiredModel> models) {
    const DesiredState desired{++generation_, std::move(models)};
    EXPECT_TRUE(journal_->SetDesired(desired).ok());
    auto retry = reconciler_->Apply(desired, uplink_, Bounds{});
    EXPECT_TRUE(retry.ok()) << retry.status();
    return retry.ok() && *retry;
  }
  v1::ReportStateRequest Report() {
    auto more = reconciler_->Report(uplink_, Bounds{}, random_);
    EXPECT_TRUE(more.ok()) << more.status();
    return server_.reports.back();
  }

  RememberedServing serving_;
  SeededRandom random_{1};
  double gate_ = 1.0;
  uint64_t generation_ = 0;
  std::unique_ptr<Reconciler> reconciler_;
};

TEST_F(ReconcilerTest, PersonalizesDeploysCommitsAndReports) {
  EXPECT_FALSE(Apply({Promote({.version = 4, .security_version = 2})}));
  EXPECT_EQ(last_request_.function(), v1::FUNCTION_KIND_PERSONALIZE);
  EXPECT_FALSE(last_request_.skip_fine_tune());
  EXPECT_EQ(serving_.served.at("m"), 4u);
  EXPECT_EQ(*journal_->Floor(ModelName::Trusted("m")), 2u);
  EXPECT_EQ(*journal_->Applied(), 1u);
  EXPECT_TRUE(std::filesystem::exists(dir_.root / "models/m/4/model.mq8"));
  const auto report = Report();
  EXPECT_EQ(report.generation(), 1u);
  ASSERT_EQ(report.models_size(), 1);
  EXPECT_EQ(report.models(0).phase(), v1::MODEL_PHASE_LIVE);
  EXPECT_EQ(report.models(0).serving_version(), 4u);
  EXPECT_TRUE(report.models(0).serving_personalized());
  EXPECT_EQ(report.models(0).metrics().at("cold_start_ms"), 3.5);
  EXPECT_EQ(report.models(0).metrics().at("latency_us"), 42.0);
  EXPECT_EQ(report.models(0).metrics().at("int8_accuracy"), 0.9);
  EXPECT_EQ(report.metering().wall_us(), 1000u);
  EXPECT_GT(report.metering().bytes_down(), 24u);
}

TEST_F(ReconcilerTest, ThePersonalModelCountsOnlyIfTheGateLetItPass) {
  gate_ = 0.0;
  Apply({Promote()});
  EXPECT_FALSE(Report().models(0).serving_personalized());
}

TEST_F(ReconcilerTest, WithoutPersonalizationTheWorkerOnlyQuantizes) {
  Apply({Promote({}, /*personalize=*/false)});
  EXPECT_TRUE(last_request_.skip_fine_tune());
  EXPECT_FALSE(Report().models(0).serving_personalized());
  EXPECT_EQ(serving_.served.at("m"), 1u);
}

TEST_F(ReconcilerTest, ALiveVersionIsNotMadeAgain) {
  const DesiredModel model = Promote();
  Apply({model});
  Apply({model});
  EXPECT_EQ(runs_, 1);
  EXPECT_EQ(Report().generation(), 2u);
}

TEST_F(ReconcilerTest, LastGoodModelsServeAfterARestartWithoutCoordinator) {
  Apply({Promote({.version = 2})});
  Restart();
  ASSERT_TRUE(reconciler_->Restore().ok());
  EXPECT_EQ(serving_.served.at("m"), 2u);
}

TEST_F(ReconcilerTest, AFailureKeepsTheLastGoodVersionAndSaysWhy) {
  Apply({Promote({.version = 1})});
  work_ = [](const WorkerRequest& request) {
    auto reply = Done(request);
    reply.set_outcome(worker::v1::WORKER_OUTCOME_FAILED);
    reply.set_reason("no such layer");
    return reply;
  };
  EXPECT_FALSE(Apply({Promote({.version = 2})}));
  EXPECT_EQ(serving_.served.at("m"), 1u);
  const auto report = Report();
  EXPECT_EQ(report.models(0).phase(), v1::MODEL_PHASE_FAILED);
  EXPECT_EQ(report.models(0).version(), 2u);
  EXPECT_EQ(report.models(0).serving_version(), 1u);
  EXPECT_NE(report.models(0).reason().find("no such layer"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(dir_.root / "models/m/1/model.mq8"));
}

TEST_F(ReconcilerTest, AVersionThatDoesNotAnswerKeepsTheLastGoodOne) {
  Apply({Promote({.version = 1})});
  serving_.broken_version = 2;
  EXPECT_FALSE(Apply({Promote({.version = 2, .security_version = 9})}));
  EXPECT_EQ(serving_.served.at("m"), 1u);
  EXPECT_EQ(Report().models(0).phase(), v1::MODEL_PHASE_FAILED);
  EXPECT_EQ(*journal_->Floor(ModelName::Trusted("m")), 1u) << "only a commit raises the floor";
  Restart();
  ASSERT_TRUE(reconciler_->Restore().ok());
  EXPECT_EQ(serving_.served.at("m"), 1u);
}

TEST_F(ReconcilerTest, ABadSignatureOrDigestIsRefusedOnTheDevice) {
  Apply({Promote({.version = 1})});
  ASSERT_TRUE(PackageSigner::Create(dir_.root / "other.key").ok());
  auto other = PackageSigner::Open(dir_.root / "other.key");
  EXPECT_FALSE(
      Apply({{ModelName::Trusted("m"), 2, AddPackage(server_, *other, {.version = 2}), true}}));
  EXPECT_NE(Report().models(0).reason().find("is refused"), std::string::npos);
  const DesiredModel third = Promote({.version = 3});
  server_.corrupt_downloads = 100;
  EXPECT_FALSE(Apply({third}));
  EXPECT_NE(Report().models(0).reason().find("corrupted twice"), std::string::npos);
  EXPECT_EQ(serving_.served.at("m"), 1u);
  EXPECT_EQ(runs_, 1);
}

TEST_F(ReconcilerTest, ARollbackBelowTheSecurityFloorIsRefused) {
  Apply({Promote({.version = 2, .security_version = 5})});
  EXPECT_FALSE(Apply({Promote({.version = 1, .security_version = 4})}));
  EXPECT_EQ(serving_.served.at("m"), 2u);
  EXPECT_EQ(Report().models(0).phase(), v1::MODEL_PHASE_FAILED);
}

TEST_F(ReconcilerTest, ARollbackAtTheSameSecurityVersionWorks) {
  const DesiredModel first = Promote({.version = 1});
  Apply({first});
  Apply({Promote({.version = 2})});
  EXPECT_EQ(serving_.served.at("m"), 2u);
  EXPECT_FALSE(Apply({first}));
  EXPECT_EQ(serving_.served.at("m"), 1u);
  EXPECT_EQ(Report().models(0).serving_version(), 1u);
}

TEST_F(ReconcilerTest, ThePackageMustHoldWhatWasPromoted) {
  DesiredModel model = Promote({.version = 1});
  model.version = 2;
  EXPECT_FALSE(Apply({model}));
  EXPECT_NE(Report().models(0).reason().find("holds m@1 where m@2"), std::string::npos);
}

TEST_F(ReconcilerTest, WhatIsNotDesiredAnyMoreIsRemoved) {
  Apply({Promote({.name = "a"}), Promote({.name = "b"})});
  EXPECT_EQ(serving_.served.size(), 2u);
  const DesiredModel keep = Promote({.name = "b"});
  Apply({keep});
  EXPECT_EQ(serving_.served.count("a"), 0u);
  EXPECT_FALSE(std::filesystem::exists(dir_.root / "models/a"));
  EXPECT_EQ(Report().models_size(), 1);
}

TEST_F(ReconcilerTest, WhatTheNetworkPreventsIsTriedAgain) {
  Apply({Promote({.version = 1})});
  const DesiredModel model = Promote({.version = 2});
  work_ = [](const WorkerRequest&) -> absl::StatusOr<worker::v1::WorkerReply> {
    return absl::UnavailableError("the worker died");
  };
  EXPECT_TRUE(Apply({model}));
  const auto report = Report();
  EXPECT_EQ(report.models(0).phase(), v1::MODEL_PHASE_APPLYING);
  EXPECT_EQ(report.models(0).serving_version(), 1u);
  EXPECT_LT(*journal_->Applied(), generation_);
}

TEST_F(ReconcilerTest, AModelThatWasMadeBeforeAKillIsOnlyDeployed) {
  const DesiredModel model = Promote({.version = 3});
  serving_.broken_version = 3;
  Apply({model});
  ASSERT_EQ(runs_, 1);
  // As if the process had ended between making the file and deploying it.
  ModelStatus made;
  made.name = model.name;
  made.version = 3;
  made.phase = ModelPhase::kApplying;
  made.metrics = {{"int8_accuracy", 0.9}};
  ASSERT_TRUE(journal_->SetAttempted({model, made}).ok());
  Restart();
  Apply({model});
  EXPECT_EQ(runs_, 1);
  EXPECT_EQ(serving_.served.at("m"), 3u);
  EXPECT_EQ(Report().models(0).metrics().at("int8_accuracy"), 0.9);
}

TEST_F(ReconcilerTest, ServingIsMeteredIntoTheReportOnce) {
  Apply({Promote()});
  Report();
  serving_.metering = {.wall = Duration(70), .cpu = Duration(60)};
  EXPECT_TRUE(*reconciler_->CollectMetering());
  EXPECT_FALSE(*reconciler_->CollectMetering());
  EXPECT_EQ(Report().metering().wall_us(), 70u);
  EXPECT_EQ(Report().metering().wall_us(), 0u);
}

}  // namespace
}  // namespace muster
