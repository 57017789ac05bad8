// Phase 3a, malicious mode: consents to the survivors.
#include "aggregation/secagg/coordinator/checks.h"
#include "aggregation/secagg/coordinator/coordinator.h"
#include "aggregation/secagg/sets.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {

absl::Status CheckConsent(const Roster& roster, uint32_t index, const ClientSet& survivors,
                          const Consent& consent, const Notary& notary) {
  MUSTER_RETURN_IF_ERROR(CheckIndex(roster, index));
  if (roster.params().mode != Mode::kMalicious) {
    return absl::FailedPreconditionError("this session is semi-honest and takes no consents");
  }
  if (!Contains(survivors, index)) {
    return absl::InvalidArgumentError(
        StrCat(NameOf(roster, index), " consents but is not among the survivors"));
  }
  const Digest digest = SurvivorsDigest(roster.sid(), survivors);
  return CheckSignature(roster, index, ConsentStatement(roster.sid(), digest), consent.signature,
                        notary);
}

}  // namespace muster::secagg
