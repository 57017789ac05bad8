#include "aggregation/privacy/rounding.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "aggregation/privacy/buffered_random.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using Uint128 = unsigned __int128;

constexpr float kTooLarge = 0x1p60f;

// |value| in fixed point. Splitting a float into its whole and its fractional part is exact, and so
// are 64 bits of the fraction from 2^-40 on; below, the mean is off by less than 2^-64.
int64_t RoundAtRandom(float value, uint64_t uniform) {
  const float magnitude = std::fabs(value);
  const auto whole = static_cast<uint64_t>(magnitude);
  const float fraction = magnitude - static_cast<float>(whole);
  const auto threshold = static_cast<uint64_t>(fraction * 0x1p64f);
  const auto rounded = static_cast<int64_t>(whole + (uniform < threshold ? 1 : 0));
  return value < 0 ? -rounded : rounded;
}

// The largest whole number that is surely not above bound^2.
Uint128 LargestSquareSum(double bound) {
  if (!(bound > 0)) return 0;
  const double square = std::nextafter(bound * bound, 0.0);
  if (square >= 0x1p127) return Uint128{1} << 127;
  return static_cast<Uint128>(square);
}

Uint128 RoundAll(std::span<const float> scaled, RandomSource& random, std::span<int64_t> out) {
  Uint128 squares = 0;
  for (size_t i = 0; i < scaled.size(); ++i) {
    out[i] = RoundAtRandom(scaled[i], random.Next64());
    const Uint128 magnitude = static_cast<uint64_t>(out[i] < 0 ? -out[i] : out[i]);
    const Uint128 square = magnitude * magnitude;
    squares = square > ~Uint128{0} - squares ? ~Uint128{0} : squares + square;
  }
  return squares;
}

}  // namespace

double ConditionalRoundingBound(double scaled_clip, uint64_t dimension, double beta) {
  const auto d = static_cast<double>(dimension);
  const double c = scaled_clip;
  const double always = c + std::sqrt(d);
  if (!(beta > 0)) return always;
  const double usually =
      c * c + d / 4 + std::sqrt(2 * std::log(1 / std::min(beta, 1.0))) * (c + std::sqrt(d) / 2);
  return std::min(always, std::sqrt(usually));
}

absl::Status ConditionalRound(std::span<const float> scaled, double l2_bound, RandomSource& random,
                              std::span<int64_t> out) {
  if (out.size() != scaled.size()) {
    return absl::InvalidArgumentError(
        StrCat("rounding ", scaled.size(), " values into ", out.size()));
  }
  for (size_t i = 0; i < scaled.size(); ++i) {
    if (!(std::fabs(scaled[i]) < kTooLarge)) {
      return absl::InvalidArgumentError(
          StrCat("cannot round ", scaled[i], " at index ", i, ": it must be below 2^60"));
    }
  }
  BufferedRandom buffered(random);
  const Uint128 limit = LargestSquareSum(l2_bound);
  for (int i = 0; i < kMaxRoundings; ++i) {
    if (RoundAll(scaled, buffered, out) <= limit) return absl::OkStatus();
  }
  return absl::FailedPreconditionError(StrCat("none of ", kMaxRoundings,
                                              " roundings has an L2 norm of at most ", l2_bound,
                                              "; the vector was longer than its clip"));
}

}  // namespace muster
