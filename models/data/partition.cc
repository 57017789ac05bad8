#include "models/data/partition.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>
#include <utility>

#include "proto/core/random.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

template <typename T>
void Shuffle(std::span<T> items, RandomSource& random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.Below(i)]);
}

absl::Status CheckParts(uint64_t n, uint64_t parts) {
  if (parts == 0 || parts > kMaxPartitionParts) {
    return absl::InvalidArgumentError(
        StrCat("a partition into ", parts, " parts: use 1 to ", kMaxPartitionParts));
  }
  if (n < parts) {
    return absl::InvalidArgumentError(
        StrCat("cannot deal ", n, " examples to ", parts, " parts: each needs one at least"));
  }
  return absl::OkStatus();
}

Rows AllRows(uint64_t n) {
  Rows rows(n);
  std::iota(rows.begin(), rows.end(), uint64_t{0});
  return rows;
}

void SortEach(std::vector<Rows>& parts) {
  for (Rows& rows : parts) std::sort(rows.begin(), rows.end());
}

// Box and Muller 1958.
double Normal(RandomSource& random) {
  const double u = 1.0 - random.Unit();  // in (0, 1]
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * random.Unit());
}

// The logarithm of a Gamma(alpha, 1) variate (Marsaglia, Tsang 2000). For alpha < 1 it is
// Gamma(alpha + 1) U^(1/alpha), which is below the smallest double for small alpha: hence
// logarithms.
double LogGamma(double alpha, RandomSource& random) {
  if (alpha < 1.0) {
    const double boost = std::log(1.0 - random.Unit()) / alpha;
    return boost + LogGamma(alpha + 1.0, random);
  }
  const double d = alpha - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = Normal(random);
    const double v = 1.0 + c * x;
    if (v <= 0.0) continue;
    const double cubed = v * v * v;
    const double u = 1.0 - random.Unit();
    if (std::log(u) < 0.5 * x * x + d - d * cubed + d * std::log(cubed)) {
      return std::log(d) + std::log(cubed);
    }
  }
}

std::vector<double> Dirichlet(double alpha, size_t classes, RandomSource& random) {
  std::vector<double> shares(classes);
  for (double& share : shares) share = LogGamma(alpha, random);
  const double largest = *std::max_element(shares.begin(), shares.end());
  for (double& share : shares) share = std::exp(share - largest);  // the largest becomes 1
  return shares;
}

// The rows of each class that are not dealt yet, in random order.
class ClassPools {
 public:
  ClassPools(std::span<const int64_t> labels, RandomSource& random) {
    std::map<int64_t, Rows> by_label;
    for (uint64_t row = 0; row < labels.size(); ++row) by_label[labels[row]].push_back(row);
    for (auto& [label, rows] : by_label) {
      Shuffle(std::span(rows), random);
      pools_.push_back(std::move(rows));
    }
  }
  size_t classes() const { return pools_.size(); }
  uint64_t left(size_t c) const { return pools_[c].size(); }
  uint64_t Take(size_t c) {
    const uint64_t row = pools_[c].back();
    pools_[c].pop_back();
    return row;
  }

 private:
  std::vector<Rows> pools_;
};

// One part's distribution over the classes that still have rows.
class ShareSampler {
 public:
  ShareSampler(std::vector<double> shares, const ClassPools& pools) : shares_(std::move(shares)) {
    Rebuild(pools);
  }

  size_t Draw(const ClassPools& pools, RandomSource& random) {
    while (true) {
      const double target = random.Unit() * cumulative_.back();
      const auto at = std::upper_bound(cumulative_.begin(), cumulative_.end(), target);
      // Rounding can push the target to the very end: the last class that has a share takes it.
      const size_t c = std::min<size_t>(at - cumulative_.begin(), last_);
      if (pools.left(c) > 0) return c;
      Rebuild(pools);  // the class ran out since; each class does so once
    }
  }

 private:
  void Rebuild(const ClassPools& pools) {
    cumulative_.assign(shares_.size(), 0.0);
    if (Accumulate(pools, [this](size_t c) { return shares_[c]; }) > 0.0) return;
    // Nothing is left of what this part wanted: it takes from what there is.
    Accumulate(pools, [&pools](size_t c) { return static_cast<double>(pools.left(c)); });
  }

  template <typename Share>
  double Accumulate(const ClassPools& pools, Share share) {
    double total = 0.0;
    for (size_t c = 0; c < cumulative_.size(); ++c) {
      const double mass = pools.left(c) > 0 ? share(c) : 0.0;
      if (mass > 0.0) last_ = c;
      cumulative_[c] = total += mass;
    }
    return total;
  }

