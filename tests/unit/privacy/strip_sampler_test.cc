#include "aggregation/privacy/exact/strip_sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/privacy/statistics.h"

namespace muster::exact {
namespace {

using MakeShape = std::function<std::unique_ptr<const Shape>()>;

struct Case {
  std::string name;
  MakeShape make;
};

MakeShape Poisson(double rate) {
  return [=] { return std::make_unique<PoissonShape>(rate); };
}
MakeShape Gaussian(double sigma) {
  return [=] { return std::make_unique<GaussianShape>(sigma); };
}

// The discrete Laplace distribution, P(x) proportional to e^(-|x| / kLaplaceScale), under strips
// that are too narrow for it: 0.4 % lie in the tails, where blocks fall by half as the envelope
// does.
constexpr int64_t kLaplaceScale = 728;
class LaplaceShape final : public Shape {
 public:
  Bounds Density(int64_t x, unsigned bits) const override {
    const unsigned inner = bits + 8;
    const Integer distance(x < 0 ? -x : x);
    return Coarsened(ExpOfMinus(Ratio(distance, kLaplaceScale, inner), inner), inner, bits);
  }
  double spread() const override { return 400; }
};

class EveryShape : public testing::TestWithParam<Case> {
 protected:
  EveryShape() : shape_(GetParam().make()), sampler_(GetParam().make()) {}

  // D(x) * scale in units of 2^-kBits.
  static constexpr unsigned kBits = 128;
  Bounds Exact(int64_t x) const {
    return ScaledBy(shape_->Density(x, kBits), Integer::FromUnsigned(sampler_.scale()));
  }

