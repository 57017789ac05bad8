// The real muster-worker: functions under the jail, and the inspect command.
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "client/sandbox/worker_pool.h"
#include "torch/torch_fixture.h"

namespace muster {
namespace {

using testing::HasSubstr;
using worker::v1::WorkerReply;

struct Finished {
  int exit_code = -1;
  std::string output;  // stdout and stderr
};

Finished RunCommand(const std::string& arguments) {
  const std::string command = std::string(MUSTER_WORKER) + " " + arguments + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  Finished finished;
  std::array<char, 4096> buffer;
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    finished.output.append(buffer.data(), n);
  }
  const int status = pclose(pipe);
  finished.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return finished;
}

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() : weights_(InitialWeights(manifest_.architecture, manifest_.layout, 1).value()) {}

  WorkerReply Run(const worker::v1::WorkerRequest& request) {
    absl::StatusOr<WorkerReply> reply = pool_.Run(request);
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? *reply : WorkerReply();
  }

  FunctionFiles files_{MakeBands(80, 1)};
  Manifest manifest_ = MakeManifest();
  std::vector<float> weights_;
  WorkerPool pool_{{.worker_binary = MUSTER_WORKER, .idle_timeout = std::chrono::hours(1)}};
};

TEST_F(WorkerTest, TrainsEvaluatesAndPersonalizesInsideTheJail) {
  for (auto [function, output] :
       {std::pair(v1::FUNCTION_KIND_TRAIN, "t"), std::pair(v1::FUNCTION_KIND_EVALUATE, "e"),
        std::pair(v1::FUNCTION_KIND_PERSONALIZE, "p")}) {
    WorkerReply reply = Run(files_.Request(function, manifest_, weights_, output));
    EXPECT_EQ(reply.outcome(), worker::v1::WORKER_OUTCOME_DONE) << reply.reason();
    EXPECT_GT(reply.examples(), 0u);
    for (const std::string& file : reply.files()) {
      EXPECT_TRUE(std::filesystem::exists(files_.path() / output / file)) << file;
    }
  }
}

TEST_F(WorkerTest, ChildrenOfOneServerGiveTheSameBytes) {
  Run(files_.Request(v1::FUNCTION_KIND_TRAIN, manifest_, weights_, "a"));
  Run(files_.Request(v1::FUNCTION_KIND_TRAIN, manifest_, weights_, "b"));
  const std::vector<float> a = ReadFloatFile(files_.path() / "a" / "update.f32");
  EXPECT_EQ(a.size(), manifest_.layout.shared_size());
  EXPECT_EQ(a, ReadFloatFile(files_.path() / "b" / "update.f32"));
}

TEST_F(WorkerTest, AFailureCarriesTheFunctionsReason) {
  worker::v1::WorkerRequest request =
      files_.Request(v1::FUNCTION_KIND_TRAIN, manifest_, weights_, "a");
  request.set_weights_path("/nonexistent/weights.f32");
  WorkerReply reply = Run(request);
  EXPECT_EQ(reply.outcome(), worker::v1::WORKER_OUTCOME_FAILED);
  EXPECT_THAT(reply.reason(), HasSubstr("/nonexistent/weights.f32"));
}

TEST_F(WorkerTest, LibTorchRunningOutOfMemoryIsReportedWithTheLimit) {
  // 64 MiB of weights, of which not one copy fits.
  manifest_.architecture =
      MakeZooArchitecture("mlp", {.input_shape = {1, 8, 8}, .outputs = 3, .hidden = {4096, 4096}})
          .value();
  manifest_.layout = LayoutOf(manifest_.architecture).value();
  worker::v1::WorkerRequest request = files_.Request(
      v1::FUNCTION_KIND_TRAIN, manifest_, std::vector<float>(manifest_.layout.total_size()), "a");
  request.set_memory_bytes(32u << 20);
  WorkerReply reply = Run(request);
  EXPECT_EQ(reply.outcome(), worker::v1::WORKER_OUTCOME_OUT_OF_MEMORY) << reply.reason();
  EXPECT_THAT(reply.reason(), HasSubstr("33554432"));
}

TEST_F(WorkerTest, InspectPrintsWhatAScriptedModuleHoldsAndRefusesATracedOne) {
  const std::string folder = files_.path().string();
  ASSERT_EQ(std::system((std::string(TORCH_PYTHON) + " " + MAKE_MODULES + " " + folder).c_str()),
            0);
  Finished good =
      RunCommand("inspect --module " + folder + "/chain.pt --input-shape 1,8,8" + " --layout-out " +
                 folder + "/layout.json --weights-out " + folder + "/chain.f32");
  ASSERT_EQ(good.exit_code, 0) << good.output;
  const auto json = nlohmann::json::parse(good.output);
  EXPECT_EQ(json["outputs"], 3);
  EXPECT_EQ(json["has_loss"], false);
  EXPECT_EQ(json["architecture"]["layers"].size(), 5u);
  EXPECT_EQ(json["layout"]["entries"].size(), 4u);
  EXPECT_EQ(ReadFloatFile(folder + "/chain.f32").size(), 4u * 9 + 4 + 3 * 64 + 3);
  EXPECT_GT(std::filesystem::file_size(folder + "/layout.json"), 0u);

  Finished residual = RunCommand("inspect --module " + folder + "/residual.pt --input-shape 1,8,8");
  ASSERT_EQ(residual.exit_code, 0) << residual.output;
  EXPECT_TRUE(nlohmann::json::parse(residual.output)["architecture"].is_null());

  Finished traced = RunCommand("inspect --module " + folder + "/traced.pt --input-shape 1,8,8");
  EXPECT_EQ(traced.exit_code, 1);
  EXPECT_THAT(traced.output, HasSubstr("traced"));
}

TEST(WorkerCommandLine, SaysHowItIsUsed) {
  Finished help = RunCommand("--help");
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.output, HasSubstr("muster-worker inspect"));
  for (const char* wrong : {"", "dance", "serve", "inspect --module x.pt", "serve --fd 0",
                            "inspect --module x.pt --input-shape 1,,2"}) {
    Finished finished = RunCommand(wrong);
    EXPECT_EQ(finished.exit_code, 2) << wrong;
    EXPECT_THAT(finished.output, HasSubstr("muster-")) << wrong;
  }
}

}  // namespace
}  // namespace muster
