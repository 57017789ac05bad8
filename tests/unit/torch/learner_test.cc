#include "models/torch/learner.h"

#include <cmath>
#include <limits>

#include "torch_fixture.h"

namespace muster {
namespace {

using testing::HasSubstr;

// Multinomial logistic regression: small enough to differentiate by hand.
Architecture LogisticRegression() {
  return MakeZooArchitecture("logreg", {.input_shape = {1, 8, 8}, .outputs = 3}).value();
}

class LearnerTest : public testing::Test {
 protected:
  Learner Make(const Architecture& architecture, uint64_t seed = 1) {
    layout_ = LayoutOf(architecture).value();
    Learner learner = Learner::FromArchitecture(architecture, layout_).value();
    start_ = InitialWeights(architecture, layout_, seed).value();
    std::copy(start_.begin(), start_.end(), learner.weights().begin());
    return learner;
  }
  TrainOptions Options(double rate) const {
    return {.learning_rate = rate,
            .seed = 3,
            .trained = EveryEntry(layout_),
            .anchored = EveryEntry(layout_)};
  }
  // Euclidean distance of the weights from where they started.
  double Distance(Learner& learner) const {
    double squares = 0;
    for (size_t i = 0; i < start_.size(); ++i) {
      squares += std::pow(learner.weights()[i] - start_[i], 2);
    }
    return std::sqrt(squares);
  }

  ParameterLayout layout_;
  std::vector<float> start_;
};

// The gradient of mean cross entropy for logits Wx + b: (softmax - onehot) x^T, written out.
std::vector<double> GradientByHand(const std::vector<float>& weights, const Dataset& data) {
  const size_t d = data.example_size();
  std::vector<double> gradient(3 * d + 3);
  for (size_t i = 0; i < data.size(); ++i) {
    const float* x = data.features.data() + i * d;
    double logits[3], total = 0;
    for (size_t c = 0; c < 3; ++c) {
      logits[c] = weights[3 * d + c];
      for (size_t j = 0; j < d; ++j) logits[c] += static_cast<double>(weights[c * d + j]) * x[j];
      total += std::exp(logits[c]);
    }
    for (size_t c = 0; c < 3; ++c) {
      const double error =
          std::exp(logits[c]) / total - (data.labels[i] == static_cast<int64_t>(c) ? 1 : 0);
      for (size_t j = 0; j < d; ++j) gradient[c * d + j] += error * x[j] / data.size();
      gradient[3 * d + c] += error / data.size();
    }
  }
  return gradient;
}

TEST_F(LearnerTest, OneFullBatchStepIsTheGradientByHand) {
  Learner learner = Make(LogisticRegression());
  const Dataset data = MakeBands(20, 1);
  TrainPlan plan{.epochs = 1, .batch_size = 20};
  ASSERT_TRUE(learner.Train(data, plan, Options(0.5)).ok());
  const std::vector<double> gradient = GradientByHand(start_, data);
  for (size_t i = 0; i < start_.size(); ++i) {
    EXPECT_NEAR(learner.weights()[i] - start_[i], -0.5 * gradient[i], 1e-6) << i;
  }
}

TEST_F(LearnerTest, WeightDecayShrinksTheWeightsBesideTheGradient) {
  Learner learner = Make(LogisticRegression());
  const Dataset data = MakeBands(20, 1);
  TrainPlan plan{.weight_decay = 0.1, .epochs = 1, .batch_size = 20};
  ASSERT_TRUE(learner.Train(data, plan, Options(0.5)).ok());
  const std::vector<double> gradient = GradientByHand(start_, data);
  for (size_t i = 0; i < start_.size(); ++i) {
    EXPECT_NEAR(learner.weights()[i] - start_[i], -0.5 * (gradient[i] + 0.1 * start_[i]), 1e-6);
  }
}

TEST_F(LearnerTest, ClippingBoundsTheStepByRateTimesNorm) {
  Learner learner = Make(LogisticRegression());
  TrainPlan plan{.epochs = 1, .batch_size = 20, .clip_norm = 0.01};
  ASSERT_TRUE(learner.Train(MakeBands(20, 1), plan, Options(0.5)).ok());
  EXPECT_NEAR(Distance(learner), 0.5 * 0.01, 1e-6);
}

TEST_F(LearnerTest, TheFirstAdamStepMovesEveryWeightByTheRate) {
  Learner learner = Make(LogisticRegression());
  TrainPlan plan{.optimizer = LocalOptimizer::kAdam, .steps = 1, .batch_size = 20};
  ASSERT_TRUE(learner.Train(MakeBands(20, 1), plan, Options(0.01)).ok());
  for (size_t i = 0; i < start_.size(); ++i) {
    EXPECT_NEAR(std::fabs(learner.weights()[i] - start_[i]), 0.01, 1e-4) << i;
  }
}

TEST_F(LearnerTest, TheProximalTermKeepsLocalTrainingNearTheGlobalModel) {
  const Dataset data = MakeBands(60, 1);
  double last = std::numeric_limits<double>::infinity();
  for (double mu : {0.0, 0.1, 1.0, 5.0}) {
    Learner learner = Make(LogisticRegression());
    TrainPlan plan{.epochs = 20, .batch_size = 10, .proximal_mu = mu};
    ASSERT_TRUE(learner.Train(data, plan, Options(0.1)).ok());
    EXPECT_LT(Distance(learner), last) << "mu " << mu;
    last = Distance(learner);
  }
}

TEST_F(LearnerTest, TheProximalTermLeavesUnanchoredEntriesAlone) {
  const Dataset data = MakeBands(60, 1);
  TrainPlan plan{.epochs = 5, .batch_size = 10, .proximal_mu = 1.0};
  Learner pulled = Make(LogisticRegression()), free = Make(LogisticRegression());
  TrainOptions unanchored = Options(0.1);
  unanchored.anchored = EveryEntry(layout_, false);
  ASSERT_TRUE(pulled.Train(data, plan, Options(0.1)).ok());
  ASSERT_TRUE(free.Train(data, plan, unanchored).ok());
  EXPECT_GT(Distance(free), Distance(pulled));
}

TEST_F(LearnerTest, LearnsASmallSetAlmostPerfectly) {
  for (std::string_view name : {"mlp", "lenet5", "mcmahan_cnn"}) {
    Learner learner =
        Make(MakeZooArchitecture(name, {.input_shape = {1, 16, 16}, .outputs = 3}).value());
    const Dataset train = MakeBands(120, 1, {1, 16, 16}), held_out = MakeBands(60, 2, {1, 16, 16});
    TrainPlan plan{.momentum = 0.9, .epochs = 8, .batch_size = 10};
    absl::StatusOr<TrainReport> report = learner.Train(train, plan, Options(0.02));
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->steps, 96u);
    EXPECT_EQ(report->examples, 120u);
    EXPECT_LT(report->loss_last, report->loss_first);
    absl::StatusOr<Evaluation> evaluation = learner.Evaluate(held_out, EvaluatePlan());
    ASSERT_TRUE(evaluation.ok()) << evaluation.status();
    EXPECT_GT(evaluation->accuracy, 0.95) << name;
  }
}

TEST_F(LearnerTest, TheSameSeedGivesTheSameBytesAndAnotherSeedOthers) {
  const Dataset data = MakeBands(50, 1);
  TrainPlan plan{.momentum = 0.9, .epochs = 2, .batch_size = 8};
  auto run = [&](uint64_t seed) {
    Learner learner = Make(LogisticRegression());
    TrainOptions options = Options(0.1);
    options.seed = seed;
    EXPECT_TRUE(learner.Train(data, plan, options).ok());
    return std::vector<float>(learner.weights().begin(), learner.weights().end());
  };
  EXPECT_EQ(run(3), run(3));
  EXPECT_NE(run(3), run(4));
}

TEST_F(LearnerTest, StepsAndMaxExamplesBoundTheWork) {
  Learner learner = Make(LogisticRegression());
  const Dataset data = MakeBands(50, 1);
  TrainPlan plan{.steps = 7, .batch_size = 8, .max_examples = 20};
  absl::StatusOr<TrainReport> report = learner.Train(data, plan, Options(0.1));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->steps, 7u);
  EXPECT_EQ(report->examples, 20u);
}

