#include "proto/core/random.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <limits>
#include <set>
#include <vector>

namespace muster {
namespace {

// Gives the numbers that it was made with, little-endian.
class ListedRandom final : public RandomSource {
 public:
  explicit ListedRandom(std::deque<uint64_t> values) : values_(std::move(values)) {}
  void Fill(std::span<uint8_t> bytes) override {
    const uint64_t value = values_.at(0);
    values_.pop_front();
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
  }
  size_t left() const { return values_.size(); }

 private:
  std::deque<uint64_t> values_;
};

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

TEST(SeededRandom, IsSplitMix64) {
  // The reference implementation's first numbers for seed 1234567.
  SeededRandom random(1234567);
  EXPECT_EQ(random.Next64(), 6457827717110365317u);
  EXPECT_EQ(random.Next64(), 3203168211198807973u);
  EXPECT_EQ(random.Next64(), 9817491932198370423u);
  EXPECT_EQ(random.Next64(), 4593380528125082431u);
  EXPECT_EQ(random.Next64(), 16408922859458223821u);
}

TEST(Below, RejectsExactlyTheDrawsThatWouldBias) {
  // 2^64 mod 10 is 6, so the lowest 6 draws are drawn again.
  ListedRandom random({0, 5, 6, kMax});
  EXPECT_EQ(random.Below(10), 6u);
  EXPECT_EQ(random.left(), 1u);
  EXPECT_EQ(random.Below(10), kMax % 10);
}

TEST(Below, NeverRejectsForPowersOfTwo) {
  ListedRandom random({0, 0, kMax, kMax});
  EXPECT_EQ(random.Below(1), 0u);
  EXPECT_EQ(random.Below(1ull << 63), 0u);
  EXPECT_EQ(random.Below(1ull << 63), (1ull << 63) - 1);
  EXPECT_EQ(random.Below(8), 7u);
}

TEST(Below, StaysWithinLargeBounds) {
  // 2^64 mod kMax is 1: only the draw 0 is rejected.
  ListedRandom random({0, kMax});
  EXPECT_EQ(random.Below(kMax), 0u);
  EXPECT_EQ(random.left(), 0u);
}

TEST(Below, IsUniform) {
  SeededRandom random(7);
  constexpr int kDraws = 60'000;
  std::array<int, 6> counts{};
  for (int i = 0; i < kDraws; ++i) ++counts.at(random.Below(6));
  double chi_squared = 0;
  for (int count : counts) chi_squared += (count - 10'000.0) * (count - 10'000.0) / 10'000.0;
  EXPECT_LT(chi_squared, 20.5);  // 5 degrees of freedom, p = 0.001
}

TEST(BelowDeathTest, ABoundOfZeroStopsTheProcess) {
  SeededRandom random(1);
  EXPECT_DEATH(random.Below(0), "");
}

TEST(Unit, CoversZeroToOneWithoutOne) {
  ListedRandom random({0, kMax, 1ull << 63});
  EXPECT_EQ(random.Unit(), 0.0);
  EXPECT_EQ(random.Unit(), 1.0 - 0x1p-53);
  EXPECT_EQ(random.Unit(), 0.5);
}

TEST(Hex, HasTwoDigitsPerByte) {
  SystemRandom random;
  EXPECT_EQ(random.Hex(16).size(), 32u);
  EXPECT_EQ(random.Hex(16).find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(random.Hex(0), "");
}

TEST(SystemRandom, DoesNotRepeat) {
  SystemRandom random;
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.Hex(16));
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(DeriveSeed, IsRepeatableAndSeparatesSeedsAndLabels) {
  EXPECT_EQ(DeriveSeed(1, "selection"), DeriveSeed(1, "selection"));
  EXPECT_NE(DeriveSeed(1, "selection"), DeriveSeed(2, "selection"));
  EXPECT_NE(DeriveSeed(1, "selection"), DeriveSeed(1, "initial"));
  // sha256(01 00 00 00 00 00 00 00 'a') begins with these bytes.
  EXPECT_EQ(DeriveSeed(1, "a"), 17750275526127346094u);
}

}  // namespace
}  // namespace muster
