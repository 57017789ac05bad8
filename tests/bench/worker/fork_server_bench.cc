// What the fork server saves: the first reply of a function in a fresh child of a warm worker,
// against the first reply of a worker that has to be started for it. The same invocation both
// times: evaluate an MLP on 64 examples. Prints medians and their ratio; the target is at most
// 1/20.
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "client/sandbox/worker_pool.h"
#include "models/zoo/zoo.h"
#include "proto/codec/model_codec.h"

namespace {

using namespace muster;

constexpr int kExecRuns = 5, kForkRuns = 41;
constexpr size_t kExamples = 64;

void Write(const std::filesystem::path& path, const void* bytes, size_t size) {
  std::ofstream(path, std::ios::binary)
      .write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
}

worker::v1::WorkerRequest MakeRequest(const std::filesystem::path& folder) {
  Manifest manifest;
  manifest.name = ModelName::Trusted("mlp");
  manifest.version = 1;
  manifest.architecture = MakeZooArchitecture("mlp", {}).value();
  manifest.layout = LayoutOf(manifest.architecture).value();
  manifest.total_rounds = 1;
  const std::vector<float> weights =
      InitialWeights(manifest.architecture, manifest.layout, 1).value();
  const std::string json = ManifestToJson(manifest).value();
  const std::vector<float> features(kExamples * 784, 0.5f);
  const std::vector<int64_t> labels(kExamples, 3);
  Write(folder / "manifest.json", json.data(), json.size());
  Write(folder / "weights.f32", weights.data(), weights.size() * 4);
  Write(folder / "x.f32", features.data(), features.size() * 4);
  Write(folder / "y.i64", labels.data(), labels.size() * 8);
  std::ofstream(folder / "shape.json") << "{\"shape\": [1, 28, 28]}";
  worker::v1::WorkerRequest request;
  request.set_invocation("bench");
  request.set_function(v1::FUNCTION_KIND_EVALUATE);
  request.set_manifest_path(folder / "manifest.json");
  request.set_weights_path(folder / "weights.f32");
  request.set_output_dir(folder);
  request.mutable_data()->mutable_tensors()->set_directory(folder);
  request.mutable_data()->set_held_out_fraction(1.0);
  return request;
}

double ReplyMs(WorkerPool& pool, const worker::v1::WorkerRequest& request) {
  const auto start = std::chrono::steady_clock::now();
  const auto reply = pool.Run(request);
  const std::chrono::duration<double, std::milli> elapsed =
      std::chrono::steady_clock::now() - start;
  if (!reply.ok() || reply->outcome() != worker::v1::WORKER_OUTCOME_DONE) {
    std::fprintf(stderr, "fork_server_bench: %s\n",
                 reply.ok() ? reply->reason().c_str() : reply.status().ToString().c_str());
    std::exit(1);
  }
  return elapsed.count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main() {
  std::string pattern = std::filesystem::temp_directory_path() / "muster-bench-XXXXXX";
  const std::filesystem::path folder = mkdtemp(pattern.data());
  const worker::v1::WorkerRequest request = MakeRequest(folder);
  WorkerPool pool({.worker_binary = MUSTER_WORKER, .idle_timeout = std::chrono::hours(1)});
  std::vector<double> exec, fork;
  for (int i = 0; i < kExecRuns; ++i) {
    pool.StopIfIdle();
    exec.push_back(ReplyMs(pool, request));
  }
  for (int i = 0; i < kForkRuns; ++i) fork.push_back(ReplyMs(pool, request));
  pool.StopIfIdle();
  std::filesystem::remove_all(folder);
  std::printf("exec_first_reply_ms %.1f\n", Median(exec));
  std::printf("fork_first_reply_ms %.2f\n", Median(fork));
  std::printf("fork_first_reply_over_exec %.4f\n", Median(fork) / Median(exec));
}
