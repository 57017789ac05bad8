#include "aggregation/privacy/skellam.h"

#include <cmath>
#include <cstdlib>
#include <memory>

#include "aggregation/privacy/buffered_random.h"

namespace muster {
namespace {

double PoissonRate(double variance) {
  if (!IsNoiseVariance(variance)) std::abort();
  return variance / 2;  // exact
}

}  // namespace

bool IsNoiseVariance(double variance) {
  return variance >= kMinNoiseVariance && variance <= kMaxNoiseVariance;
}

SkellamSampler::SkellamSampler(double variance)
    : poisson_(std::make_unique<exact::PoissonShape>(PoissonRate(variance))) {}

void SkellamSampler::AddTo(std::span<int64_t> values, RandomSource& random) const {
  BufferedRandom buffered(random);
  for (int64_t& value : values) value += Sample(buffered);
}

}  // namespace muster
