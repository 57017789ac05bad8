#include "aggregation/secagg/graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "proto/core/random.h"

namespace muster::secagg {
namespace {

Digest Root(uint32_t seed) { return Sha256("roster " + std::to_string(seed)); }

std::vector<uint32_t> DegreesFor(uint32_t size) {
  std::vector<uint32_t> degrees;
  for (uint32_t k = 1; k < size; ++k) {
    if (Graph::Exists(size, k)) degrees.push_back(k);
  }
  return degrees;
}

TEST(Graph, ExistsForEvenDegreesAndTheCompleteGraph) {
  EXPECT_FALSE(Graph::Exists(0, 0));
  EXPECT_FALSE(Graph::Exists(1, 0));
  EXPECT_FALSE(Graph::Exists(4, 0));
  EXPECT_FALSE(Graph::Exists(4, 4));
  EXPECT_FALSE(Graph::Exists(5, 3));
  EXPECT_FALSE(Graph::Exists(6, 3));
  EXPECT_TRUE(Graph::Exists(2, 1));
  EXPECT_EQ(DegreesFor(6), (std::vector<uint32_t>{2, 4, 5}));
  EXPECT_EQ(DegreesFor(7), (std::vector<uint32_t>{2, 4, 6}));
}

TEST(Graph, EveryClientHasItsDegreeOfOthersAndNeighbourhoodIsMutual) {
  for (uint32_t size = 2; size <= 24; ++size) {
    for (const uint32_t k : DegreesFor(size)) {
      const Graph graph(size, k, Root(size));
      EXPECT_EQ(graph.size(), size);
      EXPECT_EQ(graph.degree(), k);
      for (uint32_t a = 0; a < size; ++a) {
        const std::vector<uint32_t> neighbours = graph.NeighboursOf(a);
        ASSERT_EQ(neighbours.size(), k);
        ASSERT_TRUE(std::ranges::is_sorted(neighbours));
        const std::set<uint32_t> set(neighbours.begin(), neighbours.end());
        ASSERT_EQ(set.size(), k);
        ASSERT_FALSE(graph.AreNeighbours(a, size));
        ASSERT_FALSE(graph.AreNeighbours(size + a, 0));
        for (uint32_t b = 0; b < size; ++b) {
          ASSERT_EQ(graph.AreNeighbours(a, b), set.contains(b)) << a << " " << b << " k " << k;
          ASSERT_EQ(graph.AreNeighbours(a, b), graph.AreNeighbours(b, a));
        }
        ASSERT_FALSE(set.contains(a));
      }
    }
  }
}

TEST(Graph, WithAllOthersAsNeighboursItIsComplete) {
  for (const uint32_t size : {2u, 5u, 6u, 29u, 30u}) {
    const Graph graph(size, size - 1, Root(1));
    for (uint32_t a = 0; a < size; ++a) {
      EXPECT_EQ(graph.NeighboursOf(a).size(), size - 1);
      for (uint32_t b = 0; b < size; ++b) EXPECT_EQ(graph.AreNeighbours(a, b), a != b);
    }
  }
}

TEST(Graph, TheRootAloneDecides) {
  const Graph one(100, 12, Root(1)), same(100, 12, Root(1)), other(100, 12, Root(2));
  bool differs = false;
  for (uint32_t a = 0; a < 100; ++a) {
    EXPECT_EQ(one.NeighboursOf(a), same.NeighboursOf(a));
    differs = differs || one.NeighboursOf(a) != other.NeighboursOf(a);
  }
  EXPECT_TRUE(differs);
}

// Clients on many machines must find the same neighbours: figures computed apart from this code.
TEST(Graph, KeepsItsPermutation) {
  const Graph graph(10, 2, Root(1));
  EXPECT_EQ(graph.NeighboursOf(0), (std::vector<uint32_t>{4, 7}));
  EXPECT_EQ(graph.NeighboursOf(1), (std::vector<uint32_t>{4, 5}));
  EXPECT_EQ(Graph(700, 2, Root(7)).NeighboursOf(699), (std::vector<uint32_t>{354, 592}));
}

// On a ring of n, each of the others is a given client's neighbour with probability 2 / (n - 1).
TEST(Graph, EveryPairIsAsLikely) {
  constexpr uint32_t kSize = 7;
  constexpr int kDraws = 6000;
  std::vector<int> counts(kSize * kSize, 0);
  for (uint32_t draw = 0; draw < kDraws; ++draw) {
    const Graph graph(kSize, 2, Root(draw));
    for (uint32_t a = 0; a < kSize; ++a) {
      for (const uint32_t b : graph.NeighboursOf(a)) ++counts[a * kSize + b];
    }
  }
  // 2000 expected; the standard deviation is 37.
  for (uint32_t a = 0; a < kSize; ++a) {
    for (uint32_t b = 0; b < kSize; ++b) {
      EXPECT_NEAR(counts[a * kSize + b], a == b ? 0 : 2000, 200) << a << " " << b;
    }
  }
}

bool Connected(const Graph& graph, const std::vector<bool>& honest) {
  const auto start = std::ranges::find(honest, true) - honest.begin();
  std::vector<bool> reached(honest.size(), false);
  std::vector<uint32_t> open = {static_cast<uint32_t>(start)};
  reached[open[0]] = true;
  size_t count = 0;
  while (!open.empty()) {
    const uint32_t at = open.back();
    open.pop_back();
    ++count;
    for (const uint32_t next : graph.NeighboursOf(at)) {
      if (!honest[next] || reached[next]) continue;
      reached[next] = true;
      open.push_back(next);
    }
  }
  return count == static_cast<size_t>(std::ranges::count(honest, true));
}

// How many of `draws` rosters fall apart when `bad` of the clients, corrupted or gone, are taken
// out. Who they are was decided before the permutation was known.
int FallenApart(uint32_t size, uint32_t bad, uint32_t neighbours, uint32_t draws) {
  SeededRandom random(99);
  int fallen = 0;
  for (uint32_t draw = 0; draw < draws; ++draw) {
    std::vector<bool> honest(size, true);
    for (uint32_t left = bad; left > 0;) {
      const uint64_t pick = random.Below(size);
      if (!honest[pick]) continue;
      honest[pick] = false;
      --left;
    }
    if (!Connected(Graph(size, neighbours, Root(draw)), honest)) ++fallen;
  }
  return fallen;
}

TEST(Graph, FourNeighboursDoNotHoldAHundredClientsWithTwentyBadTogether) {
  const int fallen = FallenApart(100, 20, 4, 1000);
  EXPECT_GT(fallen, 850);
  EXPECT_LT(fallen, 990);
}

TEST(Graph, TwelveNeighboursHoldAHundredClientsWithTwentyBadTogether) {
  EXPECT_EQ(FallenApart(100, 20, 12, 5000), 0);
}

}  // namespace
}  // namespace muster::secagg
