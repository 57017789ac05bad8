// The clip that follows a quantile of the updates' norms (Andrew, Thakkar, McMahan, Ramaswamy 2021,
// "Differentially Private Learning with Adaptive Clipping", arXiv 1905.03871).
#pragma once

#include "proto/core/job_spec.h"

namespace muster {

inline constexpr double kSmallestClip = 1e-6;  // adaptive clips end here, and at limits::kMaxClip

// C e^(-rate (b - quantile)), where b is the noised fraction of updates that were not longer than
// C. Noise may take b out of [0, 1]. Where b is not a number, C stays.
double NextClip(double clip, double unclipped_fraction, const PrivacyConfig& config);

}  // namespace muster
