// Every kernel gives the portable kernel's bytes.
#include "aggregation/secagg/mask_kernels.h"

#include <gtest/gtest.h>

#include "tests/unit/secagg_masks/masks.h"

namespace muster::secagg {
namespace {

class MaskKernels : public testing::TestWithParam<uint64_t> {};

TEST_P(MaskKernels, AgreeAtAnyOffsetAndLength) {
  SeededRandom random(GetParam());
  const uint32_t bits = kAllBits[random.Below(3)];
  const uint64_t element = bits / 8;
  const MaskCipher cipher = kAllCiphers[random.Below(2)];
  const size_t count = 1 + random.Below(70);
  const uint64_t offset = element * random.Below(20'000);
  const size_t size = element * random.Below(random.Below(4) == 0 ? 30'000 : 600);
  // One byte off any boundary in memory as well.
  const std::vector<uint8_t> clear = RandomBytes(size + 1, random);
  const auto apply = [&](MaskKernel kernel) {
    std::vector<uint8_t> vector = clear;
    MaskSet(cipher, bits, RandomMasks(count, GetParam()), kernel)
        .Apply(offset, std::span(vector).subspan(1));
    return vector;
  };
  const std::vector<uint8_t> expected = apply(MaskKernel::kPortable);
  for (const MaskKernel kernel : KernelsHere()) {
    EXPECT_EQ(apply(kernel), expected) << KernelName(kernel) << ", " << bits << " bits, " << count
                                       << " masks, offset " << offset << ", size " << size;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, MaskKernels, testing::Range<uint64_t>(1, 201));

TEST(MaskKernels, AgreeWhereTheCounterOutgrows32Bits) {
  for (const MaskCipher cipher : {MaskCipher::kAes128Ctr, MaskCipher::kAes256Ctr}) {
    const uint64_t offset = (1ull << 36) - 40 * 16 + 8;
    const std::string expected =
        MaskBytes(MaskSet(cipher, 64, RandomMasks(2, 1), MaskKernel::kPortable), offset, 2048);
    for (const MaskKernel kernel : KernelsHere()) {
      EXPECT_EQ(MaskBytes(MaskSet(cipher, 64, RandomMasks(2, 1), kernel), offset, 2048), expected);
    }
  }
}

// Processors with AVX-512 use the wider of the two VAES kernels; the other is held against the
// portable one here.
TEST(MaskKernels, TheNarrowVaesKernelAgrees) {
  if (!HasKernel(MaskKernel::kVaes)) GTEST_SKIP() << "no VAES here";
  const FusedKernel kernel = Vaes256Kernel();
  ASSERT_NE(kernel, nullptr);
  constexpr size_t kGroups = 2 * kTileGroups + 3;
  constexpr uint64_t kFirst = 7;
  for (const uint32_t bits : kAllBits) {
    for (const MaskCipher cipher : {MaskCipher::kAes128Ctr, MaskCipher::kAes256Ctr}) {
      const int rounds = cipher == MaskCipher::kAes128Ctr ? kAes128Rounds : kAes256Rounds;
      const std::vector<SignedMask> masks = RandomMasks(5, bits);
      std::vector<AesSchedule> schedules(masks.size());
      for (size_t i = 0; i < masks.size(); ++i) {
        ExpandAesKey(masks[i].key.span().data(), rounds, schedules[i]);
        schedules[i].subtract = masks[i].subtract;
      }
      SeededRandom random(bits);
      std::vector<uint8_t> vector = RandomBytes(kGroups * kGroupBytes, random);
      std::vector<uint8_t> expected = vector;
      kernel(schedules.data(), schedules.size(), rounds, bits, kFirst, vector.data(), kGroups);
      MaskSet(cipher, bits, RandomMasks(5, bits), MaskKernel::kPortable)
          .Apply(kFirst * kGroupBytes, expected);
      EXPECT_EQ(vector, expected);
    }
  }
}

TEST(MaskKernels, ThePortableOneIsEverywhereAndTheBestOneIsHere) {
  EXPECT_TRUE(HasKernel(MaskKernel::kPortable));
  EXPECT_TRUE(HasKernel(BestKernel()));
  EXPECT_EQ(KernelsHere().back(), BestKernel());
}

}  // namespace
}  // namespace muster::secagg
