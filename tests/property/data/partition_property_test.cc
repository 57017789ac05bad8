// What holds for every deal, over many seeds and sizes.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "models/data/partition.h"
#include "proto/core/random.h"

namespace muster {
namespace {

constexpr uint64_t kSeeds = 60;

void ExpectDeal(const absl::StatusOr<std::vector<Rows>>& deal, uint64_t n, uint32_t parts) {
  ASSERT_TRUE(deal.ok()) << deal.status();
  ASSERT_EQ(deal->size(), parts);
  std::vector<bool> seen(n, false);
  uint64_t total = 0;
  for (const Rows& rows : *deal) {
    ASSERT_FALSE(rows.empty());
    ASSERT_TRUE(std::is_sorted(rows.begin(), rows.end()));
    total += rows.size();
    for (uint64_t row : rows) {
      ASSERT_LT(row, n);
      ASSERT_FALSE(seen[row]) << "row " << row << " was dealt twice";
      seen[row] = true;
    }
  }
  ASSERT_EQ(total, n);
}

void ExpectEqualSizes(const std::vector<Rows>& deal, uint64_t tolerance) {
  const auto [small, large] = std::minmax_element(
      deal.begin(), deal.end(), [](const Rows& a, const Rows& b) { return a.size() < b.size(); });
  EXPECT_LE(large->size() - small->size(), tolerance);
}

struct Case {
  uint64_t n;
  uint32_t parts;
  std::vector<int64_t> labels;
};

// Uneven classes, with gaps between the labels, down to one row a part.
Case MakeCase(uint64_t seed) {
  SeededRandom random(seed);
  Case c;
  c.parts = static_cast<uint32_t>(1 + random.Below(12));
  c.n = c.parts + random.Below(seed % 3 == 0 ? 3 : 500);
  const uint64_t classes = 1 + random.Below(12);
  for (uint64_t i = 0; i < c.n; ++i) {
    c.labels.push_back(static_cast<int64_t>(3 * random.Below(1 + random.Below(classes))));
  }
  return c;
}

TEST(PartitionProperty, IidDealsAreDisjointCoverAndEqual) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed=" << seed);
    const Case c = MakeCase(seed);
    const auto deal = PartitionIid(c.n, c.parts, seed);
    ASSERT_NO_FATAL_FAILURE(ExpectDeal(deal, c.n, c.parts));
    ExpectEqualSizes(*deal, 1);
    EXPECT_EQ(*deal, *PartitionIid(c.n, c.parts, seed));
  }
}

TEST(PartitionProperty, DirichletDealsAreDisjointCoverAndEqualForEveryAlpha) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Case c = MakeCase(seed);
    for (double alpha : {1e-6, 0.01, 0.3, 1.0, 1e5}) {
      SCOPED_TRACE(testing::Message() << "seed=" << seed << " alpha=" << alpha);
      const auto deal = PartitionDirichlet(c.labels, c.parts, alpha, seed);
      ASSERT_NO_FATAL_FAILURE(ExpectDeal(deal, c.n, c.parts));
      ExpectEqualSizes(*deal, 1);
      EXPECT_EQ(*deal, *PartitionDirichlet(c.labels, c.parts, alpha, seed));
    }
  }
}

TEST(PartitionProperty, LabelShardDealsAreDisjointCoverAndHoldFewLabels) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed=" << seed);
    const Case c = MakeCase(seed);
    const auto shards = static_cast<uint32_t>(1 + seed % (c.n / c.parts));
    const auto deal = PartitionLabelShards(c.labels, c.parts, shards, seed);
    ASSERT_NO_FATAL_FAILURE(ExpectDeal(deal, c.n, c.parts));
    ExpectEqualSizes(*deal, shards);
    EXPECT_EQ(*deal, *PartitionLabelShards(c.labels, c.parts, shards, seed));
  }
  // 10 even classes cut so that shards hold one label each: parts of two shards see two at most.
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 1000; ++i) labels.push_back(i % 10);
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto deal = PartitionLabelShards(labels, 50, 2, seed);
    ASSERT_TRUE(deal.ok()) << deal.status();
    for (const Rows& rows : *deal) {
      std::set<int64_t> held;
      for (uint64_t row : rows) held.insert(labels[row]);
      EXPECT_LE(held.size(), 2u) << "seed=" << seed;
    }
  }
}

