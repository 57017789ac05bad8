// TorchScript files that python3-torch made: what is accepted, what is refused, and that a module
// and its architecture are the same network.
#include <cstdlib>

#include "models/torch/functions.h"
#include "models/torch/inspect.h"
#include "torch_fixture.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint32_t kShape[] = {1, 8, 8};

class ModuleTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    WarmUp();  // as every worker does; it also sets how the interpreter runs
    folder_ = new TempFolder();
    const std::string command =
        std::string(TORCH_PYTHON) + " " + MAKE_MODULES + " " + folder_->path().string() + " 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << "python3-torch is needed";
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::filesystem::path Pt(const std::string& name) {
    return folder_->path() / (name + ".pt");
  }
  static std::string Refusal(const std::string& name) {
    absl::StatusOr<InspectedModule> module = InspectModule(Pt(name), kShape);
    EXPECT_FALSE(module.ok()) << name << " was accepted";
    return std::string(module.status().message());
  }
  static Learner Load(const std::string& name, const InspectedModule& module) {
    Learner learner = Learner::FromModule(Pt(name), module.layout, kShape).value();
    std::copy(module.weights.begin(), module.weights.end(), learner.weights().begin());
    return learner;
  }
  static inline TempFolder* folder_ = nullptr;
};

TEST_F(ModuleTest, AScriptedModuleIsAcceptedWithItsParameters) {
  absl::StatusOr<InspectedModule> module = InspectModule(Pt("chain"), kShape);
  ASSERT_TRUE(module.ok()) << module.status();
  std::vector<std::string> names;
  for (const LayoutEntry& entry : module->layout.entries()) names.push_back(entry.name);
  EXPECT_THAT(names, ElementsAre("conv.weight", "conv.bias", "fc.weight", "fc.bias"));
  EXPECT_EQ(module->weights.size(), module->layout.total_size());
  EXPECT_EQ(module->outputs, 3u);
  EXPECT_FALSE(module->has_loss_method);
}

TEST_F(ModuleTest, ATracedModuleIsRefusedWithTheReason) {
  EXPECT_THAT(Refusal("traced"), HasSubstr("traced"));
  EXPECT_THAT(Refusal("traced"), HasSubstr("torch.jit.script"));
}

TEST_F(ModuleTest, ATracedModuleWithoutPyTorchLayersIsRefused) {
  EXPECT_THAT(Refusal("traced_raw"), HasSubstr("traced"));
}

TEST_F(ModuleTest, AFrozenModuleIsRefusedWithTheReason) {
  EXPECT_THAT(Refusal("frozen"), HasSubstr("frozen"));
  EXPECT_THAT(Refusal("frozen_partly"), HasSubstr("frozen"));
}

TEST_F(ModuleTest, AModeThatIsAConstantIsRefused) {
  EXPECT_THAT(Refusal("baked"), HasSubstr("self.training"));
}

TEST_F(ModuleTest, WhatIsNoTorchScriptFileIsRefused) {
  EXPECT_THAT(Refusal("garbage"), HasSubstr("garbage.pt"));
  EXPECT_EQ(InspectModule(Pt("absent"), kShape).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ModuleTest, DoubleAndTiedParametersAreRefused) {
  EXPECT_THAT(Refusal("double"), HasSubstr("float32"));
  EXPECT_THAT(Refusal("tied"), HasSubstr("share memory"));
}

TEST_F(ModuleTest, AShapeThatForwardCannotTakeIsAnErrorThatNamesIt) {
  const uint32_t shape[] = {3, 8, 8};
  absl::Status status = InspectModule(Pt("chain"), shape).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("[3, 8, 8]"));
}

TEST_F(ModuleTest, ScriptedModulesWithoutPyTorchLayersAreAccepted) {
  absl::StatusOr<InspectedModule> module = InspectModule(Pt("raw_weights"), kShape);
  ASSERT_TRUE(module.ok()) << module.status();
  ASSERT_TRUE(module->architecture.has_value());
  EXPECT_EQ(module->architecture->layers.size(), 2u);
}

