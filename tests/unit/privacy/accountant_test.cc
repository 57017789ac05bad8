#include "aggregation/privacy/accountant.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "aggregation/privacy/rounding.h"

namespace muster {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The default orders of Google's dp-accounting.
std::vector<double> DpAccountingOrders() {
  std::vector<double> orders;
  for (int x = 1; x < 100; ++x) orders.push_back(1 + x / 10.0);
  for (int order = 11; order < 64; ++order) orders.push_back(order);
  orders.insert(orders.end(), {128, 256, 512, 1024});
  return orders;
}

std::vector<double> WholeOrders() {
  std::vector<double> orders;
  for (int order = 2; order <= 64; ++order) orders.push_back(order);
  orders.insert(orders.end(), {128, 256, 512});
  return orders;
}

RdpCurve Gaussian(double z) {
  return [z](double alpha) { return GaussianRdp(alpha, z); };
}
RdpCurve Subsampled(double q, double z) {
  return [q, z](double alpha) { return SubsampledGaussianRdp(alpha, q, z); };
}

double EpsilonOf(std::vector<double> orders, const RdpCurve& curve, uint64_t count, double delta) {
  RdpAccountant accountant(std::move(orders));
  accountant.Add(curve, count);
  return accountant.Epsilon(delta);
}

// dp-accounting 0.6.0 (PyPI), RdpAccountant().compose(GaussianDpEvent(z), rounds).
TEST(RdpAccountant, AgreesWithDpAccountingOnTheGaussian) {
  struct Pin {
    double z;
    uint64_t rounds;
    double delta, epsilon;
  };
  for (const Pin& pin : {Pin{1, 1, 1e-5, 4.728507067217623},
                         {1, 10, 1e-5, 19.05359753163139},
                         {4, 1, 1e-6, 1.1431687205814116},
                         {0.5, 1, 1e-5, 10.725509696418232},
                         {10, 1000, 1e-7, 21.934343465080147},
                         {1.1, 100, 1e-6, 87.37738477419134},
                         {30, 200, 1e-9, 2.87254054550423},
                         {8, 100, 1e-5, 6.122757864599009}}) {
    EXPECT_NEAR(EpsilonOf(DpAccountingOrders(), Gaussian(pin.z), pin.rounds, pin.delta),
                pin.epsilon, 1e-12 * pin.epsilon)
        << pin.z << " " << pin.rounds;
    // More orders can only help, and not by much.
    const double epsilon =
        PlannedEpsilon(Gaussian(pin.z), static_cast<uint32_t>(pin.rounds), pin.delta);
    EXPECT_LE(epsilon, pin.epsilon * (1 + 1e-12));
    EXPECT_GT(epsilon, pin.epsilon * 0.98);
  }
}

// dp-accounting 0.6.0, PoissonSampledDpEvent(q, GaussianDpEvent(z)) at the orders 2 to 64, 128, 256
// and 512.
TEST(RdpAccountant, AgreesWithDpAccountingOnTheSubsampledGaussian) {
  struct Pin {
    double z, q;
    uint64_t rounds;
    double delta, epsilon;
  };
  for (const Pin& pin : {Pin{1.1, 256.0 / 60000, 14062, 1e-5, 2.5969811785948815},
                         {4, 0.01, 10000, 1e-5, 1.0354900660362436},
                         {1.3, 0.01, 1000, 1e-6, 1.4422703547807758},
                         {0.7, 0.001, 100000, 1e-8, 5.80652929748333},
                         {2, 0.1, 500, 1e-5, 6.089503111076504},
                         {1, 0.5, 10, 1e-5, 11.770582666023335}}) {
    EXPECT_NEAR(EpsilonOf(WholeOrders(), Subsampled(pin.q, pin.z), pin.rounds, pin.delta),
                pin.epsilon, 1e-8 * pin.epsilon)
        << pin.z << " " << pin.q;
  }
}

TEST(SubsampledGaussianRdp, AgreesWithDpAccountingAtSingleOrders) {
  EXPECT_NEAR(SubsampledGaussianRdp(32, 0.01, 4), 0.00010526360659077987, 1e-15);
  EXPECT_NEAR(SubsampledGaussianRdp(8, 0.004, 1.1), 8.615051563406796e-05, 1e-15);
  EXPECT_NEAR(SubsampledGaussianRdp(3, 0.1, 0.7), 0.24606477989660014, 1e-13);
  EXPECT_NEAR(SubsampledGaussianRdp(64, 0.5, 2), 7.295850630032514, 1e-12);
}

TEST(SubsampledGaussianRdp, EndsAtNothingAndAtTheGaussian) {
  EXPECT_EQ(SubsampledGaussianRdp(5, 0, 1), 0);
  EXPECT_EQ(SubsampledGaussianRdp(5, 1, 1), GaussianRdp(5, 1));
  EXPECT_NEAR(SubsampledGaussianRdp(5, 1 - 1e-12, 1), GaussianRdp(5, 1), 1e-9);
}

// The conversion that earlier papers used: min over alpha of RDP + ln(1/delta) / (alpha - 1)
// (Mironov 2017, proposition 3).
double ClassicEpsilon(const RdpCurve& curve, double count, double delta) {
  double least = kInfinity;
  for (int alpha = 2; alpha <= 64; ++alpha) {
    least = std::min(least, count * curve(alpha) - std::log(delta) / (alpha - 1));
  }
  return least;
}

// Abadi et al. 2016, "Deep Learning with Differential Privacy" (arXiv 1607.00133), section 3.2: q =
// 0.01, sigma = 4, delta = 1e-5, 10,000 steps: 1.26.
TEST(RdpAccountant, GivesThePublishedFigureOfTheMomentsAccountant) {
  const RdpCurve curve = Subsampled(0.01, 4);
  EXPECT_NEAR(ClassicEpsilon(curve, 10'000, 1e-5), 1.26, 0.005);
  EXPECT_LT(EpsilonOf(WholeOrders(), curve, 10'000, 1e-5), 1.26);
}

// TensorFlow Privacy, tutorials/README.md, MNIST (60,000 images in batches of 256, delta = 1e-5):
// noise multiplier 1.12 for 60 epochs, 2.92; 1.2 for 10 epochs, 1.20.
TEST(RdpAccountant, GivesThePublishedFiguresOfTensorFlowPrivacy) {
  constexpr double kSteps = 60'000.0 / 256;
  EXPECT_NEAR(ClassicEpsilon(Subsampled(256.0 / 60'000, 1.12), 60 * kSteps, 1e-5), 2.92, 0.005);
  EXPECT_NEAR(ClassicEpsilon(Subsampled(256.0 / 60'000, 1.2), 10 * kSteps, 1e-5), 1.20, 0.005);
}

// One Gaussian release exactly (Balle and Wang 2018, arXiv 1805.06530, theorem 8): delta(eps) =
// Phi(1/2z - eps z) - e^eps Phi(-1/2z - eps z). The accountant must never promise more.
TEST(RdpAccountant, NeverPromisesMoreThanTheGaussianKeeps) {
  const auto phi = [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; };
  for (const double z : {0.5, 1.0, 2.0, 5.0, 20.0}) {
    for (const double delta : {1e-3, 1e-5, 1e-9}) {
      const double eps = PlannedEpsilon(Gaussian(z), 1, delta);
      const double kept = phi(1 / (2 * z) - eps * z) - std::exp(eps) * phi(-1 / (2 * z) - eps * z);
      EXPECT_LE(kept, delta) << z;
      const double closer = eps * 0.8;
      EXPECT_GT(phi(1 / (2 * z) - closer * z) - std::exp(closer) * phi(-1 / (2 * z) - closer * z),
                delta)
          << "the bound is within a fifth, " << z;
    }
  }
}

TEST(RdpAccountant, GaussianRoundsAddUpLikeInverseVariances) {
  RdpAccountant mixed;
  mixed.Add(Gaussian(3), 5);
  mixed.Add(Gaussian(4));
  const double z = 1 / std::sqrt(5 / 9.0 + 1 / 16.0);
  EXPECT_NEAR(mixed.Epsilon(1e-6), PlannedEpsilon(Gaussian(z), 1, 1e-6), 1e-12);
}

TEST(RdpAccountant, KnowsItsEnds) {
  RdpAccountant accountant;
  EXPECT_EQ(accountant.Epsilon(0.9), 0);
  EXPECT_EQ(accountant.Epsilon(0), kInfinity);
  EXPECT_EQ(accountant.Epsilon(1), kInfinity);
  EXPECT_EQ(accountant.Epsilon(std::nan("")), kInfinity);
  accountant.Add([](double) { return std::nan(""); });
  EXPECT_EQ(accountant.Epsilon(1e-5), kInfinity);
  EXPECT_EQ(PlannedEpsilon(Gaussian(1), 0, 1e-5), 0);
}

// The divergence of order alpha between Skellam noise and itself moved by `shift`, summed up.
double SkellamDivergence(double alpha, double variance, int shift) {
  const auto log_p = [&](int k) { return std::log(std::cyl_bessel_i(std::abs(k), variance)); };
  double sum = 0;
  const int reach = 60 + static_cast<int>(14 * std::sqrt(variance));
  for (int k = -reach; k <= reach; ++k) {
    const double p = log_p(k), q = log_p(k - shift);
    if (std::isfinite(p) && std::isfinite(q)) {
      sum += std::exp(alpha * p + (1 - alpha) * q - variance);
    }
  }
  return std::log(sum) / (alpha - 1);
}

TEST(SkellamRdp, BoundsTheDivergenceItself) {
  for (const double variance : {2.0, 10.0, 50.0, 200.0}) {
    for (const int shift : {1, 2, 3}) {
      for (const double alpha : {1.5, 2.0, 2.25, 3.0, 5.0, 8.0}) {
        const double exact = SkellamDivergence(alpha, variance, shift);
        EXPECT_GE(SkellamRdp(alpha, variance, shift, shift), exact * (1 - 1e-9))
            << variance << " " << shift << " " << alpha;
      }
      const double exact = SkellamDivergence(3, 200, shift);
      EXPECT_LT(SkellamRdp(3, 200, shift, shift), exact * 1.05);
    }
  }
}

TEST(SubsampledGaussianRdp, BetweenWholeOrdersIsBetweenTheirValues) {
  for (double alpha = 2; alpha < 10; alpha += 0.25) {
    EXPECT_LE(SubsampledGaussianRdp(alpha, 0.1, 1), SubsampledGaussianRdp(alpha + 0.25, 0.1, 1));
  }
  EXPECT_NEAR(SubsampledGaussianRdp(1.5, 0.1, 1), SubsampledGaussianRdp(2, 0.1, 1), 1e-15);
}

TEST(SkellamRdp, IsThePrintedFormula) {
  // alpha = 4, mu = 10, D2 = 3, D1 = 5: 4*9/20 + min{(7*9 + 30) / 400, 15 / 20}
  EXPECT_DOUBLE_EQ(SkellamRdp(4, 10, 3, 5), 1.8 + 93.0 / 400);
  // mu = 0.1: the second one is smaller.
  EXPECT_DOUBLE_EQ(SkellamRdp(4, 0.1, 3, 5), 180 + 75);
}

TEST(SkellamRdp, BecomesTheGaussiansAsTheNoiseGrows) {
  const double l2 = 1e6, l1 = 1e9, z = 2;
  for (const double alpha : {2.0, 7.0, 40.0}) {
    EXPECT_NEAR(SkellamRdp(alpha, z * z * l2 * l2, l2, l1) / GaussianRdp(alpha, z), 1, 1e-2 / l2);
  }
}

TEST(DefaultRdpOrders, AscendFromAboveOne) {
  const auto orders = DefaultRdpOrders();
  EXPECT_GT(orders.front(), 1);
  EXPECT_TRUE(std::is_sorted(orders.begin(), orders.end(), std::less_equal<>()));
  EXPECT_EQ(orders.back(), 4096);
}

TEST(CentralEpsilon, IsThatOfTheGaussian) {
  const PrivacyConfig config{.kind = PrivacyKind::kCentral, .noise_multiplier = 8, .delta = 1e-5};
  EXPECT_NEAR(CentralEpsilon(config, 100), 6.122757864599009, 0.02);
  EXPECT_EQ(CentralEpsilon(config, 0), 0);
  EXPECT_LT(CentralEpsilon(config, 99), CentralEpsilon(config, 100));
}

TEST(UpdateNoiseMultiplier, LeavesRoomForTheCount) {
  PrivacyConfig config{.noise_multiplier = 1.5, .adaptive_clip = false, .clip_noise = 5};
  EXPECT_EQ(UpdateNoiseMultiplier(config), 1.5);
  config.adaptive_clip = true;
  const double update = UpdateNoiseMultiplier(config);
  EXPECT_GT(update, 1.5);
  // The update's sensitivity is 1 and the count's 1/2: inverse squares add up to those of z.
  EXPECT_NEAR(1 / (update * update) + 0.25 / (5 * 5), 1 / (1.5 * 1.5), 1e-15);
}

TEST(UpdateNoiseMultiplier, IsInfiniteWhereTheCountAloneCostsTooMuch) {
  PrivacyConfig config{.noise_multiplier = 1.5, .adaptive_clip = true, .clip_noise = 0.75};
  EXPECT_EQ(UpdateNoiseMultiplier(config), kInfinity);
  EXPECT_EQ(CentralEpsilon(config, 1), kInfinity);
  config.clip_noise = 0.7501;
  EXPECT_LT(CentralEpsilon(config, 1), kInfinity);
}

TEST(CentralNoiseDeviation, CoversWhatRoundingAddsToTheNorm) {
  const PrivacyConfig config{.noise_multiplier = 2};
  EXPECT_DOUBLE_EQ(CentralNoiseDeviation(config, 0.5, 1000, 10'000), 2 * (500 + 100));
}

TEST(NoiseVariancePerClient, AddsUpToTheMultiplierOverTheHonest) {
  EXPECT_DOUBLE_EQ(NoiseVariancePerClient(2, 0.5, 1000, 80) * 80, 1000.0 * 1000);
  EXPECT_EQ(NoiseVariancePerClient(2, 0.5, 1000, 0), kInfinity);
}

// The formulas of the headers, in Python with whole orders 2 to 4096.
TEST(DistributedEpsilon, AgreesWithItsFormula) {
  struct Pin {
    uint64_t dimension;
    double clip, scale, z;
    uint32_t honest, rounds;
    double delta, epsilon;
  };
  for (const Pin& pin : {Pin{1'000'000, 1, 65536, 1, 80, 10, 1e-5, 19.80283768032711},
                         {1'000'000, 1, 256, 4, 80, 1, 1e-5, 2.4562271913852336},
                         {10'000, 0.5, 1024, 8, 20, 50, 1e-6, 4.6072239842136185}}) {
    const PrivacyConfig config{.noise_multiplier = pin.z, .delta = pin.delta};
    const double variance = NoiseVariancePerClient(pin.z, pin.clip, pin.scale, pin.honest);
    const double epsilon = DistributedEpsilon(config, pin.dimension, pin.clip, pin.scale, variance,
                                              pin.honest, pin.rounds);
    EXPECT_LE(epsilon, pin.epsilon * (1 + 1e-12));
    EXPECT_GT(epsilon, pin.epsilon * 0.98);

    const double l2 = ConditionalRoundingBound(pin.clip * pin.scale, std::bit_ceil(pin.dimension));
    const double l1 =
        std::min(l2 * l2, l2 * std::sqrt(static_cast<double>(std::bit_ceil(pin.dimension))));
    std::vector<double> orders;
    for (int order = 2; order <= 64; ++order) orders.push_back(order);
    EXPECT_NEAR(
        EpsilonOf(
            orders, [&](double alpha) { return SkellamRdp(alpha, variance * pin.honest, l2, l1); },
            pin.rounds, pin.delta),
        pin.epsilon, 1e-12 * pin.epsilon);
  }
}

TEST(DistributedEpsilon, GrowsWithEveryHonestClientThatIsMissing) {
  const PrivacyConfig config{.noise_multiplier = 2};
  const double variance = NoiseVariancePerClient(2, 1, 65536, 50);
  double before = 0;
  for (uint32_t honest = 60; honest > 0; honest -= 5) {
    const double epsilon = DistributedEpsilon(config, 1000, 1, 65536, variance, honest, 20);
    EXPECT_GT(epsilon, before);
    before = epsilon;
  }
  EXPECT_EQ(DistributedEpsilon(config, 1000, 1, 65536, variance, 0, 20), kInfinity);
  EXPECT_EQ(DistributedEpsilon(config, 1000, 1, 65536, 0, 50, 20), kInfinity);
  // The variance that NoiseVariancePerClient gives where nobody is honest: no noise is drawn.
  EXPECT_EQ(DistributedEpsilon(config, 1000, 1, 65536, kInfinity, 50, 20), kInfinity);
  EXPECT_EQ(DistributedEpsilon(config, 1000, 1, 65536, variance, 50, 0), 0);
}

TEST(DistributedEpsilon, AtAFineScaleCostsWhatCentralNoiseCosts) {
  const PrivacyConfig config{.noise_multiplier = 3, .delta = 1e-6};
  const double scale = 0x1p24;
  const double variance = NoiseVariancePerClient(3, 1, scale, 40);
  EXPECT_NEAR(
      DistributedEpsilon(config, 1 << 20, 1, scale, variance, 40, 30) / CentralEpsilon(config, 30),
      1, 0.01);
}

}  // namespace
}  // namespace muster
