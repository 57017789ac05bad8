#include "models/quantize/calibration.h"

#include <algorithm>
#include <cmath>

namespace muster {
namespace {

constexpr float kMinScale = 1e-30f;  // far above denormals, so that quotients of scales stay normal

}  // namespace

TensorScale ScaleForRange(float low, float high, float scale_min) {
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  TensorScale result;
  // Each end divided by itself: high - low may overflow.
  result.scale = std::max({high / 255.0f - low / 255.0f, scale_min, kMinScale});
  const double zero = -128.0 - std::round(double{low} / result.scale);
  result.zero_point = static_cast<int32_t>(std::clamp(zero, -128.0, 127.0));
  return result;
}

void RangeObserver::Grow() {
  std::vector<uint64_t> merged(kBins, 0);
  for (size_t i = 0; i < kBins; ++i) merged[kBins / 4 + i / 2] += bins_[i];
  bins_ = std::move(merged);
  reach_ *= 2;
}

void RangeObserver::Observe(std::span<const float> values) {
  float low = low_, high = high_;
  for (float value : values) {
    finite_ = finite_ && std::isfinite(value);
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (!finite_) return;
  low_ = low;
  high_ = high;
  while (reach_ <= std::max(high_, -low_) && std::isfinite(reach_ * 2)) Grow();
  const float bins_per_unit = kBins / 2 / reach_;
  for (float value : values) {
    const auto bin = static_cast<int64_t>(std::floor(value * bins_per_unit)) + int64_t{kBins} / 2;
    ++bins_[std::clamp<int64_t>(bin, 0, kBins - 1)];
  }
  count_ += values.size();
}

RangeObserver::Range RangeObserver::Percentile(double percentile) const {
  const double tail = static_cast<double>(count_) * (100.0 - percentile) / 200.0;
  const double width = 2.0 * reach_ / kBins;
  uint64_t below = 0, above = 0;
  size_t first = 0, last = kBins - 1;
  while (first < kBins / 2 && static_cast<double>(below + bins_[first]) <= tail) {
    below += bins_[first++];
  }
  while (last >= kBins / 2 && static_cast<double>(above + bins_[last]) <= tail) {
    above += bins_[last--];
  }
  const double low = static_cast<double>(first) * width - reach_;
  const double high = static_cast<double>(last + 1) * width - reach_;
  return {std::max(low_, static_cast<float>(std::min(low, 0.0))),
          std::min(high_, static_cast<float>(std::max(high, 0.0)))};
}

}  // namespace muster
