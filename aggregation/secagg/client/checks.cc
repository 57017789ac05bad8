#include "aggregation/secagg/client/checks.h"

#include <algorithm>

#include "aggregation/secagg/transcript.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {

absl::Status CheckShape(const RosterView& roster) {
  const uint32_t n = roster.size, k = roster.neighbours, t = roster.threshold;
  if (n < 2 || n > limits::kMaxSecAggClients) {
    return absl::InvalidArgumentError(
        StrCat("a roster of ", n, " clients is not within 2 to ", limits::kMaxSecAggClients));
  }
  if (k < 1 || k >= n || (k % 2 != 0 && k != n - 1)) {
    return absl::InvalidArgumentError(StrCat("no graph over ", n, " clients gives each ", k,
                                             " neighbours: they must be an even number, or all ",
                                             n - 1, " others"));
  }
  if (t < 1 || t > k) {
    return absl::InvalidArgumentError(
        StrCat("a threshold of ", t, " is not within 1 to the ", k, " neighbours"));
  }
  if (roster.own.index >= n) {
    return absl::InvalidArgumentError(StrCat("this client's index ", roster.own.index,
                                             " is not within a roster of ", n, " clients"));
  }
  if (roster.others.size() != k) {
    return absl::InvalidArgumentError(
        StrCat("the roster shows ", roster.others.size(), " neighbours, where ", k, " are due"));
  }
  for (size_t i = 0; i < k; ++i) {
    const uint32_t index = roster.others[i].index;
    if (index >= n || index == roster.own.index) {
      return absl::InvalidArgumentError(StrCat("index ", index, " is no neighbour of client ",
                                               roster.own.index, " in a roster of ", n));
    }
    if (i > 0 && index <= roster.others[i - 1].index) {
      return absl::InvalidArgumentError(StrCat("neighbour ", index, " comes after neighbour ",
                                               roster.others[i - 1].index,
                                               "; each comes once, in ascending order"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSession(const Params& params, const RosterView& roster, const Digest& sid) {
  if (SessionId(params, roster.size, roster.neighbours, roster.threshold, roster.root) == sid) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      "the parameters are not those that this client's session began with");
}

const RosterEntry* FindNeighbour(const RosterView& roster, uint32_t index) {
  const auto at = std::lower_bound(
      roster.others.begin(), roster.others.end(), index,
      [](const RosterEntry& entry, uint32_t wanted) { return entry.index < wanted; });
  return at != roster.others.end() && at->index == index ? &*at : nullptr;
}

std::string NameOf(const RosterEntry& entry) {
  return StrCat("client '", entry.advert.client.value(), "' (index ", entry.index, ")");
}

const HeldShare* FindHeld(const Masked& state, uint32_t index) {
  const auto at =
      std::lower_bound(state.held.begin(), state.held.end(), index,
                       [](const HeldShare& held, uint32_t wanted) { return held.index < wanted; });
  return at != state.held.end() && at->index == index ? &*at : nullptr;
}

absl::Status CheckSurvivors(const Params& params, const Masked& state, const ClientSet& survivors) {
  const RosterView& roster = state.roster;
  MUSTER_RETURN_IF_ERROR(CheckSession(params, roster, state.sid));
  MUSTER_RETURN_IF_ERROR(
      Annotate(CheckSet(survivors, roster.size), "the set of surviving clients"));
  if (!Contains(survivors, roster.own.index)) {
    return absl::FailedPreconditionError(
        StrCat("this client (index ", roster.own.index, ") is not among the survivors"));
  }
  if (const uint32_t size = Count(survivors); size < params.min_clients) {
    return absl::FailedPreconditionError(StrCat(size, " clients survived, fewer than the ",
                                                params.min_clients,
                                                " that any revealed sum must have"));
  }
  uint32_t neighbours = 0;
  for (const RosterEntry& other : roster.others) {
    if (!Contains(survivors, other.index)) continue;
    if (FindHeld(state, other.index) == nullptr) {
      return absl::InvalidArgumentError(
          StrCat(NameOf(other), " is among the survivors but sent this client no shares"));
    }
    ++neighbours;
  }
  if (neighbours < roster.threshold) {
    return absl::FailedPreconditionError(
        StrCat(neighbours, " of this client's ", roster.neighbours,
               " neighbours survived, fewer than the threshold of ", roster.threshold));
  }
  return absl::OkStatus();
}

}  // namespace muster::secagg
