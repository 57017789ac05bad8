// What a job's releases have cost in privacy, and what it may still spend. Epsilon is that of the
// worst case that the job allows: the fewest honest clients in a sum, every round.
#pragma once

#include "absl/status/status.h"
#include "coordinator/store/records.h"

namespace muster {

// After `releases` opened sums; 0 without differential privacy.
double EpsilonAfter(const JobSpec& spec, uint32_t releases);

// One more release would exceed the budget.
bool IsBudgetSpent(const JobRecord& job);

// InvalidArgument, with the numbers, if the budget does not allow a single round.
absl::Status CheckBudget(const JobSpec& spec);

// The job's noise with every default filled in.
PrivacyConfig ResolvedPrivacy(const JobSpec& spec);

}  // namespace muster
