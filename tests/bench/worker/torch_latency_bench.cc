// Latency of one example through LibTorch in float32, one thread: what int8 serving is compared
// with.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "models/torch/functions.h"
#include "models/torch/learner.h"
#include "models/zoo/zoo.h"

namespace {

using namespace muster;

constexpr int kWarmUpRuns = 50, kRuns = 1000;

absl::Status Measure(const std::string& name) {
  const Architecture architecture = MakeZooArchitecture(name, {}).value();
  const ParameterLayout layout = LayoutOf(architecture).value();
  Learner learner = Learner::FromArchitecture(architecture, layout).value();
  const std::vector<float> weights = InitialWeights(architecture, layout, 1).value();
  std::copy(weights.begin(), weights.end(), learner.weights().begin());
  const std::vector<float> example(784, 0.5f);
  std::vector<double> us;
  for (int i = 0; i < kWarmUpRuns + kRuns; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto outputs = learner.Predict(example, 1, architecture.input_shape);
    const std::chrono::duration<double, std::micro> elapsed =
        std::chrono::steady_clock::now() - start;
    if (!outputs.ok()) return outputs.status();
    if (i >= kWarmUpRuns) us.push_back(elapsed.count());
  }
  std::sort(us.begin(), us.end());
  std::printf("torch_latency_us_%s %.1f\n", name.c_str(), us[us.size() / 2]);
  return absl::OkStatus();
}

}  // namespace

int main() {
  WarmUp();
  for (const char* name : {"mlp", "mcmahan_cnn"}) {
    if (absl::Status status = Measure(name); !status.ok()) {
      std::fprintf(stderr, "torch_latency_bench: %s\n", status.ToString().c_str());
      return 1;
    }
  }
}
