#include "aggregation/privacy/discrete_gaussian.h"

#include <cstdlib>
#include <memory>

#include "aggregation/privacy/buffered_random.h"

namespace muster {
namespace {

std::unique_ptr<const exact::Shape> GaussianOf(double sigma) {
  if (!(sigma > 0) || !IsNoiseVariance(sigma * sigma)) std::abort();
  return std::make_unique<exact::GaussianShape>(sigma);
}

}  // namespace

DiscreteGaussianSampler::DiscreteGaussianSampler(double sigma) : strips_(GaussianOf(sigma)) {}

void DiscreteGaussianSampler::AddTo(std::span<int64_t> values, RandomSource& random) const {
  BufferedRandom buffered(random);
  for (int64_t& value : values) value += Sample(buffered);
}

}  // namespace muster
