// Conditional randomized rounding (Kairouz, Liu, Steinke 2021, "The Distributed Discrete Gaussian
// Mechanism for Federated Learning with Secure Aggregation", arXiv 2102.06387): rounding to whole
// numbers makes a vector longer, and the accounting needs to know by how much at most.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "proto/core/random.h"

namespace muster {

// The paper's beta: with this probability at most, a rounding is too long and is done again. The
// bias that the condition brings stays small, and so does the bound.
inline constexpr double kRoundingBeta = 0.60653065971263342;  // e^(-1/2)

// The largest L2 norm of a rounded vector whose norm was `scaled_clip` at most:
//   min{c + sqrt(d), sqrt(c^2 + d/4 + sqrt(2 ln(1/beta)) (c + sqrt(d)/2))}
// The first is never exceeded, the second with probability `beta` at most. beta = 0 leaves the
// first, for roundings without a condition.
double ConditionalRoundingBound(double scaled_clip, uint64_t dimension,
                                double beta = kRoundingBeta);

// Roundings that ConditionalRound tries. A vector within its clip fails all of them with
// probability kRoundingBeta^kMaxRoundings < 2^-184.
inline constexpr int kMaxRoundings = 256;

// Rounds each value to one of its two neighbours so that its mean is the value, again and again
// until the sum of squares is at most l2_bound^2. The sum is exact, so the bound holds whatever
// rounding errors `scaled` came with. Buffers `random` itself; `out` has the size of `scaled`.
//   InvalidArgument     sizes differ, NaN, or a value of 2^60 or more, with its index
//   FailedPrecondition  too long every time: the vector was not clipped, or is longer than 2^63
absl::Status ConditionalRound(std::span<const float> scaled, double l2_bound, RandomSource& random,
                              std::span<int64_t> out);

}  // namespace muster
