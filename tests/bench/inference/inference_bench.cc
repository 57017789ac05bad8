// Quantized inference: cold start of the instance process and latency of the runtime, one thread.
// Besides Google Benchmark's table it prints one line per figure:
//   infer_cold_start_ms_p50 X          exec of muster-infer to its first reply, McMahan CNN
//   infer_round_trip_us_p50 X          one example through the warm process' socket
//   int8_latency_us_mlp X, int8_latency_us_lenet5 X, int8_latency_us_mcmahan_cnn X   batch 1,
//   median
#include <benchmark/benchmark.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "client/functions/inference_protocol.h"
#include "client/functions/spawn.h"
#include "models/quantize/quantize.h"
#include "models/quantize/runtime.h"
#include "models/zoo/zoo.h"
#include "proto/core/random.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kColdStarts = 31, kRuns = 501, kCalibration = 32;
const char* const kModels[] = {"mlp", "lenet5", "mcmahan_cnn", "har_cnn1d"};

template <typename T>
T OrDie(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(value);
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

double MicrosecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

class ModelFiles {
 public:
  ModelFiles() {
    std::string name = (std::filesystem::temp_directory_path() / "muster-bench-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::exit(1);
    folder_ = name;
    for (const char* model : kModels) Write(model);
  }
  ~ModelFiles() { std::filesystem::remove_all(folder_); }
  std::filesystem::path path(std::string_view model) const {
    return folder_ / StrCat(model, ".mq8");
  }

 private:
  void Write(const char* name) {
    const Architecture architecture = OrDie(MakeZooArchitecture(name, {}));
    const ParameterLayout layout = OrDie(LayoutOf(architecture));
    const auto weights = OrDie(InitialWeights(architecture, layout, 1));
    size_t size = kCalibration;
    for (uint32_t d : architecture.input_shape) size *= d;
    SeededRandom random(1);
    std::vector<float> examples(size);
    for (float& value : examples) value = static_cast<float>(random.Unit());
    std::ofstream(path(name), std::ios::binary)
        << OrDie(QuantizeModel(architecture, layout, weights, examples, kCalibration, {}));
  }

  std::filesystem::path folder_;
};

const ModelFiles& Files() {
  static const ModelFiles files;
  return files;
}

void Int8Latency(benchmark::State& state) {
  const char* name = kModels[state.range(0)];
  const auto model = OrDie(Int8Model::Open(Files().path(name)));
  const std::vector<float> input(model->input_size(), 0.5f);
  std::vector<float> output(model->outputs());
  for (auto _ : state) {
    if (!model->Run(input, 1, output).ok()) state.SkipWithError("run failed");
    benchmark::DoNotOptimize(output.data());
  }
  state.SetLabel(name);
}
BENCHMARK(Int8Latency)->DenseRange(0, std::size(kModels) - 1)->Unit(benchmark::kMicrosecond);

void PrintLatency(const char* name) {
  const auto model = OrDie(Int8Model::Open(Files().path(name)));
  const std::vector<float> input(model->input_size(), 0.5f);
  std::vector<float> output(model->outputs());
  std::vector<double> times;
  for (size_t i = 0; i < kRuns; ++i) {
    const auto start = Clock::now();
    if (!model->Run(input, 1, output).ok()) std::exit(1);
    times.push_back(MicrosecondsSince(start));
  }
  std::printf("int8_latency_us_%s %.2f\n", name, Median(times));
}

// One call on a connection, waited for.
double TimeCall(boost::asio::io_context& io, HttpConnection& connection,
                const HttpRequest& request) {
  const auto start = Clock::now();
  int status = 0;
  connection.Call(
      request, [&](absl::StatusOr<HttpReply> reply) { status = reply.ok() ? reply->status : 0; });
  io.restart();
  io.run();
  if (status != 200) std::exit(1);
  return MicrosecondsSince(start);
}

void PrintColdStart() {
  ServedModel served = {.name = "m", .version = "1", .input_shape = {1, 28, 28}, .outputs = 10};
  const HttpRequest request =
      WriteBinaryRequest(served, std::vector<float>(served.input_size(), 0.5f), 1);
  std::vector<double> cold, warm;
  for (size_t i = 0; i < kColdStarts; ++i) {
    boost::asio::io_context io(1);
    const auto start = Clock::now();
    ChildProcess child = OrDie(SpawnChild(
        MUSTER_INFER_BINARY,
        {"--model", Files().path("mcmahan_cnn").string(), "--name", "m", "--version", "1",
         "--connection-fd", StrCat(kChildConnectionFd), "--parent", StrCat(getpid())}));
    HttpConnection connection(io, std::move(child.connection), kMaxInferBodyBytes);
    TimeCall(io, connection, request);
    cold.push_back(MicrosecondsSince(start) / 1000);
    for (int call = 0; call < 11; ++call) warm.push_back(TimeCall(io, connection, request));
    ReapChild(child.pid);
  }
  std::printf("infer_cold_start_ms_p50 %.2f\n", Median(cold));
  std::printf("infer_cold_start_ms_min %.2f\n", *std::min_element(cold.begin(), cold.end()));
  std::printf("infer_round_trip_us_p50 %.1f\n", Median(warm));
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  muster::PrintColdStart();
  for (const char* name : muster::kModels) muster::PrintLatency(name);
  return 0;
}
