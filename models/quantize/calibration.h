// The range of values that a tensor takes, observed on calibration data.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "proto/core/plan.h"

namespace muster {

// Asymmetric int8: real = scale * (q - zero_point), q in [-128, 127]. Zero is exact, because
// padding and ReLU depend on it.
struct TensorScale {
  float scale = 1.0f;
  int32_t zero_point = 0;
};
// Scale at least `scale_min`. `low` <= `high`, both finite; zero is added to the range.
TensorScale ScaleForRange(float low, float high, float scale_min);

class RangeObserver {
 public:
  RangeObserver() : bins_(kBins, 0) {}

  void Observe(std::span<const float> values);

  struct Range {
    float low = 0, high = 0;
  };
  Range MinMax() const { return {low_, high_}; }
  // Without the (100 - percentile) percent of values that lie furthest out, half on each side.
  Range Percentile(double percentile) const;
  bool finite() const { return finite_; }

 private:
  // Counts over [-reach_, reach_); reach_ doubles, and bins merge, when a value lies outside. It is
  // a power of two, so that the bins do not depend on the order of values.
  static constexpr size_t kBins = 8192;
  static constexpr float kFirstReach = 1.0f / 1024;

  void Grow();

  std::vector<uint64_t> bins_;
  float reach_ = kFirstReach;
  float low_ = 0, high_ = 0;  // zero is always in the range
  uint64_t count_ = 0;
  bool finite_ = true;
};

}  // namespace muster
