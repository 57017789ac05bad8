// Phase 2: reports of masked vectors, and U2.
#include "aggregation/secagg/coordinator/checks.h"
#include "aggregation/secagg/coordinator/coordinator.h"
#include "aggregation/secagg/sets.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {

absl::Status CheckMasked(const Roster& roster, const ClientSet& sharers, uint32_t index,
                         const MaskedReport& report, const Notary& notary) {
  MUSTER_RETURN_IF_ERROR(CheckIndex(roster, index));
  if (!Contains(sharers, index)) {
    return absl::InvalidArgumentError(
        StrCat(NameOf(roster, index), " reports a masked vector but is not among the sharers"));
  }
  if (report.vector.empty()) {
    return absl::InvalidArgumentError(
        StrCat(NameOf(roster, index), " reports a masked vector without its digest"));
  }
  ClientSet neighbours = MakeSet(roster.size());
  for (const uint32_t neighbour : roster.graph().NeighboursOf(index)) {
    if (Contains(sharers, neighbour)) Insert(neighbours, neighbour);
  }
  if (report.neighbours != NeighboursDigest(roster.sid(), neighbours)) {
    return absl::InvalidArgumentError(StrCat(NameOf(roster, index),
                                             " masked with other neighbours than the ",
                                             Count(neighbours), " whose shares it was given"));
  }
  return CheckSignature(roster, index, MaskedStatement(roster.sid(), index, report),
                        report.signature, notary);
}

absl::StatusOr<ClientSet> FreezeSurvivors(const Roster& roster, const ClientSet& sharers,
                                          const ClientSet& reported) {
  MUSTER_RETURN_IF_ERROR(CheckSets(roster, sharers, reported));
  const uint32_t least = roster.params().min_clients;
  if (const uint32_t size = Count(reported); size < least) {
    return absl::FailedPreconditionError(StrCat(size, " of ", Count(sharers),
                                                " clients sent masked vectors, but the session ",
                                                "needs at least ", least));
  }
  // Nobody but survivors can answer for a secret.
  for (uint32_t index = 0; index < roster.size(); ++index) {
    if (!Contains(sharers, index) || !NeedsSecret(roster, reported, index)) continue;
    const uint32_t holders = NeighboursIn(roster, index, reported);
    if (holders >= roster.threshold()) continue;
    return absl::FailedPreconditionError(
        StrCat(holders, " neighbours of ", NameOf(roster, index),
               " sent masked vectors, but its masks can only be taken out with shares of ",
               roster.threshold()));
  }
  return reported;
}

}  // namespace muster::secagg