  std::unique_ptr<const Shape> shape_;
  StripSampler sampler_;
  SeededRandom random_{7};
};

TEST_P(EveryShape, IsBelowItsEnvelopeInEveryStrip) {
  for (uint32_t strip = 0; strip < StripSampler::kStrips; ++strip) {
    for (const uint64_t offset : {uint64_t{0}, random_.Below(sampler_.width())}) {
      EXPECT_LE(Exact(sampler_.Place(strip, offset)).lo,
                Integer::FromUnsigned(sampler_.Height(strip)) << kBits)
          << strip;
    }
  }
}

TEST_P(EveryShape, GlanceDecidesOnlyAsTheExactDensityDoes) {
  int undecided = 0, points = 0;
  for (uint32_t strip = 0; strip < StripSampler::kStrips; ++strip) {
    if (sampler_.Height(strip) == 0) continue;
    const uint64_t top = sampler_.Height(strip);
    for (int i = 0; i < 3; ++i) {
      const uint64_t offset = random_.Below(sampler_.width());
      const Bounds exact = Exact(sampler_.Place(strip, offset));
      // Anywhere, and as close to the density as can be.
      const uint64_t floor = FloorShift(exact.lo, kBits).ToUnsigned();
      const uint64_t near = top / 20000 + 1;
      for (const uint64_t height : {random_.Below(top), floor, floor + 1, floor - 1, floor + near,
                                    floor - std::min(floor, near)}) {
        if (height >= top) continue;
        const auto seen = sampler_.Glance(strip, offset, height);
        ++points;
        if (!seen) {
          ++undecided;
        } else if (*seen) {
          EXPECT_LE((Integer::FromUnsigned(height) + Integer(1)) << kBits, exact.lo) << strip;
        } else {
          EXPECT_GE(Integer::FromUnsigned(height) << kBits, exact.hi) << strip;
        }
      }
    }
  }
  EXPECT_LT(undecided, points);
}

TEST_P(EveryShape, AlmostEveryCandidateIsDecidedAtAGlance) {
  constexpr int kPoints = 100'000;
  int undecided = 0, accepted = 0, points = 0;
  while (points < kPoints) {
    // Candidates as the sampler sees them: uniform under the envelope of the nearest strips.
    const auto strip = static_cast<uint32_t>(random_.Below(400));
    const uint64_t height = random_.Below(sampler_.Height(0) + 1);
    if (height >= sampler_.Height(strip)) continue;
    ++points;
    const auto seen = sampler_.Glance(strip, random_.Below(sampler_.width()), height);
    undecided += seen ? 0 : 1;
    accepted += seen && *seen ? 1 : 0;
  }
  EXPECT_LT(undecided, kPoints / 400);
  EXPECT_GT(accepted, kPoints * 9 / 10);
}

TEST_P(EveryShape, SettleAcceptsWithTheProbabilityThatIsLeftOver) {
  constexpr int kTrials = 500;
  const int64_t x = sampler_.Place(40, 0);
  const Bounds exact = Exact(x);
  const Integer floor = FloorShift(exact.lo, kBits);
  const StripSampler::Candidate candidate{.x = x, .height = floor.ToUnsigned()};
  const double part = std::ldexp(
      static_cast<double>(FloorShift(exact.lo - (floor << kBits), kBits - 60).ToUnsigned()), -60);
  int accepted = 0;
  for (int i = 0; i < kTrials; ++i) accepted += sampler_.Settle(candidate, random_) ? 1 : 0;
  EXPECT_NEAR(accepted / double{kTrials}, part, 5 * std::sqrt(part * (1 - part) / kTrials) + 1e-9);
}

TEST_P(EveryShape, SettleMakesUpForTheTailsHalvedEnvelope) {
  // The same point, seen under an envelope that is a quarter as high: four times as likely to be
  // accepted at each of its heights.
  const int64_t x = sampler_.Place(20, 0);
  const Bounds exact = Exact(x);
  const uint64_t whole = FloorShift(ScaledBy(exact, Integer(4)).lo, kBits).ToUnsigned();
  EXPECT_TRUE(sampler_.Settle({.x = x, .height = whole - 1, .halvings = 2}, random_));
  EXPECT_FALSE(sampler_.Settle({.x = x, .height = whole + 1, .halvings = 2}, random_));
}

TEST(StripSampler, SamplesTheTailsExactly) {
  constexpr size_t kSamples = 500'000;
  constexpr int64_t kBin = 128;  // a quarter of a block
  const StripSampler sampler(std::make_unique<LaplaceShape>());
  const int64_t last_strip = sampler.Place(StripSampler::kStrips - 2, sampler.width() - 1);
  ASSERT_EQ(last_strip, 4079);
  SeededRandom random(8);
  std::vector<int64_t> bins(kSamples);
  int64_t in_tails = 0;
  for (int64_t& bin : bins) {
    const int64_t x = sampler.Sample(random);
    in_tails += std::abs(x) > last_strip ? 1 : 0;
    bin = (x < 0 ? x - (kBin - 1) : x) / kBin;  // floor
  }
  const double q = std::exp(-1.0 / kLaplaceScale);
  EXPECT_NEAR(static_cast<double>(in_tails) / kSamples, 2 * std::pow(q, 4080) / (1 + q), 4e-4);
  statistics::ExpectDistribution(bins, -60, 60, [&](int64_t bin) {
    const auto nearest = static_cast<double>((bin < 0 ? -bin - 1 : bin) * kBin);
    const double side = bin < 0 ? q : 1;  // the left side starts at -1
    return side * std::pow(q, nearest) * (1 - std::pow(q, kBin)) / (1 + q);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, EveryShape,
    testing::Values(Case{"Poisson2600", Poisson(2600)}, Case{"Poisson3333", Poisson(3333.25)},
                    Case{"Poisson1e6", Poisson(1e6 + 0.5)}, Case{"Poisson5e9", Poisson(5e9)},
                    Case{"Poisson1e30", Poisson(1e30)}, Case{"Gaussian40", Gaussian(40.7)},
                    Case{"Gaussian60", Gaussian(60)}, Case{"Gaussian1e5", Gaussian(1e5)},
                    Case{"Gaussian1e17", Gaussian(1e17)},
                    Case{"Laplace", [] { return std::make_unique<LaplaceShape>(); }}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace muster::exact
