#include "models/quantize/runtime.h"
#include "models/torch/functions.h"
#include "proto/core/digest.h"
#include "torch_fixture.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class PersonalizeTest : public testing::Test {
 protected:
  PersonalizeTest()
      : weights_(InitialWeights(manifest_.architecture, manifest_.layout, 1).value()) {
    manifest_.personalize.train.epochs = 10;
  }
  absl::StatusOr<FunctionResult> Run(const std::string& output) {
    return RunFunction(files_.Request(v1::FUNCTION_KIND_PERSONALIZE, manifest_, weights_, output));
  }
  std::vector<float> Served(const std::string& output) {
    return ReadFloatFile(files_.path() / output / "model.f32");
  }

  FunctionFiles files_{MakeBands(120, 1)};
  Manifest manifest_ = MakeManifest();
  std::vector<float> weights_;
};

TEST_F(PersonalizeTest, FineTuningBeatsTheGlobalModelAndIsServedAsInt8) {
  absl::StatusOr<FunctionResult> result = Run("a");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->files, ElementsAre("model.mq8", "model.f32", "personal.f32"));
  auto& metrics = result->metrics;
  EXPECT_GT(metrics["personalized_accuracy"], metrics["global_accuracy"]);
  EXPECT_NEAR(metrics["int8_accuracy"], metrics["personalized_accuracy"], 0.1);
  EXPECT_EQ(metrics["gate_passed"], 1);
  EXPECT_EQ(metrics["held_out_examples"], 30);
  EXPECT_EQ(metrics["fp32_bytes"], 4.0 * weights_.size());
  absl::StatusOr<std::unique_ptr<Int8Model>> model =
      Int8Model::Open(files_.path() / "a" / "model.mq8");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(metrics["int8_bytes"], (*model)->file_bytes());
  EXPECT_NE(Served("a"), weights_);
}

TEST_F(PersonalizeTest, AFailedGateServesTheGlobalModel) {
  const Architecture& network = manifest_.architecture;
  Learner learner = Learner::FromArchitecture(network, manifest_.layout).value();
  std::copy(weights_.begin(), weights_.end(), learner.weights().begin());
  ASSERT_TRUE(learner
                  .Train(MakeBands(120, 2), manifest_.train,
                         {.learning_rate = 0.1,
                          .trained = EveryEntry(manifest_.layout),
                          .anchored = EveryEntry(manifest_.layout)})
                  .ok());
  weights_.assign(learner.weights().begin(), learner.weights().end());  // a good global model
  // So much weight decay that the personalized model forgets everything.
  manifest_.personalize.train.weight_decay = 1.0;
  manifest_.personalize.train.momentum = 0.0;
  manifest_.personalize.train.learning_rate = 0.9;
  absl::StatusOr<FunctionResult> result = Run("a");
  ASSERT_TRUE(result.ok()) << result.status();
  auto& metrics = result->metrics;
  EXPECT_LT(metrics["personalized_accuracy"], metrics["global_accuracy"] - 0.1);
  EXPECT_EQ(metrics["gate_passed"], 0);
  EXPECT_EQ(Served("a"), weights_);
  EXPECT_NEAR(metrics["int8_accuracy"], metrics["global_accuracy"], 0.1);
}

TEST_F(PersonalizeTest, HeadScopeChangesOnlyTheLastLayer) {
  manifest_.personalize.scope = PersonalizeScope::kHead;
  ASSERT_TRUE(Run("a").ok());
  const std::vector<float> served = Served("a");
  const uint64_t head = manifest_.layout.entries()[2].offset;
  EXPECT_TRUE(std::equal(served.begin(), served.begin() + head, weights_.begin()));
  EXPECT_NE(served, weights_);
}

TEST_F(PersonalizeTest, DisabledPersonalizationQuantizesTheGlobalModel) {
  manifest_.personalize.enabled = false;
  absl::StatusOr<FunctionResult> result = Run("a");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Served("a"), weights_);
  EXPECT_EQ(result->metrics["personalized_accuracy"], result->metrics["global_accuracy"]);
}

TEST_F(PersonalizeTest, TheSameRequestGivesTheSameModel) {
  ASSERT_TRUE(Run("a").ok() && Run("b").ok());
  EXPECT_EQ(Served("a"), Served("b"));
  EXPECT_EQ(Sha256File(files_.path() / "a" / "model.mq8").value(),
            Sha256File(files_.path() / "b" / "model.mq8").value());
}

TEST_F(PersonalizeTest, AFrozenHeadIsAnErrorThatSaysWhatToDo) {
  manifest_.personalize.scope = PersonalizeScope::kHead;
  manifest_.layout = AssignGroups(manifest_.layout, {.frozen = {"3.*"}}).value();
  EXPECT_THAT(std::string(Run("a").status().message()), HasSubstr("scope 'all'"));
}

TEST_F(PersonalizeTest, AModelWithoutArchitectureFailsWithTheReason) {
  manifest_.architecture.layers.clear();
  absl::Status status = Run("a").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("no architecture"));
}

TEST_F(PersonalizeTest, NothingHeldOutIsAnErrorThatNamesTheSetting) {
  worker::v1::WorkerRequest request =
      files_.Request(v1::FUNCTION_KIND_PERSONALIZE, manifest_, weights_, "a");
  request.mutable_data()->set_held_out_fraction(0);
  EXPECT_THAT(std::string(RunFunction(request).status().message()), HasSubstr("held_out_fraction"));
}

}  // namespace
}  // namespace muster
