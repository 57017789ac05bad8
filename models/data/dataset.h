// Labelled examples in memory, and the interface through which every file format gives them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

inline constexpr uint64_t kMaxDatasetExamples = 1ull << 25;  // rows of one file
inline constexpr uint64_t kMaxExampleElements = 1ull << 24;  // features of one example
inline constexpr uint64_t kMaxDeviceElements = 1ull << 30;   // features that one device loads
inline constexpr int64_t kMaxClasses = 1 << 20;              // labels are in [0, kMaxClasses)

struct Dataset {
  std::vector<uint32_t> example_shape;  // one example, channels first
  std::vector<float> features;          // [n, prod(example_shape)], row major; finite
  std::vector<int64_t> labels;          // [n], each in [0, kMaxClasses)

  size_t size() const { return labels.size(); }
  size_t example_size() const;  // elements of one example
};

// How often each label occurs; index = label, as long as the largest label + 1.
std::vector<uint64_t> CountLabels(const Dataset& dataset);

// A file, or several, of labelled examples. Labels are read when it is opened, because partitions
// are made from them; features only for the rows that are asked for.
class ExampleSource {
 public:
  virtual ~ExampleSource() = default;

  virtual const std::vector<uint32_t>& example_shape() const = 0;
  virtual const std::vector<int64_t>& labels() const = 0;  // [n]; n >= 1

  // Called with a position in `rows` and that row's features, which live until it returns.
  using Visitor = absl::FunctionRef<void(size_t position, std::span<const float> features)>;

  // One pass over the file. `rows` ascends strictly and stays below n.
  virtual absl::Status VisitRows(std::span<const uint64_t> rows, Visitor visit) const = 0;
};

}  // namespace muster