TEST_F(ModuleTest, BuffersAreEntriesThatAreNotTrained) {
  absl::StatusOr<InspectedModule> module = InspectModule(Pt("with_norm"), kShape);
  ASSERT_TRUE(module.ok()) << module.status();
  std::vector<std::string> buffers;
  for (const LayoutEntry& entry : module->layout.entries()) {
    if (!entry.trainable) buffers.push_back(entry.name);
  }
  EXPECT_THAT(buffers, ElementsAre("norm.running_mean", "norm.running_var"));
  EXPECT_FALSE(module->architecture.has_value());
}

TEST_F(ModuleTest, PlainChainsGiveTheirArchitecture) {
  absl::StatusOr<InspectedModule> chain = InspectModule(Pt("chain"), kShape);
  ASSERT_TRUE(chain.ok() && chain->architecture.has_value());
  const std::vector<Layer> expected{
      Conv2dLayer{.in = 1,
                  .out = 4,
                  .kernel_h = 3,
                  .kernel_w = 3,
                  .padding_h = 1,
                  .padding_w = 1,
                  .weight = "conv.weight",
                  .bias = "conv.bias"},
      ReluLayer{}, Pool2dLayer{PoolKind::kMax, 2, 2, 2, 2}, FlattenLayer{},
      LinearLayer{.in = 64, .out = 3, .weight = "fc.weight", .bias = "fc.bias"}};
  EXPECT_EQ(chain->architecture->layers, expected);
  absl::StatusOr<InspectedModule> layers = InspectModule(Pt("pooled"), kShape);
  ASSERT_TRUE(layers.ok() && layers->architecture.has_value());
  EXPECT_EQ(layers->architecture->layers.size(), 5u);
  absl::StatusOr<InspectedModule> sequential = InspectModule(Pt("sequential"), kShape);
  ASSERT_TRUE(sequential.ok() && sequential->architecture.has_value());
  EXPECT_EQ(sequential->architecture->layers.size(), 8u);  // dropout is no layer when serving
  const uint32_t signal[] = {3, 16};
  absl::StatusOr<InspectedModule> conv1d = InspectModule(Pt("conv1d"), signal);
  ASSERT_TRUE(conv1d.ok() && conv1d->architecture.has_value()) << conv1d.status();
  EXPECT_EQ(conv1d->architecture->layers.size(), 5u);
}

TEST_F(ModuleTest, OtherGraphsHaveNoArchitecture) {
  for (const char* name : {"residual", "in_place"}) {
    absl::StatusOr<InspectedModule> module = InspectModule(Pt(name), kShape);
    ASSERT_TRUE(module.ok()) << module.status();
    EXPECT_FALSE(module->architecture.has_value()) << name;
  }
}

TEST_F(ModuleTest, ModuleArchitectureAndPythonGiveTheSameOutputs) {
  const InspectedModule module = InspectModule(Pt("chain"), kShape).value();
  Learner script = Load("chain", module);
  Learner chain = Learner::FromArchitecture(*module.architecture, module.layout).value();
  std::copy(module.weights.begin(), module.weights.end(), chain.weights().begin());
  const std::vector<float> x = ReadFloatFile(folder_->path() / "x.f32");
  const std::vector<float> python = ReadFloatFile(folder_->path() / "chain_y.f32");
  const std::vector<float> a = script.Predict(x, 5, kShape).value();
  const std::vector<float> b = chain.Predict(x, 5, kShape).value();
  ASSERT_EQ(python.size(), 15u);
  EXPECT_THAT(a, testing::Pointwise(testing::FloatNear(1e-5), python));
  EXPECT_THAT(b, testing::Pointwise(testing::FloatNear(1e-5), python));
}

