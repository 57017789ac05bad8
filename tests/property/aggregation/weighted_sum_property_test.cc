#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "aggregation/sum/weighted_sum.h"
#include "proto/core/random.h"

namespace muster {
namespace {

struct Update {
  std::vector<float> delta;
  uint64_t weight;
};

std::vector<Update> RandomUpdates(size_t size, size_t clients, RandomSource& random) {
  std::vector<Update> updates(clients);
  for (Update& update : updates) {
    update.weight = 1 + random.Below(5000);
    update.delta.resize(size);
    for (float& d : update.delta) {
      // From far below the fixed-point step to the largest that is allowed.
      const double magnitude =
          std::ldexp(random.Unit(), static_cast<int>(random.Below(50)) - 40 + 1);
      d = static_cast<float>(random.Below(2) == 0 ? magnitude : -magnitude);
    }
  }
  return updates;
}

void Shuffle(std::vector<Update>& updates, RandomSource& random) {
  for (size_t i = updates.size(); i > 1; --i) std::swap(updates[i - 1], updates[random.Below(i)]);
}

WeightedSum FlatSum(const std::vector<Update>& updates, size_t size) {
  WeightedSum sum(size);
  for (const Update& update : updates) EXPECT_TRUE(sum.Add(update.delta, update.weight).ok());
  return sum;
}

class WeightedSumProperty : public testing::TestWithParam<uint64_t> {
 protected:
  SeededRandom random_{GetParam()};
  size_t size_ = 1 + random_.Below(700);
  std::vector<Update> updates_ = RandomUpdates(size_, 1 + random_.Below(40), random_);
};

TEST_P(WeightedSumProperty, AnyOrderOfArrivalGivesTheSameBytes) {
  const std::string expected = FlatSum(updates_, size_).Serialize();
  for (int i = 0; i < 5; ++i) {
    Shuffle(updates_, random_);
    EXPECT_EQ(FlatSum(updates_, size_).Serialize(), expected);
  }
}

TEST_P(WeightedSumProperty, AnyCutIntoChunksGivesTheSameBytes) {
  const std::string expected = FlatSum(updates_, size_).Serialize();
  WeightedSum sum(size_);
  for (const Update& update : updates_) {
    ASSERT_TRUE(sum.CanAdd(update.weight).ok());
    std::vector<std::pair<size_t, size_t>> parts;  // offset, length
    for (size_t offset = 0; offset < size_;) {
      const size_t n = std::min<size_t>(1 + random_.Below(100), size_ - offset);
      parts.emplace_back(offset, n);
      offset += n;
    }
    for (size_t i = parts.size(); i > 1; --i) std::swap(parts[i - 1], parts[random_.Below(i)]);
    for (const auto& [offset, n] : parts) {
      sum.AddChunk(offset, std::span(update.delta).subspan(offset, n), update.weight);
    }
    sum.FinishClient(update.weight);
  }
  EXPECT_EQ(sum.Serialize(), expected);
}

TEST_P(WeightedSumProperty, AnyTreeOfPartialSumsGivesTheSameBytes) {
  const std::string expected = FlatSum(updates_, size_).Serialize();
  std::vector<WeightedSum> partials;
  for (const Update& update : updates_) {
    if (partials.empty() || random_.Below(3) == 0) partials.emplace_back(size_);
    ASSERT_TRUE(partials[random_.Below(partials.size())].Add(update.delta, update.weight).ok());
  }
  while (partials.size() > 1) {
    const size_t from = random_.Below(partials.size());
    // Partial sums travel as blobs.
    const WeightedSum taken = WeightedSum::Parse(partials[from].Serialize()).value();
    partials.erase(partials.begin() + static_cast<std::ptrdiff_t>(from));
    ASSERT_TRUE(partials[random_.Below(partials.size())].MergeFrom(taken).ok());
  }
  EXPECT_EQ(partials[0].Serialize(), expected);
}

TEST_P(WeightedSumProperty, ARefusedUpdateAmongOthersChangesNothing) {
  const std::string expected = FlatSum(updates_, size_).Serialize();
  WeightedSum sum(size_);
  for (const Update& update : updates_) {
    std::vector<float> poisoned = update.delta;
    poisoned[random_.Below(size_)] = random_.Below(2) == 0 ? NAN : INFINITY;
    EXPECT_FALSE(sum.Add(poisoned, update.weight).ok());
    ASSERT_TRUE(sum.Add(update.delta, update.weight).ok());
  }
  EXPECT_EQ(sum.Serialize(), expected);
}

TEST_P(WeightedSumProperty, MeanIsNearTheMeanInLongDouble) {
  std::vector<float> mean(size_);
  ASSERT_TRUE(FlatSum(updates_, size_).Mean(mean).ok());
  long double total = 0;
  for (const Update& update : updates_) total += update.weight;
  for (size_t i = 0; i < size_; ++i) {
    long double exact = 0;
    for (const Update& update : updates_) exact += (long double)update.delta[i] * update.weight;
    exact /= total;
    const double step = 0x1p-25 * static_cast<double>(updates_.size()) / static_cast<double>(total);
    EXPECT_NEAR(mean[i], static_cast<double>(exact),
                step + std::abs(static_cast<double>(exact)) * 0x1p-24 + 1e-45);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, WeightedSumProperty, testing::Range<uint64_t>(1, 31),
                         [](const auto& info) { return "seed" + std::to_string(info.param); });

}  // namespace
}  // namespace muster
