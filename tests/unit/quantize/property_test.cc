// What must hold for any network that the vocabulary can express.
#include <gtest/gtest.h>

#include "tests/unit/quantize/networks.h"

namespace muster {
namespace {

using namespace testing_support;

TEST(QuantizeProperty, AnyNetworkThatQuantizesRunsCloseToItsFloatReference) {
  constexpr size_t kExamples = 16;
  double worst = 1000;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const Network network = RandomNetwork(seed);
    ASSERT_TRUE(IsQuantizable(network.architecture)) << "seed=" << seed;
    const auto examples = MakeExamples(network.architecture, kExamples, seed);
    const auto expected = RunReference(network, examples, kExamples);
    const auto got = RunQuantized(network, examples, kExamples);
    ASSERT_EQ(got.size(), expected.size()) << "seed=" << seed;
    const double decibels = SignalToNoise(expected, got);
    worst = std::min(worst, decibels);
    // Eight lossy layers in a row with weights that nobody trained.
    EXPECT_GE(decibels, 30) << "seed=" << seed;
  }
  std::printf("worst signal to noise %.1f dB\n", worst);
}

}  // namespace
}  // namespace muster