// The mean over parts of the largest class's share: 1 if every part has a single class.
double Skew(const std::vector<int64_t>& labels, double alpha, uint64_t seed) {
  const auto deal = PartitionDirichlet(labels, 20, alpha, seed);
  EXPECT_TRUE(deal.ok()) << deal.status();
  double sum = 0;
  for (const Rows& rows : *deal) {
    std::map<int64_t, size_t> counts;
    for (uint64_t row : rows) ++counts[labels[row]];
    size_t largest = 0;
    for (const auto& [label, count] : counts) largest = std::max(largest, count);
    sum += static_cast<double>(largest) / static_cast<double>(rows.size());
  }
  return sum / static_cast<double>(deal->size());
}

TEST(PartitionProperty, SmallerAlphaSkewsLabelsMore) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 4000; ++i) labels.push_back(i % 10);
  for (uint64_t seed = 0; seed < 10; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed=" << seed);
    const double narrow = Skew(labels, 0.05, seed), middle = Skew(labels, 1.0, seed),
                 even = Skew(labels, 1000.0, seed);
    EXPECT_GT(narrow, middle);
    EXPECT_GT(middle, even);
    EXPECT_GT(narrow, 0.4) << "an even deal would give each class a tenth";
    EXPECT_LT(even, 0.2);
  }
}

TEST(PartitionProperty, OtherSeedsDealOtherwise) {
  std::vector<int64_t> labels(200);
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(i % 4);
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    EXPECT_NE(*PartitionIid(200, 4, seed), *PartitionIid(200, 4, seed + 1));
    EXPECT_NE(*PartitionDirichlet(labels, 4, 1, seed), *PartitionDirichlet(labels, 4, 1, seed + 1));
  }
}

TEST(PartitionProperty, SplitKeepsEveryRowOnceAndBothSidesAlive) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SeededRandom random(seed);
    Rows rows;
    for (uint64_t row = 0, n = random.Below(40); row < n; ++row) rows.push_back(row * 3);
    for (double fraction : {0.0, 1e-9, 0.2, 0.5, 0.999999, 1.0}) {
      SCOPED_TRACE(testing::Message() << "seed=" << seed << " fraction=" << fraction);
      const SplitRows split = SplitHeldOut(rows, fraction, seed);
      Rows both;
      std::merge(split.train.begin(), split.train.end(), split.held_out.begin(),
                 split.held_out.end(), std::back_inserter(both));
      EXPECT_EQ(both, rows);
      EXPECT_TRUE(fraction > 0.0 || split.held_out.empty());
      EXPECT_TRUE(fraction < 1.0 || split.train.empty());
      if (fraction > 0 && fraction < 1 && rows.size() >= 2) {
        EXPECT_FALSE(split.train.empty());
        EXPECT_FALSE(split.held_out.empty());
      }
    }
  }
}

TEST(PartitionProperty, CapKeepsAnAscendingSubset) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    Rows rows;
    for (uint64_t row = 0; row < 100; ++row) rows.push_back(2 * row);
    const Rows capped = CapRows(rows, 1 + seed, seed);
    EXPECT_EQ(capped.size(), 1 + seed);
    EXPECT_TRUE(std::includes(rows.begin(), rows.end(), capped.begin(), capped.end()));
    EXPECT_EQ(CapRows(rows, 0, seed), rows);
    EXPECT_EQ(CapRows(rows, 100 + seed, seed), rows);
  }
}

}  // namespace
}  // namespace muster