TEST_F(LearnerTest, EntriesThatAreNotTrainedKeepTheirBytes) {
  Learner learner = Make(LogisticRegression());
  TrainOptions options = Options(0.1);
  options.trained[1] = false;
  ASSERT_TRUE(learner.Train(MakeBands(50, 1), TrainPlan(), options).ok());
  const LayoutEntry& bias = layout_.entries()[1];
  for (uint64_t i = 0; i < start_.size(); ++i) {
    EXPECT_EQ(learner.weights()[i] == start_[i], i >= bias.offset) << i;
  }
}

TEST_F(LearnerTest, NothingToTrainIsAnError) {
  Learner learner = Make(LogisticRegression());
  TrainOptions options = Options(0.1);
  options.trained = EveryEntry(layout_, false);
  EXPECT_EQ(learner.Train(MakeBands(50, 1), TrainPlan(), options).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(LearnerTest, ADivergingLossIsAnErrorThatNamesTheLearningRate) {
  Learner learner = Make(MakeManifest().architecture);
  TrainPlan plan{.epochs = 50, .batch_size = 5, .loss = LossKind::kMse};
  absl::Status status = learner.Train(MakeBands(50, 1), plan, Options(1e4)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("10000"));
}

TEST_F(LearnerTest, RefusesALabelBeyondTheOutputs) {
  Learner learner = Make(LogisticRegression());
  Dataset data = MakeBands(10, 1);
  data.labels[4] = 7;
  absl::Status status = learner.Train(data, TrainPlan(), Options(0.1)).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("label 7"));
}

TEST_F(LearnerTest, RefusesDataOfAnotherSize) {
  Learner learner = Make(LogisticRegression());
  absl::Status status =
      learner.Train(MakeBands(10, 1, {1, 9, 9}), TrainPlan(), Options(0.1)).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("81 features"));
}

TEST_F(LearnerTest, RefusesToTrainOrEvaluateOnNothing) {
  Learner learner = Make(LogisticRegression());
  const Dataset none{.example_shape = {1, 8, 8}};
  EXPECT_FALSE(learner.Train(none, TrainPlan(), Options(0.1)).ok());
  EXPECT_FALSE(learner.Evaluate(none, EvaluatePlan()).ok());
}

TEST_F(LearnerTest, EveryLossByNameLearns) {
  const Dataset data = MakeBands(60, 1);
  for (LossKind loss : {LossKind::kCrossEntropy, LossKind::kMse, LossKind::kBceWithLogits}) {
    Learner learner = Make(LogisticRegression());
    TrainPlan plan{.epochs = 10, .batch_size = 10, .loss = loss};
    absl::StatusOr<TrainReport> report = learner.Train(data, plan, Options(0.05));
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_LT(report->loss_last, report->loss_first) << LossName(loss);
  }
}

TEST_F(LearnerTest, RefusesALayoutThatIsNotTheArchitectures) {
  const Architecture architecture = LogisticRegression();
  const ParameterLayout other = LayoutOf(MakeManifest().architecture).value();
  EXPECT_FALSE(Learner::FromArchitecture(architecture, other).ok());
}

}  // namespace
}  // namespace muster
