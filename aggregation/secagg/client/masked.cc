// Phase 2: opens the shares of the neighbours in U1, derives the masks, and reports what was
// masked.
#include <algorithm>

#include "aggregation/secagg/client/checks.h"
#include "aggregation/secagg/client/client.h"
#include "aggregation/secagg/graph.h"
#include "aggregation/secagg/sets.h"
#include "aggregation/secagg/transcript.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

absl::Status CheckSender(const Shared& state, const RosterEntry& sender, const IncomingShare& share,
                         const Notary& notary) {
  return Annotate(
      notary.Verify(sender.advert.client, sender.advert.certificate,
                    ShareStatement(state.sid, sender.index, share.commitment), share.signature),
      StrCat("the commitment of ", NameOf(sender)));
}

absl::StatusOr<SharePair> Open(const Shared& state, const SharingAgreements& keys,
                               const Graph& graph, const RosterEntry& sender,
                               const IncomingShare& share) {
  const uint32_t own = state.roster.own.index;
  MUSTER_ASSIGN_OR_RETURN(const ShareBoxKey key,
                          BoxKey(state.sid, keys, sender.advert.sharing_key, sender.index, own));
  const std::vector<uint32_t> holders = graph.NeighboursOf(sender.index);
  const auto at = std::lower_bound(holders.begin(), holders.end(), own);
  return OpenShares(key,
                    {.sid = state.sid,
                     .sender = sender.index,
                     .receiver = own,
                     .holder = static_cast<uint32_t>(at - holders.begin()),
                     .commitment = share.commitment},
                    share.ciphertext);
}

// The senders: neighbours, each once, ascending, at least t.
absl::StatusOr<std::vector<const RosterEntry*>> SendersOf(const Shared& state,
                                                          const SharesView& view) {
  std::vector<const RosterEntry*> senders;
  for (const IncomingShare& share : view.shares) {
    const RosterEntry* sender = FindNeighbour(state.roster, share.index);
    if (sender == nullptr) {
      return absl::InvalidArgumentError(
          StrCat("shares came from client ", share.index, ", which is no neighbour of this one"));
    }
    if (!senders.empty() && senders.back()->index >= sender->index) {
      return absl::InvalidArgumentError(
          StrCat("the shares of ", NameOf(*sender), " come twice or out of order"));
    }
    senders.push_back(sender);
  }
  if (senders.size() < state.roster.threshold) {
    return absl::FailedPreconditionError(
        StrCat(senders.size(), " of this client's ", state.roster.neighbours,
               " neighbours sent shares, fewer than the threshold of ", state.roster.threshold));
  }
  return senders;
}

}  // namespace

absl::StatusOr<Masking> PrepareMasks(const Params& params, const Shared& state,
                                     const SharesView& view, const Notary& notary) {
  MUSTER_RETURN_IF_ERROR(CheckSession(params, state.roster, state.sid));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<const RosterEntry*> senders, SendersOf(state, view));
  const RosterView& roster = state.roster;
  const Graph graph(roster.size, roster.neighbours, roster.root);
  const uint32_t own = roster.own.index;
  const MaskAgreements mask_keys(state.mask_key);
  const SharingAgreements sharing_keys(state.sharing_key);

  Masking masking;
  masking.next.roster = roster;
  masking.next.sid = state.sid;
  ClientSet sharers = MakeSet(roster.size);
  for (size_t i = 0; i < senders.size(); ++i) {
    const RosterEntry& sender = *senders[i];
    MUSTER_RETURN_IF_ERROR(CheckSender(state, sender, view.shares[i], notary));
    auto shares = Open(state, sharing_keys, graph, sender, view.shares[i]);
    if (!shares.ok()) {
      return Annotate(shares.status(), StrCat("the shares of ", NameOf(sender)));
    }
    MUSTER_ASSIGN_OR_RETURN(
        MaskKey key, PairMaskKey(state.sid, mask_keys, own, sender.advert.mask_key, sender.index));
    // The lower index adds, the higher subtracts, so that the two cancel.
    masking.masks.push_back({.key = std::move(key), .subtract = own > sender.index});
    masking.next.held.push_back({.index = sender.index, .shares = *std::move(shares)});
    Insert(sharers, sender.index);
  }
  masking.masks.push_back({.key = SelfMaskKey(state.sid, state.seed, own), .subtract = false});
  masking.next.report.neighbours = NeighboursDigest(state.sid, sharers);
  return masking;
}

absl::StatusOr<Masked> FinishMasked(Masking masking, const Digest& vector, const Signer& signer) {
  if (vector.empty()) {
    return absl::InvalidArgumentError("a masked report must name its vector by a digest");
  }
  Masked next = std::move(masking.next);
  next.report.vector = vector;
  MUSTER_ASSIGN_OR_RETURN(
      next.report.signature,
      signer.Sign(MaskedStatement(next.sid, next.roster.own.index, next.report)));
  return next;
}

}  // namespace muster::secagg
