#include "coordinator/round/selection.h"

#include <algorithm>
#include <utility>

#include "proto/core/random.h"
#include "proto/core/strings.h"

namespace muster {

uint64_t SelectionScore(uint64_t seed, uint32_t round, uint32_t attempt, const DeviceId& device) {
  return DeriveSeed(seed, StrCat("select/", round, "/", attempt, "/", device.value()));
}

std::vector<DeviceId> SelectCohort(uint64_t seed, uint32_t round, uint32_t attempt,
                                   std::span<const DeviceId> candidates, size_t count) {
  std::vector<std::pair<uint64_t, DeviceId>> scored;
  scored.reserve(candidates.size());
  for (const DeviceId& device : candidates) {
    scored.emplace_back(SelectionScore(seed, round, attempt, device), device);
  }
  count = std::min(count, scored.size());
  std::partial_sort(scored.begin(), scored.begin() + static_cast<ptrdiff_t>(count), scored.end());
  std::vector<DeviceId> cohort;
  cohort.reserve(count);
  for (size_t i = 0; i < count; ++i) cohort.push_back(std::move(scored[i].second));
  std::sort(cohort.begin(), cohort.end());
  return cohort;
}

uint64_t FunctionSeed(uint64_t seed, uint32_t round, const DeviceId& device) {
  return DeriveSeed(seed, StrCat("function/", round, "/", device.value()));
}

}  // namespace muster
