// The steps of a rotation, done to an identity folder. Each writes what it needs first and then
// commits by replacing one file (authorities.json): killed at any instant, it has happened or not,
// and may be called again. One at a time in a folder (flock); a coordinator may run meanwhile, and
// takes up what changed.
#pragma once

#include <filesystem>

#include "absl/status/statusor.h"
#include "coordinator/identity/ca_state.h"
#include "proto/core/random.h"
#include "proto/core/time.h"

namespace muster {

// Makes the next CA, of the same trust domain, and lets it be trusted beside the present one.
absl::StatusOr<CaState> AnnounceCa(const std::filesystem::path& dir, RandomSource& random,
                                   Timestamp now);
// From now on the new one issues.
absl::StatusOr<CaState> SwitchCa(const std::filesystem::path& dir);
// The old one is trusted no more; its key is removed.
absl::StatusOr<CaState> RetireCa(const std::filesystem::path& dir);

}  // namespace muster
