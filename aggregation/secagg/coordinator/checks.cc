#include "aggregation/secagg/coordinator/checks.h"

#include "aggregation/secagg/transcript.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {

std::string NameOf(const Roster& roster, uint32_t index) {
  return StrCat("client '", roster.advert(index).client.value(), "' (index ", index, ")");
}

absl::Status CheckIndex(const Roster& roster, uint32_t index) {
  if (index < roster.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("there is no client ", index, " in a roster of ", roster.size()));
}

absl::Status CheckSignature(const Roster& roster, uint32_t index, std::string_view statement,
                            std::string_view signature, const Notary& notary) {
  const Advert& advert = roster.advert(index);
  return Annotate(notary.Verify(advert.client, advert.certificate, statement, signature),
                  StrCat("the signature of ", NameOf(roster, index)));
}

uint32_t NeighboursIn(const Roster& roster, uint32_t index, const ClientSet& set) {
  uint32_t count = 0;
  for (const uint32_t neighbour : roster.graph().NeighboursOf(index)) {
    if (Contains(set, neighbour)) ++count;
  }
  return count;
}

absl::Status CheckSets(const Roster& roster, const ClientSet& sharers, const ClientSet& survivors) {
  MUSTER_RETURN_IF_ERROR(Annotate(CheckSet(sharers, roster.size()), "the set of sharers"));
  MUSTER_RETURN_IF_ERROR(Annotate(CheckSet(survivors, roster.size()), "the set of survivors"));
  for (uint32_t index = 0; index < roster.size(); ++index) {
    if (Contains(survivors, index) && !Contains(sharers, index)) {
      return absl::InvalidArgumentError(
          StrCat(NameOf(roster, index), " is among the survivors but never shared its secrets"));
    }
  }
  return absl::OkStatus();
}

bool NeedsSecret(const Roster& roster, const ClientSet& survivors, uint32_t index) {
  return Contains(survivors, index) || NeighboursIn(roster, index, survivors) > 0;
}

}  // namespace muster::secagg
