#include "aggregation/privacy/adaptive_clip.h"

#include <algorithm>
#include <cmath>

#include "proto/core/limits.h"

namespace muster {

double NextClip(double clip, double unclipped_fraction, const PrivacyConfig& config) {
  if (std::isnan(unclipped_fraction)) return clip;
  const double step = config.clip_rate * (unclipped_fraction - config.clip_quantile);
  return std::clamp(clip * std::exp(-step), kSmallestClip, limits::kMaxClip);
}

}  // namespace muster
