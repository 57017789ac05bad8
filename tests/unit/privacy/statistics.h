// Goodness of fit for seeded samples. The limits are those of one false alarm in a million; with
// fixed seeds a test that passed once passes always.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace muster::statistics {

// The (1 - 1e-6) quantile of chi-square (Wilson and Hilferty 1931).
inline double ChiSquareLimit(double degrees) {
  constexpr double kQuantile = 4.753;  // of the standard normal distribution
  const double a = 2 / (9 * degrees);
  return degrees * std::pow(1 - a + kQuantile * std::sqrt(a), 3);
}

// `probability(k)` for whole k; everything too rare for a bin of its own goes into one for the
// rest.
template <typename Probability>
void ExpectDistribution(std::span<const int64_t> samples, int64_t from, int64_t to,
                        const Probability& probability) {
  constexpr double kFewest = 10;
  const auto count = static_cast<double>(samples.size());
  std::map<int64_t, double> seen;
  for (const int64_t sample : samples) ++seen[sample];
  double chi_square = 0, rest_expected = count, rest_seen = count;
  int bins = 0;
  for (int64_t k = from; k <= to; ++k) {
    const double expected = count * probability(k);
    if (expected < kFewest) continue;
    const double difference = seen[k] - expected;
    chi_square += difference * difference / expected;
    rest_expected -= expected;
    rest_seen -= seen[k];
    ++bins;
  }
  if (rest_expected >= kFewest) {
    chi_square += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected;
    ++bins;
  } else {
    EXPECT_LE(rest_seen, 50) << "of " << count << " samples where " << rest_expected
                             << " are expected";
  }
  if (bins > 1) {
    EXPECT_LT(chi_square, ChiSquareLimit(bins - 1)) << bins << " bins";
  }
}

// Mean 0 and the variance, within five standard errors. `kurtosis` is the fourth moment over the
// squared variance: 3 for a Gaussian.
inline void ExpectMoments(std::span<const int64_t> samples, double variance, double kurtosis = 3) {
  const auto count = static_cast<double>(samples.size());
  double sum = 0, squares = 0;
  for (const int64_t sample : samples) {
    const auto x = static_cast<double>(sample);
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / count, 0, 5 * std::sqrt(variance / count));
  EXPECT_NEAR(squares / count / variance, 1, 5 * std::sqrt((kurtosis - 1) / count));
}

// Against the Gaussian in bins of a tenth of a deviation: for variances so large that nothing else
// shows. A bin has the mass of the whole numbers in it, half a unit to either side.
inline void ExpectGaussian(std::span<const int64_t> samples, double deviation) {
  const double width = deviation / 10;
  std::vector<int64_t> bins;
  for (const int64_t sample : samples) {
    bins.push_back(static_cast<int64_t>(std::floor(static_cast<double>(sample) / width)));
  }
  const auto below = [&](double x) { return std::erfc(-x / deviation / std::sqrt(2.0)) / 2; };
  ExpectDistribution(bins, -60, 60, [&](int64_t bin) {
    const auto b = static_cast<double>(bin);
    return below(std::ceil((b + 1) * width) - 0.5) - below(std::ceil(b * width) - 0.5);
  });
}

}  // namespace muster::statistics
