#include "models/torch/functions.h"

#include "torch_fixture.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FunctionsTest : public testing::Test {
 protected:
  FunctionsTest() : weights_(InitialWeights(manifest_.architecture, manifest_.layout, 1).value()) {}

  FunctionResult Run(v1::FunctionKind function, const std::string& output) {
    absl::StatusOr<FunctionResult> result =
        RunFunction(files_.Request(function, manifest_, weights_, output));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : FunctionResult();
  }
  std::vector<float> Output(const std::string& output, const std::string& file) {
    return ReadFloatFile(files_.path() / output / file);
  }
  void Group(const GroupPatterns& patterns) {
    manifest_.layout = AssignGroups(manifest_.layout, patterns).value();
  }

  FunctionFiles files_{MakeBands(80, 1)};
  Manifest manifest_ = MakeManifest();  // entries: 1.weight 1.bias 3.weight 3.bias
  std::vector<float> weights_;
};

TEST_F(FunctionsTest, TrainingWritesAnUpdateAndReportsProgress) {
  FunctionResult result = Run(v1::FUNCTION_KIND_TRAIN, "a");
  EXPECT_EQ(result.examples, 60u);
  EXPECT_THAT(result.files, ElementsAre("update.f32"));
  EXPECT_EQ(Output("a", "update.f32").size(), manifest_.layout.shared_size());
  EXPECT_LT(result.metrics.at("train_loss_last"), result.metrics.at("train_loss_first"));
  EXPECT_GT(result.metrics.at("train_accuracy"), 0.34);
  EXPECT_EQ(result.metrics.at("steps"), 18);
}

TEST_F(FunctionsTest, TheGlobalModelPlusTheUpdateIsBetter) {
  const double before = Run(v1::FUNCTION_KIND_EVALUATE, "e1").metrics.at("loss");
  Run(v1::FUNCTION_KIND_TRAIN, "a");
  const std::vector<float> update = Output("a", "update.f32");
  for (size_t i = 0; i < weights_.size(); ++i) weights_[i] += update[i];
  FunctionResult after = Run(v1::FUNCTION_KIND_EVALUATE, "e2");
  EXPECT_LT(after.metrics.at("loss"), before);
  EXPECT_GT(after.metrics.at("accuracy"), 0.8);
  EXPECT_EQ(after.examples, 20u);
}

TEST_F(FunctionsTest, TheSameRequestGivesTheSameBytes) {
  Run(v1::FUNCTION_KIND_TRAIN, "a");
  Run(v1::FUNCTION_KIND_TRAIN, "b");
  EXPECT_EQ(Output("a", "update.f32"), Output("b", "update.f32"));
}

TEST_F(FunctionsTest, PersonalEntriesNeverAppearInTheUpdate) {
  Group({.personal = {"*.bias"}});
  FunctionResult result = Run(v1::FUNCTION_KIND_TRAIN, "a");
  EXPECT_THAT(result.files, ElementsAre("update.f32", "personal.f32"));
  const uint64_t biases = 8 + 3;
  EXPECT_EQ(Output("a", "update.f32").size(), manifest_.layout.total_size() - biases);
  EXPECT_EQ(Output("a", "personal.f32").size(), manifest_.layout.total_size());
}

TEST_F(FunctionsTest, TheUpdateIsLocalMinusGlobalOverSharedEntriesInOrder) {
  Group({.personal = {"1.bias"}});
  Run(v1::FUNCTION_KIND_TRAIN, "a");
  const std::vector<float> update = Output("a", "update.f32");
  const std::vector<float> local = Output("a", "personal.f32");  // holds the whole local vector
  size_t next = 0;
  for (const LayoutEntry& entry : manifest_.layout.entries()) {
    if (entry.group != ParameterGroup::kShared) continue;
    for (uint64_t i = entry.offset; i < entry.offset + entry.size(); ++i) {
      EXPECT_EQ(update[next++], local[i] - weights_[i]);
    }
  }
  EXPECT_EQ(next, update.size());
}

