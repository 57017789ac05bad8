#include "aggregation/secagg/shamir.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proto/core/random.h"
#include "tests/unit/secagg/bytes.h"

namespace muster::secagg {
namespace {

using Shares = std::vector<SecretBytes<kShareBytes>>;
using Secret = SecretBytes<kSecretBytes>;

// 254 holders are the most of GF(2^8); 255 are the fewest of GF(2^16).
constexpr uint32_t kWide = kMaxHoldersGf8 + 1;

Secret RandomSecret(RandomSource& random) {
  Secret secret;
  random.Fill(secret.writable());
  return secret;
}

Secret Recovered(uint32_t holders, const Shares& shares, const std::vector<uint32_t>& responders) {
  const auto recovery = Recovery::For(holders, responders);
  if (!recovery.ok()) std::abort();
  std::vector<std::span<const uint8_t, kShareBytes>> views;
  for (const uint32_t holder : responders) views.push_back(shares[holder].span());
  return recovery->Combine(views);
}

std::vector<uint32_t> AnyOf(uint32_t holders, uint32_t count, RandomSource& random) {
  std::vector<uint32_t> all(holders);
  std::iota(all.begin(), all.end(), 0u);
  for (uint32_t i = 0; i < count; ++i) std::swap(all[i], all[i + random.Below(holders - i)]);
  all.resize(count);
  return all;
}

TEST(Shamir, EverySubsetOfAtLeastTheThresholdRecoversAndNoSmallerOneDoes) {
  SeededRandom random(1);
  for (uint32_t holders = 1; holders <= 8; ++holders) {
    for (uint32_t threshold = 1; threshold <= holders; ++threshold) {
      const Secret secret = RandomSecret(random);
      const Shares shares = SplitSecret(secret.span(), holders, threshold, random);
      ASSERT_EQ(shares.size(), holders);
      for (uint32_t subset = 1; subset < 1u << holders; ++subset) {
        std::vector<uint32_t> responders;
        for (uint32_t i = 0; i < holders; ++i) {
          if ((subset >> i & 1) != 0) responders.push_back(i);
        }
        const bool right = Recovered(holders, shares, responders).ConstantTimeEquals(secret);
        ASSERT_EQ(right, responders.size() >= threshold) << holders << " " << subset;
      }
    }
  }
}

TEST(Shamir, AnyThresholdOfManyHoldersRecoversInAnyOrderInBothFields) {
  SeededRandom random(2);
  for (const uint32_t holders : {100u, kMaxHoldersGf8, kWide, 1000u}) {
    for (const uint32_t threshold : {2u, holders / 2 + 1, holders}) {
      const Secret secret = RandomSecret(random);
      const Shares shares = SplitSecret(secret.span(), holders, threshold, random);
      for (int draw = 0; draw < 5; ++draw) {
        const std::vector<uint32_t> enough = AnyOf(holders, threshold, random);
        EXPECT_TRUE(Recovered(holders, shares, enough).ConstantTimeEquals(secret));
        const std::vector<uint32_t> few(enough.begin(), enough.end() - 1);
        EXPECT_FALSE(Recovered(holders, shares, few).ConstantTimeEquals(secret));
      }
    }
  }
}

TEST(Shamir, TheMostHoldersOfAllRecover) {
  SeededRandom random(3);
  const Secret secret = RandomSecret(random);
  const Shares shares = SplitSecret(secret.span(), kMaxHolders, 3, random);
  EXPECT_TRUE(
      Recovered(kMaxHolders, shares, {kMaxHolders - 1, 0, 40'000}).ConstantTimeEquals(secret));
}

// If two holders had the same x they would always hold the same share; if one had x = 0 it would
// hold the secret.
TEST(Shamir, NobodysXRepeatsAndNobodyHoldsTheSecret) {
  SeededRandom random(4);
  for (const uint32_t holders : {kMaxHoldersGf8, kWide, kMaxHolders}) {
    const Secret secret = RandomSecret(random);
    const Shares shares = SplitSecret(secret.span(), holders, 2, random);
    std::set<std::string> distinct = {Hex(secret.span())};
    for (const auto& share : shares) distinct.insert(Hex(share.span()));
    EXPECT_EQ(distinct.size(), size_t{holders} + 1);
  }
}

TEST(Shamir, TheFieldFollowsFromTheNumberOfHoldersAlone) {
  // The secret 0 and the coefficient 0x80, or 0x8080: the second holder, at 2, holds its double.
  const Secret secret;
  class Two final : public RandomSource {
   public:
    void Fill(std::span<uint8_t> bytes) override { std::ranges::fill(bytes, uint8_t{0x80}); }
  } two;
  const Shares narrow = SplitSecret(secret.span(), kMaxHoldersGf8, 2, two);
  EXPECT_EQ(Hex(narrow[1].span().first<4>()), "1b1b1b1b");  // 2 * 0x80 = 0x11B less its top bit
  const Shares wide = SplitSecret(secret.span(), kWide, 2, two);
  // 2 * 0x8080 = 0x10100; less the modulus 0x1100B this is 0x110B: little endian 0b 11.
  EXPECT_EQ(Hex(wide[1].span().first<4>()), "0b110b11");
}

TEST(Shamir, AFlippedBitOfAnyShareGivesAnotherSecret) {
  SeededRandom random(6);
  for (const uint32_t holders : {5u, kWide}) {
    const Secret secret = RandomSecret(random);
    Shares shares = SplitSecret(secret.span(), holders, 3, random);
    for (uint32_t holder = 0; holder < 3; ++holder) {
      for (size_t bit = 0; bit < 8 * kShareBytes; ++bit) {
        uint8_t& byte = shares[holder].writable()[bit / 8];
        byte ^= static_cast<uint8_t>(1 << bit % 8);
        EXPECT_FALSE(Recovered(holders, shares, {0, 1, 2}).ConstantTimeEquals(secret));
        byte ^= static_cast<uint8_t>(1 << bit % 8);
      }
    }
  }
}

TEST(Shamir, AShareUnderAnotherHoldersNameGivesAnotherSecret) {
  SeededRandom random(7);
  const Secret secret = RandomSecret(random);
  const Shares shares = SplitSecret(secret.span(), 5, 2, random);
  const auto recovery = Recovery::For(5, {0, 1});
  ASSERT_TRUE(recovery.ok());
  EXPECT_FALSE(recovery->Combine(std::vector{shares[1].span(), shares[0].span()})
                   .ConstantTimeEquals(secret));
  EXPECT_FALSE(recovery->Combine(std::vector{shares[0].span(), shares[2].span()})
                   .ConstantTimeEquals(secret));
}

TEST(Shamir, OneRecoveryServesManySecrets) {
  SeededRandom random(8);
  const std::vector<uint32_t> responders = AnyOf(40, 21, random);
  const auto recovery = Recovery::For(40, responders);
  ASSERT_TRUE(recovery.ok());
  EXPECT_EQ(recovery->responders(), responders);
  for (int i = 0; i < 20; ++i) {
    const Secret secret = RandomSecret(random);
    const Shares shares = SplitSecret(secret.span(), 40, 21, random);
    std::vector<std::span<const uint8_t, kShareBytes>> views;
    for (const uint32_t holder : responders) views.push_back(shares[holder].span());
    EXPECT_TRUE(recovery->Combine(views).ConstantTimeEquals(secret));
  }
}

TEST(Recovery, NobodyAStrangerOrTheSameHolderTwiceIsRefused) {
  for (const uint32_t holders : {5u, kWide}) {
    EXPECT_FALSE(Recovery::For(holders, {}).ok());
    EXPECT_FALSE(Recovery::For(holders, {0, holders}).ok());
    EXPECT_FALSE(Recovery::For(holders, {1, 2, 1}).ok());
    EXPECT_FALSE(Recovery::For(holders, {0xFFFFFFFF}).ok());
    EXPECT_TRUE(Recovery::For(holders, {holders - 1, 0}).ok());
  }
  EXPECT_EQ(Recovery::For(0, {0}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Recovery::For(kMaxHolders + 1, {0}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// Coefficients as the test wants them: what SplitSecret takes for chance, in order of degree.
class Scripted final : public RandomSource {
 public:
  explicit Scripted(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}
  void Fill(std::span<uint8_t> bytes) override {
    if (at_ + bytes.size() > bytes_.size()) std::abort();
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), bytes.size(), bytes.begin());
    at_ += bytes.size();
  }

 private:
  std::vector<uint8_t> bytes_;
  size_t at_ = 0;
};

// All 256 x 256 pairs of secret and coefficient: each value of one share comes with each secret
// exactly once, so that the share leaves all secrets equally likely.
TEST(Secrecy, OneShareOfTwoSaysNothingAboutAByte) {
  constexpr uint32_t kHolders = 4;
  std::vector<uint8_t> coefficient(kShareBytes);
  std::vector<std::vector<int>> times(kHolders, std::vector<int>(256 * 256, 0));
  for (uint32_t secret = 0; secret < 256; ++secret) {
    for (uint32_t first = 0; first < 256; first += kShareBytes) {  // a coefficient in each byte
      std::iota(coefficient.begin(), coefficient.end(), static_cast<uint8_t>(first));
      Scripted random(coefficient);
      const Shares shares =
          SplitSecret(Repeated(static_cast<uint8_t>(secret)).span(), kHolders, 2, random);
      for (uint32_t holder = 0; holder < kHolders; ++holder) {
        for (const uint8_t share : shares[holder].span()) {
          ++times[holder][256 * secret + share];
        }
      }
    }
  }
  for (const std::vector<int>& of_holder : times) {
    EXPECT_TRUE(std::ranges::all_of(of_holder, [](int n) { return n == 1; }));
  }
}

// All 65536 pairs of coefficients, for some secrets: every pair of values of two shares comes
// exactly once, whatever the secret.
TEST(Secrecy, TwoSharesOfThreeSayNothingAboutAByte) {
  for (const uint8_t secret : {0, 1, 0x53, 0xFF}) {
    std::vector<int> times(256 * 256, 0);
    std::vector<uint8_t> coefficients(2 * kShareBytes);
    for (uint32_t pair = 0; pair < 256 * 256; pair += kShareBytes) {
      for (uint32_t lane = 0; lane < kShareBytes; ++lane) {
        coefficients[lane] = static_cast<uint8_t>(pair + lane);
        coefficients[kShareBytes + lane] = static_cast<uint8_t>((pair + lane) >> 8);
      }
      Scripted random(coefficients);
      const Shares shares = SplitSecret(Repeated(secret).span(), 5, 3, random);
      for (uint32_t lane = 0; lane < kShareBytes; ++lane) {
        ++times[256u * shares[1].span()[lane] + shares[4].span()[lane]];
      }
    }
    EXPECT_TRUE(std::ranges::all_of(times, [](int n) { return n == 1; })) << int{secret};
  }
}

// The same for words: all 65536 coefficients, for some secrets and holders.
TEST(Secrecy, OneShareOfTwoSaysNothingAboutAWord) {
  constexpr uint32_t kWords = kShareBytes / 2;
  const std::vector<uint32_t> holders = {0, 1, 100, kWide - 1};
  for (const uint8_t secret : {0, 1, 0xA7}) {
    std::vector<std::vector<int>> times(holders.size(), std::vector<int>(65536, 0));
    std::vector<uint8_t> coefficient(kShareBytes);
    for (uint32_t first = 0; first < 65536; first += kWords) {  // a coefficient in each word
      for (uint32_t word = 0; word < kWords; ++word) {
        coefficient[2 * word] = static_cast<uint8_t>(first + word);
        coefficient[2 * word + 1] = static_cast<uint8_t>((first + word) >> 8);
      }
      Scripted random(coefficient);
      const Shares shares = SplitSecret(Repeated(secret).span(), kWide, 2, random);
      for (size_t i = 0; i < holders.size(); ++i) {
        const auto share = shares[holders[i]].span();
        for (uint32_t word = 0; word < kWords; ++word) {
          ++times[i][static_cast<size_t>(share[2 * word] | share[2 * word + 1] << 8)];
        }
      }
    }
    for (const std::vector<int>& of_holder : times) {
      EXPECT_TRUE(std::ranges::all_of(of_holder, [](int n) { return n == 1; })) << int{secret};
    }
  }
}

}  // namespace
}  // namespace muster::secagg
