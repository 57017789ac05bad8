#include "aggregation/privacy/adaptive_clip.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "aggregation/privacy/discrete_gaussian.h"
#include "proto/core/limits.h"
#include "proto/core/random.h"

namespace muster {
namespace {

TEST(NextClip, IsTheGeometricStepOfThePaper) {
  const PrivacyConfig config{.clip_quantile = 0.5, .clip_rate = 0.2};
  EXPECT_DOUBLE_EQ(NextClip(2, 0.5, config), 2);
  EXPECT_DOUBLE_EQ(NextClip(2, 1.0, config), 2 * std::exp(-0.1));
  EXPECT_DOUBLE_EQ(NextClip(2, 0.0, config), 2 * std::exp(0.1));
  EXPECT_DOUBLE_EQ(NextClip(2, -0.1, config), 2 * std::exp(0.12));  // noise may go below 0
}

TEST(NextClip, StaysWithinItsLimitsAndANumber) {
  const PrivacyConfig config{.clip_quantile = 0.5, .clip_rate = limits::kMaxClipRate};
  EXPECT_EQ(NextClip(kSmallestClip, 1, config), kSmallestClip);
  EXPECT_EQ(NextClip(limits::kMaxClip, 0, config), limits::kMaxClip);
  EXPECT_EQ(NextClip(3, std::numeric_limits<double>::quiet_NaN(), config), 3);
}

// Norms are log-normal; counts carry the noise of Andrew et al. 2021: a twentieth of the clients.
TEST(NextClip, ConvergesToTheQuantileOfTheNorms) {
  constexpr int kClients = 200, kRounds = 400, kSettled = 100;
  constexpr uint64_t kUnit = 1 << 16;
  SeededRandom random(1);
  std::vector<double> norms(100'000);
  for (double& norm : norms) {
    double gaussian = -6;
    for (int i = 0; i < 12; ++i) gaussian += random.Unit();
    norm = 4 * std::exp(gaussian / 2);
  }
  std::vector<double> sorted = norms;
  std::sort(sorted.begin(), sorted.end());
  const DiscreteGaussianSampler noise(kClients / 20.0 * kUnit);
  for (const double quantile : {0.1, 0.5, 0.9}) {
    for (const double start : {0.1, 100.0}) {
      const PrivacyConfig config{.clip_quantile = quantile, .clip_rate = 0.2};
      double clip = start, mean_log = 0;
      for (int round = 0; round < kRounds; ++round) {
        double unclipped = 0;
        for (int i = 0; i < kClients; ++i) unclipped += norms[random.Below(norms.size())] <= clip;
        unclipped += static_cast<double>(noise.Sample(random)) / kUnit;
        clip = NextClip(clip, unclipped / kClients, config);
        if (round >= kRounds - kSettled) mean_log += std::log(clip) / kSettled;
      }
      const double target = sorted[static_cast<size_t>(quantile * double(sorted.size()))];
      EXPECT_NEAR(std::exp(mean_log) / target, 1, 0.1) << quantile << " from " << start;
    }
  }
}

}  // namespace
}  // namespace muster
