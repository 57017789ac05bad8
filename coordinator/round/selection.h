// Who takes part in a round. Each candidate draws a score from (seed, round, device); the lowest
// scores win. So the cohort is a uniform sample of the candidates, the same seed and the same
// candidates give the same cohort, and nobody has to hold the list in memory between calls.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "proto/core/ids.h"

namespace muster {

uint64_t SelectionScore(uint64_t seed, uint32_t round, uint32_t attempt, const DeviceId& device);

// The `count` candidates with the lowest scores (all of them if there are fewer), sorted by id.
std::vector<DeviceId> SelectCohort(uint64_t seed, uint32_t round, uint32_t attempt,
                                   std::span<const DeviceId> candidates, size_t count);

// Of everything random in the function that `device` runs in a round. Does not depend on the job's
// id or the attempt: the same seed and the same cohort give the same bytes.
uint64_t FunctionSeed(uint64_t seed, uint32_t round, const DeviceId& device);

}  // namespace muster
