// Phase 1: the client checks the frozen roster as far as it sees it, and hands each neighbour a
// share of its self-mask seed and one of its mask key.
#include <array>
#include <set>

#include "aggregation/secagg/client/checks.h"
#include "aggregation/secagg/client/client.h"
#include "aggregation/secagg/finder.h"
#include "aggregation/secagg/graph.h"
#include "aggregation/secagg/roster.h"
#include "aggregation/secagg/transcript.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

absl::Status CheckSize(const Params& params, const RosterView& roster) {
  if (roster.size < params.min_clients || roster.size > params.max_clients) {
    return absl::FailedPreconditionError(StrCat("the roster has ", roster.size,
                                                " clients; the session wants ", params.min_clients,
                                                " to ", params.max_clients));
  }
  MUSTER_RETURN_IF_ERROR(CheckShape(roster));
  return CheckGraphPlan(AssumptionsOf(params, roster.size), roster.neighbours, roster.threshold);
}

// Every entry is in the tree under the root, in the order of client ids, and the neighbours are
// those that the graph over that root gives.
absl::Status CheckTree(const RosterView& roster) {
  const RosterEntry& own = roster.own;
  if (!VerifyInclusion(LeafOf(own.advert), own.index, roster.size, own.proof, roster.root)) {
    return absl::InvalidArgumentError("this client's own advert is not in the roster");
  }
  const Graph graph(roster.size, roster.neighbours, roster.root);
  const std::vector<uint32_t> expected = graph.NeighboursOf(own.index);
  for (size_t i = 0; i < expected.size(); ++i) {
    const RosterEntry& other = roster.others[i];
    if (other.index != expected[i]) {
      return absl::InvalidArgumentError(StrCat("neighbour ", i, " of this client is client ",
                                               other.index, ", where the graph gives client ",
                                               expected[i]));
    }
    if (!VerifyInclusion(LeafOf(other.advert), other.index, roster.size, other.proof,
                         roster.root)) {
      return absl::InvalidArgumentError(
          StrCat("the advert of ", NameOf(other), " is not in the roster"));
    }
    if ((other.index < own.index) != (other.advert.client < own.advert.client) ||
        (i > 0 && other.advert.client <= roster.others[i - 1].advert.client)) {
      return absl::InvalidArgumentError(
          StrCat(NameOf(other), " stands out of the order of client ids; each client comes once"));
    }
  }
  return absl::OkStatus();
}

// No key comes twice, in either use: one secret would otherwise stand for two parties.
absl::Status CheckDistinctKeys(const RosterView& roster) {
  std::set<PublicKeyBytes> seen;
  const auto add = [&](const RosterEntry& entry) {
    return seen.insert(entry.advert.mask_key).second &&
           seen.insert(entry.advert.sharing_key).second;
  };
  if (!add(roster.own)) return absl::InvalidArgumentError("this client's two keys are equal");
  for (const RosterEntry& other : roster.others) {
    if (!add(other)) {
      return absl::InvalidArgumentError(
          StrCat(NameOf(other), " advertises a key that comes elsewhere in the roster"));
    }
  }
  return absl::OkStatus();
}

// The own advert is checked as well: its signature binds the parameters, so that a session cannot
// go on under others.
absl::Status CheckSignatures(const Params& params, const RosterView& roster, const Notary& notary) {
  const Digest pre_sid = PreSessionId(params);
  const auto check = [&](const RosterEntry& entry) {
    const Advert& advert = entry.advert;
    return Annotate(notary.Verify(advert.client, advert.certificate,
                                  AdvertStatement(pre_sid, params, advert), advert.signature),
                    StrCat("the advert of ", NameOf(entry)));
  };
  MUSTER_RETURN_IF_ERROR(check(roster.own));
  for (const RosterEntry& other : roster.others) MUSTER_RETURN_IF_ERROR(check(other));
  return absl::OkStatus();
}

struct OwnKeys {
  MaskAgreements mask;
  SharingAgreements sharing;
};

absl::StatusOr<std::string> SealFor(const Shared& state, const OwnKeys& keys,
                                    const RosterEntry& other, uint32_t holder,
                                    const SharePair& shares) {
  const uint32_t own = state.roster.own.index;
  MUSTER_ASSIGN_OR_RETURN(
      const ShareBoxKey key,
      BoxKey(state.sid, keys.sharing, other.advert.sharing_key, own, other.index));
  // Masks are derived after the shares are out, when a key of small order would be too late to
  // refuse.
  MUSTER_RETURN_IF_ERROR(
      PairMaskKey(state.sid, keys.mask, own, other.advert.mask_key, other.index).status());
  return SealShares(key,
                    {.sid = state.sid,
                     .sender = own,
                     .receiver = other.index,
                     .holder = holder,
                     .commitment = state.bundle.commitment},
                    shares);
}

absl::Status SealAll(Shared& state, RandomSource& random) {
  const RosterView& roster = state.roster;
  const OwnKeys keys{MaskAgreements(state.mask_key), SharingAgreements(state.sharing_key)};
  auto self_shares = SplitSecret(state.seed.span(), roster.neighbours, roster.threshold, random);
  auto key_shares = SplitSecret(state.mask_key.span(), roster.neighbours, roster.threshold, random);
  for (uint32_t holder = 0; holder < roster.neighbours; ++holder) {
    const SharePair shares{.self_share = std::move(self_shares[holder]),
                           .key_share = std::move(key_shares[holder])};
    auto box = SealFor(state, keys, roster.others[holder], holder, shares);
    if (!box.ok()) {
      return Annotate(box.status(), StrCat("the keys of ", NameOf(roster.others[holder])));
    }
    state.bundle.ciphertexts.push_back(*std::move(box));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Shared> Share(const Params& params, const Advertised& state,
                             const RosterView& roster, const Notary& notary, const Signer& signer,
                             RandomSource& random) {
  MUSTER_RETURN_IF_ERROR(CheckSize(params, roster));
  if (roster.own.advert != state.advert) {
    return absl::InvalidArgumentError(StrCat("the roster's entry for this client (index ",
                                             roster.own.index, ") is not the advert that it sent"));
  }
  MUSTER_RETURN_IF_ERROR(CheckTree(roster));
  MUSTER_RETURN_IF_ERROR(CheckDistinctKeys(roster));
  MUSTER_RETURN_IF_ERROR(CheckSignatures(params, roster, notary));

  Shared next;
  next.mask_key = state.mask_key.Clone();
  next.sharing_key = state.sharing_key.Clone();
  next.seed = state.seed.Clone();
  next.roster = roster;
  next.sid = SessionId(params, roster.size, roster.neighbours, roster.threshold, roster.root);
  next.bundle.commitment = Commitment(next.sid, roster.own.index, next.seed);
  MUSTER_RETURN_IF_ERROR(SealAll(next, random));
  MUSTER_ASSIGN_OR_RETURN(
      next.bundle.signature,
      signer.Sign(ShareStatement(next.sid, roster.own.index, next.bundle.commitment)));
  return next;
}

}  // namespace muster::secagg
