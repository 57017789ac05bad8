#include "proto/core/suggest.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

#include "proto/core/strings.h"

namespace muster {
namespace {

// Nobody mistypes a name this long; the distance costs time in proportion to the square.
constexpr size_t kMaxTypedLength = 256;

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before_previous, previous(b.size() + 1), current(b.size() + 1);
  std::iota(previous.begin(), previous.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitution = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], before_previous[j - 2] + 1);
      }
    }
    before_previous = previous;
    previous = current;
  }
  return previous[b.size()];
}

}  // namespace

std::string Nearest(std::string_view typed, std::span<const std::string_view> candidates) {
  if (typed.empty() || typed.size() > kMaxTypedLength) return "";
  std::string_view best;
  size_t best_distance = 0;
  for (std::string_view candidate : candidates) {
    if (candidate.empty() || candidate.size() > kMaxTypedLength) continue;
    const size_t longer = std::max(typed.size(), candidate.size());
    const size_t limit = std::max<size_t>(1, longer / 3);
    const size_t distance = EditDistance(typed, candidate);
    // A distance as long as the word shares nothing with it.
    if (distance > limit || distance >= longer) continue;
    if (best.empty() || distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return std::string(best);
}

std::string DidYouMean(std::string_view typed, std::span<const std::string_view> candidates) {
  const std::string nearest = Nearest(typed, candidates);
  return nearest.empty() ? "" : StrCat(" (did you mean '", nearest, "'?)");
}

}  // namespace muster
