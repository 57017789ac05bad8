#include "coordinator/drive/budget.h"

#include <limits>

#include "aggregation/privacy/accountant.h"
#include "aggregation/secagg/ring.h"
#include "coordinator/drive/secagg_session.h"
#include "proto/core/strings.h"

namespace muster {

PrivacyConfig ResolvedPrivacy(const JobSpec& spec) {
  PrivacyConfig privacy = spec.privacy;
  // Andrew et al. 2021, section 3: a deviation of a twentieth of the clients costs next to nothing.
  constexpr double kClientsPerDeviation = 20;
  if (privacy.clip_noise == 0) privacy.clip_noise = spec.round.clients / kClientsPerDeviation;
  return privacy;
}

double EpsilonAfter(const JobSpec& spec, uint32_t releases) {
  if (releases == 0 || spec.privacy.kind == PrivacyKind::kNone) return 0;
  if (spec.privacy.kind == PrivacyKind::kCentral) {
    return CentralEpsilon(ResolvedPrivacy(spec), releases);
  }
  SeededRandom unused(0);
  JobRecord job;
  job.spec = spec;
  const auto params = MakeParams(job, {}, 1, unused);
  if (!params.ok() || !params->noise) return std::numeric_limits<double>::infinity();
  return DistributedEpsilon(spec.privacy, secagg::ValueCount(*params), params->clip, params->scale,
                            params->noise->variance_per_client, HonestFloor(spec), releases);
}

bool IsBudgetSpent(const JobRecord& job) {
  if (job.spec.privacy.kind == PrivacyKind::kNone) return false;
  return EpsilonAfter(job.spec, job.releases + 1) > job.spec.privacy.epsilon_budget;
}

absl::Status CheckBudget(const JobSpec& spec) {
  const double first = EpsilonAfter(spec, 1);
  if (first <= spec.privacy.epsilon_budget || spec.privacy.kind == PrivacyKind::kNone) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      StrCat("one round alone costs epsilon ", first, " at delta ", spec.privacy.delta,
             ", and the budget is ", spec.privacy.epsilon_budget,
             "; raise privacy.differential_privacy.noise_multiplier or .epsilon"));
}

}  // namespace muster
