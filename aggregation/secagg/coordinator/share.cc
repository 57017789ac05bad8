// Phase 1: bundles of shares, U1, and which shares go to whom.
#include <algorithm>

#include "aggregation/secagg/coordinator/checks.h"
#include "aggregation/secagg/coordinator/coordinator.h"
#include "aggregation/secagg/share_box.h"
#include "aggregation/secagg/transcript.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {

absl::Status CheckBundle(const Roster& roster, uint32_t index, const ShareBundle& bundle,
                         const Notary& notary) {
  MUSTER_RETURN_IF_ERROR(CheckIndex(roster, index));
  if (bundle.ciphertexts.size() != roster.neighbours()) {
    return absl::InvalidArgumentError(StrCat(NameOf(roster, index), " sent shares for ",
                                             bundle.ciphertexts.size(), " neighbours, but has ",
                                             roster.neighbours()));
  }
  for (const std::string& box : bundle.ciphertexts) {
    if (box.size() != kBoxBytes) {
      return absl::InvalidArgumentError(StrCat(NameOf(roster, index), " sent a ciphertext of ",
                                               box.size(), " bytes; each has ", kBoxBytes));
    }
  }
  return CheckSignature(roster, index, ShareStatement(roster.sid(), index, bundle.commitment),
                        bundle.signature, notary);
}

// A client with fewer than t neighbours beside it would refuse to mask, and its mask key could not
// be recovered: it is left out before anybody masks with it, which may leave others with too few.
absl::StatusOr<ClientSet> FreezeSharers(const Roster& roster, const ClientSet& shared) {
  MUSTER_RETURN_IF_ERROR(Annotate(CheckSet(shared, roster.size()), "the set of sharers"));
  ClientSet sharers = shared;
  for (bool changed = true; changed;) {
    changed = false;
    ClientSet kept = MakeSet(roster.size());
    for (uint32_t index = 0; index < roster.size(); ++index) {
      if (!Contains(sharers, index)) continue;
      if (NeighboursIn(roster, index, sharers) >= roster.threshold()) {
        Insert(kept, index);
      } else {
        changed = true;
      }
    }
    sharers = std::move(kept);
  }
  const uint32_t least = roster.params().min_clients;
  if (const uint32_t size = Count(sharers); size < least) {
    return absl::FailedPreconditionError(StrCat(
        Count(shared), " of ", roster.size(), " clients shared their secrets and ", size,
        " of them have ", roster.threshold(), " neighbours among them; the session needs ", least));
  }
  return sharers;
}

SharesView SharesFor(const Roster& roster, uint32_t index, const ClientSet& sharers,
                     const std::function<const ShareBundle&(uint32_t)>& bundle_of) {
  SharesView view;
  for (const uint32_t sender : roster.graph().NeighboursOf(index)) {
    if (!Contains(sharers, sender)) continue;
    const std::vector<uint32_t> holders = roster.graph().NeighboursOf(sender);
    const auto at = std::lower_bound(holders.begin(), holders.end(), index);
    const ShareBundle& bundle = bundle_of(sender);
    view.shares.push_back(
        {.index = sender,
         .commitment = bundle.commitment,
         .signature = bundle.signature,
         .ciphertext = bundle.ciphertexts[static_cast<size_t>(at - holders.begin())]});
  }
  return view;
}

}  // namespace muster::secagg
