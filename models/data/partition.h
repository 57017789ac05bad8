// How one data set is dealt out to many devices, for demonstrations and research. Every device runs
// the same deal with the same seed and keeps its own part.
//
// Each function returns `parts` lists of rows, each ascending and not empty; together they cover
// every row exactly once. InvalidArgument if that cannot be done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

using Rows = std::vector<uint64_t>;

inline constexpr uint32_t kMaxPartitionParts = 1u << 20;
inline constexpr uint64_t kMaxPartitionShares = 1ull << 22;  // parts x classes of a Dirichlet deal
inline constexpr double kMaxDirichletAlpha = 1e6;

// Uniformly at random; sizes differ by one at most.
absl::StatusOr<std::vector<Rows>> PartitionIid(uint64_t n, uint32_t parts, uint64_t seed);

// Hsu, Qi, Brown 2019: every part draws its label shares q ~ Dir(alpha, ..., alpha) over the
// classes that occur, then its examples from q without replacement; a class that has run out leaves
// the rest of q to the others. Sizes differ by one at most. Small alpha gives few classes a part,
// large alpha equal shares. `alpha` is the concentration of each class: the paper's is this times
// the number of classes, for its uniform prior. Parts draw in turn, so that none is left with only
// the remains.
absl::StatusOr<std::vector<Rows>> PartitionDirichlet(std::span<const int64_t> labels,
                                                     uint32_t parts, double alpha, uint64_t seed);

// McMahan et al. 2017: rows sorted by label are cut into parts x shards_per_part shards of equal
// size (differing by one at most), and each part gets that many at random.
absl::StatusOr<std::vector<Rows>> PartitionLabelShards(std::span<const int64_t> labels,
                                                       uint32_t parts, uint32_t shards_per_part,
                                                       uint64_t seed);

// A random subset of at most `max_rows`, ascending; all of them for 0.
Rows CapRows(Rows rows, uint64_t max_rows, uint64_t seed);

// Random, both ascending. The held-out side gets round(fraction x n): none for 0, all for 1, and
// between them at least one for each side if there are two. `fraction` is in [0, 1].
struct SplitRows {
  Rows train, held_out;
};
SplitRows SplitHeldOut(const Rows& rows, double fraction, uint64_t seed);

}  // namespace muster