  std::vector<double> shares_;
  std::vector<double> cumulative_;
  size_t last_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<Rows>> PartitionIid(uint64_t n, uint32_t parts, uint64_t seed) {
  MUSTER_RETURN_IF_ERROR(CheckParts(n, parts));
  SeededRandom random(DeriveSeed(seed, "partition iid"));
  Rows rows = AllRows(n);
  Shuffle(std::span(rows), random);
  std::vector<Rows> result(parts);
  for (uint64_t i = 0; i < n; ++i) result[i % parts].push_back(rows[i]);
  SortEach(result);
  return result;
}

absl::StatusOr<std::vector<Rows>> PartitionDirichlet(std::span<const int64_t> labels,
                                                     uint32_t parts, double alpha, uint64_t seed) {
  MUSTER_RETURN_IF_ERROR(CheckParts(labels.size(), parts));
  if (!(alpha > 0.0 && alpha <= kMaxDirichletAlpha)) {
    return absl::InvalidArgumentError(StrCat("a Dirichlet partition with alpha ", alpha,
                                             ": use a number above 0, up to ", kMaxDirichletAlpha));
  }
  SeededRandom random(DeriveSeed(seed, "partition dirichlet"));
  ClassPools pools(labels, random);
  if (pools.classes() * uint64_t{parts} > kMaxPartitionShares) {
    return absl::InvalidArgumentError(StrCat("a Dirichlet partition of ", pools.classes(),
                                             " classes into ", parts,
                                             " parts: their product may be ", kMaxPartitionShares));
  }
  std::vector<ShareSampler> samplers;
  for (uint32_t part = 0; part < parts; ++part) {
    samplers.emplace_back(Dirichlet(alpha, pools.classes(), random), pools);
  }
  std::vector<Rows> result(parts);
  for (uint64_t i = 0; i < labels.size(); ++i) {
    const size_t part = i % parts;
    result[part].push_back(pools.Take(samplers[part].Draw(pools, random)));
  }
  SortEach(result);
  return result;
}

absl::StatusOr<std::vector<Rows>> PartitionLabelShards(std::span<const int64_t> labels,
                                                       uint32_t parts, uint32_t shards_per_part,
                                                       uint64_t seed) {
  const uint64_t n = labels.size();
  MUSTER_RETURN_IF_ERROR(CheckParts(n, parts));
  const uint64_t shards = uint64_t{parts} * shards_per_part;
  if (shards_per_part == 0 || shards > n) {
    return absl::InvalidArgumentError(StrCat("a partition into ", parts, " parts of ",
                                             shards_per_part, " label shards: use 1 to ", n / parts,
                                             " shards for ", n, " examples"));
  }
  Rows rows = AllRows(n);
  std::stable_sort(rows.begin(), rows.end(),
                   [labels](uint64_t a, uint64_t b) { return labels[a] < labels[b]; });
  SeededRandom random(DeriveSeed(seed, "partition label shards"));
  Rows order = AllRows(shards);
  Shuffle(std::span(order), random);
  std::vector<Rows> result(parts);
  for (uint64_t i = 0; i < shards; ++i) {
    // n < 2^32 rows times as many shards stays within 64 bits.
    const uint64_t begin = order[i] * n / shards;
    const uint64_t end = (order[i] + 1) * n / shards;
    Rows& part = result[i % parts];
    part.insert(part.end(), rows.begin() + static_cast<ptrdiff_t>(begin),
                rows.begin() + static_cast<ptrdiff_t>(end));
  }
  SortEach(result);
  return result;
}

Rows CapRows(Rows rows, uint64_t max_rows, uint64_t seed) {
  if (max_rows == 0 || rows.size() <= max_rows) return rows;
  SeededRandom random(DeriveSeed(seed, "cap"));
  Shuffle(std::span(rows), random);
  rows.resize(max_rows);
  std::sort(rows.begin(), rows.end());
  return rows;
}

SplitRows SplitHeldOut(const Rows& rows, double fraction, uint64_t seed) {
  const uint64_t n = rows.size();
  uint64_t held = fraction >= 1.0 ? n : 0;
  if (fraction > 0.0 && fraction < 1.0 && n >= 2) {
    const double wanted = std::round(fraction * static_cast<double>(n));
    held = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, n - 1);
  }
  Rows shuffled = rows;
  SeededRandom random(DeriveSeed(seed, "held-out"));
  Shuffle(std::span(shuffled), random);
  const auto middle = shuffled.begin() + static_cast<ptrdiff_t>(held);
  SplitRows split{.train = Rows(middle, shuffled.end()),
                  .held_out = Rows(shuffled.begin(), middle)};
  std::sort(split.train.begin(), split.train.end());
  std::sort(split.held_out.begin(), split.held_out.end());
  return split;
}

}  // namespace muster
