// Exact and fast sampling from a log-concave distribution on the whole numbers, by rejection.
//
// The envelope. Let D(x) = P(x) / P(0). Each side of the mode is cut into strips of `width` whole
// numbers; the right side starts at 0 and the left at -1. Over a strip, D is at most its value at
// the strip's near end: the strip's height is an integer >= D(near end) * scale. Beyond the last
// strip, a tail: blocks of 64 widths whose heights halve from block to block. Strips are chosen by
// their area with an alias table (Walker 1974, Vose 1991) of integers whose sum is 2^62, so that
// one random word chooses strip and height; a second one chooses the place within the strip.
//
// The decision. A candidate x at integer height h is accepted if h + u < D(x) * scale, where u is
// uniform in [0, 1). Almost always h alone decides, against three bounds that cost next to nothing:
// D at the strip's far end, and two that log-concavity gives (Glance). If not, u is drawn bit by
// bit and D(x) computed by interval arithmetic with ever more bits, until the intervals part
// (Settle). No comparison is ever made on a rounded number, so
//
//   P(x is returned) is proportional to sum over h of P(h + u < D(x) scale) = D(x) scale,
//
// exactly: every (strip, height, place) has the same probability 2^-62 / width, and the tail's
// blocks make up for their halved heights by doubling scale (SampleTail has the figures).
//
// Only |x| < 2^62 is returned. With a spread of at most 2^57 the rest has less than e^-500 of the
// mass.
//
// Not constant in time: how long a sample takes tells something of it, to whoever can time the
// process itself.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "aggregation/privacy/exact/shape.h"
#include "proto/core/random.h"

namespace muster::exact {

class StripSampler {
 public:
  explicit StripSampler(std::unique_ptr<const Shape> shape);  // some milliseconds
  int64_t Sample(RandomSource& random) const;                 // thread-safe

  // A point under the envelope, up to the fraction of its height.
  struct Candidate {
    int64_t x = 0;
    uint64_t height = 0;
    unsigned halvings = 0;  // of the envelope, in the tail
  };
  // What is known of D within one strip suffices to decide, or does not: true accepts. `offset` is
  // from the strip's near end, below width().
  std::optional<bool> Glance(uint32_t strip, uint64_t offset, uint64_t height) const;
  // Decides by drawing and computing as many bits as it takes.
  bool Settle(const Candidate& candidate, RandomSource& random) const;

  // Even strips are right of the mode, odd ones left; the nearest come first.
  static constexpr uint32_t kStrips = 1020;
  int64_t Place(uint32_t strip, uint64_t offset) const;
  uint64_t Height(uint32_t strip) const { return upper_[strip]; }
  uint64_t width() const { return uint64_t{1} << width_log2_; }
  uint64_t scale() const { return scale_; }

 private:
  static constexpr uint32_t kSides = 2;
  static constexpr uint32_t kSlots = 1024;
  // Items after the strips: two tails, and what is missing to 2^62, which is drawn again.
  static constexpr uint32_t kVoid = kStrips + kSides;

  struct Slot {
    uint64_t own = 0;         // heights below it belong to the slot's own item
    uint64_t alias_base = 0;  // where the alias's part of its height starts
    uint32_t alias = 0;
  };

  uint64_t Near(uint32_t strip) const;  // |x| of the near end
  void MeasureStrips();
  void BuildAliasTable();
  std::optional<int64_t> SampleTail(uint32_t side, RandomSource& random) const;

  std::unique_ptr<const Shape> shape_;
  unsigned width_log2_ = 0;
  uint64_t scale_ = 0;
  // Bounds on D(near end) * scale. One more on each side for where the tail starts.
  std::vector<uint64_t> lower_, upper_;
  std::vector<uint64_t> sure_;  // heights below it are accepted wherever in the strip
  std::array<Slot, kSlots> slots_;
};

}  // namespace muster::exact