TEST_F(ModuleTest, ModuleAndArchitectureTrainToTheSameWeights) {
  const InspectedModule module = InspectModule(Pt("chain"), kShape).value();
  Learner script = Load("chain", module);
  Learner chain = Learner::FromArchitecture(*module.architecture, module.layout).value();
  std::copy(module.weights.begin(), module.weights.end(), chain.weights().begin());
  const Dataset data = MakeBands(60, 1);
  const TrainPlan plan{.momentum = 0.9, .epochs = 2, .batch_size = 10};
  const TrainOptions options{.learning_rate = 0.05,
                             .seed = 4,
                             .trained = EveryEntry(module.layout),
                             .anchored = EveryEntry(module.layout)};
  ASSERT_TRUE(script.Train(data, plan, options).ok());
  ASSERT_TRUE(chain.Train(data, plan, options).ok());
  const std::vector<float> expected(chain.weights().begin(), chain.weights().end());
  EXPECT_THAT(script.weights(), testing::Pointwise(testing::FloatNear(1e-4), expected));
  EXPECT_NE(expected, module.weights);
}

TEST_F(ModuleTest, BatchNormMovesItsBuffersOnlyWhileTraining) {
  const InspectedModule module = InspectModule(Pt("with_norm"), kShape).value();
  Learner learner = Load("with_norm", module);
  const Dataset data = MakeBands(41, 1);  // the last batch has one example: left out
  ASSERT_TRUE(learner.Evaluate(data, EvaluatePlan()).ok());
  EXPECT_EQ(std::vector<float>(learner.weights().begin(), learner.weights().end()), module.weights);
  TrainOptions options{.learning_rate = 0.05, .seed = 4, .anchored = EveryEntry(module.layout)};
  for (const LayoutEntry& entry : module.layout.entries()) {
    options.trained.push_back(entry.trainable);
  }
  absl::StatusOr<TrainReport> report =
      learner.Train(data, {.epochs = 4, .batch_size = 10}, options);
  ASSERT_TRUE(report.ok()) << report.status();
  for (const LayoutEntry& entry : module.layout.entries()) {
    EXPECT_NE(learner.weights()[entry.offset], module.weights[entry.offset]) << entry.name;
  }
}

TEST_F(ModuleTest, TheModulesOwnLossTrains) {
  const InspectedModule module = InspectModule(Pt("with_loss"), kShape).value();
  EXPECT_TRUE(module.has_loss_method);
  Learner own = Load("with_loss", module), named = Load("with_loss", module);
  const Dataset data = MakeBands(60, 1);
  const TrainOptions options{.learning_rate = 0.05,
                             .trained = EveryEntry(module.layout),
                             .anchored = EveryEntry(module.layout)};
  absl::StatusOr<TrainReport> report =
      own.Train(data, {.epochs = 2, .loss = LossKind::kModule}, options);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_TRUE(named.Train(data, {.epochs = 2}, options).ok());
  // The module's loss is cross entropy.
  const std::vector<float> expected(named.weights().begin(), named.weights().end());
  EXPECT_THAT(own.weights(), testing::Pointwise(testing::FloatNear(1e-6), expected));
  absl::StatusOr<Evaluation> evaluation = own.Evaluate(data, {.loss = LossKind::kModule});
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  EXPECT_LT(evaluation->loss, report->loss_first);
}

TEST_F(ModuleTest, AMissingLossMethodIsAnErrorThatSaysHowToWriteOne) {
  const InspectedModule module = InspectModule(Pt("chain"), kShape).value();
  Learner learner = Load("chain", module);
  absl::Status status = learner
                            .Train(MakeBands(10, 1), {.loss = LossKind::kModule},
                                   {.learning_rate = 0.1,
                                    .trained = EveryEntry(module.layout),
                                    .anchored = EveryEntry(module.layout)})
                            .status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("torch.jit.export"));
}

TEST_F(ModuleTest, ALayoutOfAnotherFileIsRefused) {
  const InspectedModule module = InspectModule(Pt("chain"), kShape).value();
  EXPECT_FALSE(Learner::FromModule(Pt("residual"), module.layout, kShape).ok());
}

}  // namespace
}  // namespace muster
