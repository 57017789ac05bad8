// Small data and models for the tests of training functions.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "models/data/dataset.h"
#include "models/torch/learner.h"
#include "models/zoo/zoo.h"
#include "muster/worker/v1/worker.pb.h"
#include "proto/codec/model_codec.h"
#include "proto/core/manifest.h"
#include "proto/core/random.h"

namespace muster {

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = testing::TempDir() + "muster-torch-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Three classes: noise with a bright band in the class's rows.
inline Dataset MakeBands(size_t n, uint64_t seed, std::vector<uint32_t> shape = {1, 8, 8}) {
  Dataset data{.example_shape = std::move(shape)};
  SeededRandom random(seed);
  const size_t size = data.example_size();
  for (size_t i = 0; i < n; ++i) {
    const auto label = static_cast<int64_t>(random.Below(3));
    for (size_t j = 0; j < size; ++j) {
      const bool bright = j * 3 / size == static_cast<size_t>(label);
      data.features.push_back(static_cast<float>(0.5 * random.Unit() + (bright ? 0.4 : 0.0)));
    }
    data.labels.push_back(label);
  }
  return data;
}

inline Manifest MakeManifest() {
  Manifest manifest;
  manifest.name = ModelName::Trusted("bands");
  manifest.version = 1;
  manifest.architecture =
      MakeZooArchitecture("mlp", {.input_shape = {1, 8, 8}, .outputs = 3, .hidden = {8}}).value();
  manifest.layout = LayoutOf(manifest.architecture).value();
  manifest.train = {.learning_rate = 0.1, .momentum = 0.9, .epochs = 3, .batch_size = 10};
  manifest.personalize.train = manifest.train;
  manifest.total_rounds = 10;
  return manifest;
}

inline std::vector<bool> EveryEntry(const ParameterLayout& layout, bool value = true) {
  return std::vector<bool>(layout.entries().size(), value);
}

inline void WriteFile(const std::filesystem::path& path, const void* bytes, size_t size) {
  std::ofstream(path, std::ios::binary)
      .write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
}

inline std::vector<float> ReadFloatFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  std::vector<float> values(bytes.size() / sizeof(float));
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(values.data()));
  return values;
}

// A package and a device's data as files, and a request over them.
class FunctionFiles {
 public:
  explicit FunctionFiles(const Dataset& data) {
    WriteFile(folder_.path() / "x.f32", data.features.data(), data.features.size() * 4);
    WriteFile(folder_.path() / "y.i64", data.labels.data(), data.labels.size() * 8);
    std::string shape;
    for (uint32_t side : data.example_shape) {
      shape += (shape.empty() ? "" : ", ") + std::to_string(side);
    }
    std::ofstream(folder_.path() / "shape.json") << "{\"shape\": [" << shape << "]}";
  }

  // `output` names the folder of this run.
  worker::v1::WorkerRequest Request(v1::FunctionKind function, const Manifest& manifest,
                                    const std::vector<float>& weights, const std::string& output) {
    const std::string json = ManifestToJson(manifest).value();
    WriteFile(folder_.path() / "manifest.json", json.data(), json.size());
    WriteFile(folder_.path() / "weights.f32", weights.data(), weights.size() * 4);
    worker::v1::WorkerRequest request;
    request.set_invocation(output);
    request.set_function(function);
    request.set_manifest_path(folder_.path() / "manifest.json");
    request.set_weights_path(folder_.path() / "weights.f32");
    request.set_output_dir(folder_.path() / output);
    request.set_round(1);
    request.set_seed(5);
    request.mutable_data()->mutable_tensors()->set_directory(folder_.path());
    request.mutable_data()->set_held_out_fraction(0.25);
    std::filesystem::create_directories(request.output_dir());
    return request;
  }

  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TempFolder folder_;
};

}  // namespace muster