TEST_F(FunctionsTest, PersonalEntriesGoOnFromTheDevicesOwn) {
  Group({.personal = {"3.*"}});
  Run(v1::FUNCTION_KIND_TRAIN, "a");
  worker::v1::WorkerRequest next =
      files_.Request(v1::FUNCTION_KIND_EVALUATE, manifest_, weights_, "b");
  next.set_personal_path((files_.path() / "a" / "personal.f32").string());
  const double with_personal = RunFunction(next).value().metrics.at("loss");
  // By hand: the global weights with the head that the device trained.
  const std::vector<float> local = Output("a", "personal.f32");
  const uint64_t head = manifest_.layout.entries()[2].offset;
  const double global = Run(v1::FUNCTION_KIND_EVALUATE, "c").metrics.at("loss");
  std::copy(local.begin() + head, local.end(), weights_.begin() + head);
  EXPECT_EQ(with_personal, Run(v1::FUNCTION_KIND_EVALUATE, "d").metrics.at("loss"));
  EXPECT_NE(with_personal, global);
}

TEST_F(FunctionsTest, FrozenEntriesAreNeitherSentNorChanged) {
  Group({.personal = {"3.bias"}, .frozen = {"1.*"}});
  Run(v1::FUNCTION_KIND_TRAIN, "a");
  EXPECT_EQ(Output("a", "update.f32").size(), 3u * 8u);
  const std::vector<float> local = Output("a", "personal.f32");
  for (uint64_t i = 0; i < 64 * 8 + 8; ++i) EXPECT_EQ(local[i], weights_[i]);
}

TEST_F(FunctionsTest, TheScheduleSetsTheLearningRateOfTheRound) {
  manifest_.train.schedule = {.kind = ScheduleKind::kStep, .gamma = 0.5, .every = 2};
  worker::v1::WorkerRequest request =
      files_.Request(v1::FUNCTION_KIND_TRAIN, manifest_, weights_, "a");
  request.set_round(5);
  EXPECT_DOUBLE_EQ(RunFunction(request).value().metrics.at("learning_rate"), 0.1 * 0.25);
}

TEST_F(FunctionsTest, EvaluationOfAWholeSetTakesEveryExample) {
  worker::v1::WorkerRequest request =
      files_.Request(v1::FUNCTION_KIND_EVALUATE, manifest_, weights_, "e");
  request.mutable_data()->set_held_out_fraction(1.0);
  EXPECT_EQ(RunFunction(request).value().examples, 80u);
}

TEST_F(FunctionsTest, WeightsOfAnotherModelAreRefusedByName) {
  weights_.pop_back();
  absl::Status status =
      RunFunction(files_.Request(v1::FUNCTION_KIND_TRAIN, manifest_, weights_, "a")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("weights.f32"));
}

TEST_F(FunctionsTest, AMissingDatasetIsAnErrorThatNamesIt) {
  worker::v1::WorkerRequest request =
      files_.Request(v1::FUNCTION_KIND_TRAIN, manifest_, weights_, "a");
  request.mutable_data()->mutable_tensors()->set_directory("/nonexistent/data");
  EXPECT_THAT(std::string(RunFunction(request).status().message()), HasSubstr("/nonexistent/data"));
}

TEST_F(FunctionsTest, ADivergingRunWritesNoUpdate) {
  manifest_.train.learning_rate = 1e3;
  manifest_.train.loss = LossKind::kMse;
  manifest_.train.epochs = 50;
  worker::v1::WorkerRequest request =
      files_.Request(v1::FUNCTION_KIND_TRAIN, manifest_, weights_, "a");
  EXPECT_THAT(std::string(RunFunction(request).status().message()), HasSubstr("diverged"));
  EXPECT_TRUE(std::filesystem::is_empty(request.output_dir()));
}

TEST_F(FunctionsTest, ADiskThatRefusesTheUpdateIsAnErrorThatNamesTheFile) {
  worker::v1::WorkerRequest request =
      files_.Request(v1::FUNCTION_KIND_TRAIN, manifest_, weights_, "a");
  request.set_output_dir("/dev/full/x");
  EXPECT_THAT(std::string(RunFunction(request).status().message()), HasSubstr("update.f32"));
}

}  // namespace
}  // namespace muster
