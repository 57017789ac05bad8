#include "aggregation/privacy/exact/strip_sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <utility>

namespace muster::exact {
namespace {

using Uint128 = unsigned __int128;

constexpr unsigned kTotalLog2 = 62;  // sum of all areas
constexpr unsigned kSlotsLog2 = 10;
constexpr uint64_t kSlotArea = uint64_t{1} << (kTotalLog2 - kSlotsLog2);
constexpr unsigned kDensityBits = 63;
constexpr double kWidthsPerSpread = 54;  // at least 9.4 spreads lie within the strips of one side
constexpr unsigned kBlockLog2 = 6;       // strips to a block of the tail
constexpr uint64_t kLargest = uint64_t{1} << 62;

// The fewest whole strips that are a power of two wide.
unsigned WidthLog2(double spread) {
  unsigned log2 = 0;
  while (std::ldexp(1.0, static_cast<int>(log2)) * kWidthsPerSpread < spread) ++log2;
  return log2;
}

}  // namespace

StripSampler::StripSampler(std::unique_ptr<const Shape> shape)
    : shape_(std::move(shape)), width_log2_(WidthLog2(shape_->spread())) {
  MeasureStrips();
  BuildAliasTable();
}

uint64_t StripSampler::Near(uint32_t strip) const {
  return strip % kSides + (static_cast<uint64_t>(strip / kSides) << width_log2_);
}

int64_t StripSampler::Place(uint32_t strip, uint64_t offset) const {
  const auto distance = static_cast<int64_t>(Near(strip) + offset);
  return strip % kSides == 0 ? distance : -distance;
}

void StripSampler::MeasureStrips() {
  // D at the near ends, and at the start of the tails; 0 is a lower bound where none is computed.
  constexpr uint32_t kPoints = kStrips + kSides;
  std::vector<uint64_t> lo(kPoints), hi(kPoints);
  for (uint32_t i = 0; i < kPoints; ++i) {
    // D falls away from the mode: an upper bound of a nearer point is one of this point, too.
    const uint64_t nearer = i < kSides ? UINT64_MAX : hi[i - kSides];
    if (nearer <= 1) {
      hi[i] = nearer;
      continue;
    }
    const Bounds density = shape_->Density(Place(i, 0), kDensityBits);
    hi[i] = std::min(density.hi.ToUnsigned(), nearer);
    lo[i] = std::min(density.lo.ToUnsigned(), i < kSides ? UINT64_MAX : lo[i - kSides]);
  }
  // A block of the tail is at least 1/8 as wide as all strips of its side together, and ln D is
  // concave with D(0) = 1: if D is at most 2^-8 where the tail starts, it halves with every block.
  for (uint32_t side = 0; side < kSides; ++side) {
    if (hi[kStrips + side] > uint64_t{1} << (kDensityBits - 8)) std::abort();
  }

  // A tail's area is the sum over its blocks: 64 h + 32 h + ... = 128 h, in widths.
  const auto area = [](uint32_t i, uint64_t height) {
    return i < kStrips ? Uint128{height} : Uint128{height} << (kBlockLog2 + 1);
  };
  Uint128 total = 0;
  for (uint32_t i = 0; i < kPoints; ++i) total += area(i, hi[i]);
  // Leaves room for rounding each height up by less than 1, and with it each tail by 128.
  constexpr uint64_t kRoom = 4096;
  static_assert(kRoom > kStrips + kSides * (uint64_t{2} << kBlockLog2));
  const Uint128 target = (Uint128{1} << kTotalLog2) - kRoom;
  scale_ = static_cast<uint64_t>((target << kDensityBits) / total);

  lower_.resize(kPoints);
  upper_.resize(kPoints);
  for (uint32_t i = 0; i < kPoints; ++i) {
    constexpr Uint128 kAlmostOne = (Uint128{1} << kDensityBits) - 1;
    lower_[i] = static_cast<uint64_t>((Uint128{lo[i]} * scale_) >> kDensityBits);
    upper_[i] = static_cast<uint64_t>((Uint128{hi[i]} * scale_ + kAlmostOne) >> kDensityBits);
  }
  // So that products of two heights and a place fit into 128 bits in Glance. Wide strips are at
  // least 27 to a spread, so the highest has less than a 64th of the area.
  if (width_log2_ > 0 && upper_[0] >> 56 != 0) std::abort();
  sure_.resize(kStrips);
  for (uint32_t i = 0; i < kStrips; ++i) {
    sure_[i] = width_log2_ == 0 ? lower_[i] : lower_[i + kSides];
  }
}

void StripSampler::BuildAliasTable() {
  std::vector<uint64_t> left(kSlots, 0);  // area of each item that has no slot yet
  for (uint32_t i = 0; i < kStrips; ++i) left[i] = upper_[i];
  for (uint32_t side = 0; side < kSides; ++side) {
    left[kStrips + side] = upper_[kStrips + side] << (kBlockLog2 + 1);
  }
  left[kVoid] =
      (uint64_t{1} << kTotalLog2) - std::accumulate(left.begin(), left.end(), uint64_t{0});

  std::vector<uint32_t> small, large;
  for (uint32_t i = 0; i < kSlots; ++i) (left[i] < kSlotArea ? small : large).push_back(i);
  while (!small.empty()) {
    const uint32_t item = small.back();
    small.pop_back();
    const uint32_t donor = large.back();  // areas average to kSlotArea: there is one
    left[donor] -= kSlotArea - left[item];
    slots_[item] = {.own = left[item], .alias_base = left[donor], .alias = donor};
    if (left[donor] < kSlotArea) {
      large.pop_back();
      small.push_back(donor);
    }
  }
  for (const uint32_t item : large) slots_[item] = {.own = kSlotArea};
}

int64_t StripSampler::Sample(RandomSource& random) const {
  while (true) {
    const uint64_t word = random.Next64();
    uint32_t item = word % kSlots;
    uint64_t height = word >> (64 - (kTotalLog2 - kSlotsLog2));
    const Slot& slot = slots_[item];
    if (height >= slot.own) {
      item = slot.alias;
      height = height - slot.own + slot.alias_base;
    }
    if (item < kStrips) [[likely]] {
      const uint64_t offset = width_log2_ == 0 ? 0 : random.Next64() >> (64 - width_log2_);
      const std::optional<bool> seen = Glance(item, offset, height);
      const int64_t x = Place(item, offset);
      if (seen ? *seen : Settle({.x = x, .height = height}, random)) return x;
    } else if (item < kVoid) {
      const std::optional<int64_t> x = SampleTail(item - kStrips, random);
      if (x) return *x;
    }
  }
}

std::optional<bool> StripSampler::Glance(uint32_t strip, uint64_t offset, uint64_t height) const {
  if (height < sure_[strip]) [[likely]]
    return true;
  if (width_log2_ == 0) return std::nullopt;
  // Where in the strip, as a fraction t of 2^14 (rounded down; t + 1 rounds up).
  constexpr unsigned kPlaceBits = 14;
  constexpr uint64_t kOne = uint64_t{1} << kPlaceBits;
  const uint64_t t = width_log2_ >= kPlaceBits ? offset >> (width_log2_ - kPlaceBits)
                                               : offset << (kPlaceBits - width_log2_);
  // Let a, b be the heights of D at the near end of this strip and of the next. ln D is above its
  // chord, and a weighted geometric mean is above the harmonic one:
  //   D >= a^(1-t) b^t >= a b / ((1-t) b + t a), which falls with t and rises with a and b.
  const uint64_t a = lower_[strip], b = lower_[strip + kSides];
  const uint64_t after = t + 1;
  if (b > 0 && (Uint128{height} + 1) * (Uint128{kOne - after} * b + Uint128{after} * a) <=
                   (Uint128{a} * b << kPlaceBits)) {
    return true;
  }
  // Let c be the height one strip nearer to the mode. ln D is below the chord through c and a,
  // prolonged, and r^t <= 1 - t (1 - r):
  //   D <= a (a/c)^t <= a (1 - t (1 - a/c)), which falls with t and with c and rises with a.
  if (strip < kSides) return std::nullopt;
  const uint64_t c = lower_[strip - kSides], top = upper_[strip];
  if (top > c) return std::nullopt;
  if (Uint128{height} * c << kPlaceBits >=
      Uint128{top} * (Uint128{kOne - t} * c + Uint128{t} * top)) {
    return false;
  }
  return std::nullopt;
}

// Accepts if height + u < D(x) scale 2^halvings.
bool StripSampler::Settle(const Candidate& candidate, RandomSource& random) const {
  constexpr unsigned kWordBits = 64;
  Integer drawn = Integer::FromUnsigned(candidate.height);
  unsigned drawn_bits = 0;
  for (unsigned bits = 96 + candidate.halvings;; bits *= 2) {
    while (drawn_bits < bits / 2) {
      drawn = (drawn << kWordBits) + Integer::FromUnsigned(random.Next64());
      drawn_bits += kWordBits;
    }
    const Bounds density = shape_->Density(candidate.x, bits);
    const Integer scale = Integer::FromUnsigned(scale_) << (candidate.halvings + drawn_bits);
    if (((drawn + Integer(1)) << bits) <= density.lo * scale) return true;
    if ((drawn << bits) >= density.hi * scale) return false;
  }
}

// Block q has probability 2^-(q+1) and then each of its 64 width places and h heights the same:
// with the tail's area of 128 h that is 128 h 2^-62 2^-(q+1) / (64 width h) = 2^-62 / width 2^-q,
// which Settle's 2^q makes up for. Nothing if the candidate is not accepted.
std::optional<int64_t> StripSampler::SampleTail(uint32_t side, RandomSource& random) const {
  const unsigned block_log2 = kBlockLog2 + width_log2_;
  uint64_t halvings = 0;
  uint64_t word = random.Next64();
  while (word == 0) {
    halvings += 64;
    word = random.Next64();
  }
  halvings += static_cast<unsigned>(std::countr_zero(word));
  const Uint128 distance = Near(kStrips + side) + (Uint128{halvings} << block_log2) +
                           (random.Next64() >> (64 - block_log2));
  if (distance >= kLargest) return std::nullopt;
  const auto x = static_cast<int64_t>(distance);
  const Candidate candidate{.x = side == 0 ? x : -x,
                            .height = random.Below(upper_[kStrips + side]),
                            .halvings = static_cast<unsigned>(halvings)};
  if (!Settle(candidate, random)) return std::nullopt;
  return candidate.x;
}

}  // namespace muster::exact
