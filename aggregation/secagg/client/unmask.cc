// Phase 3b: one answer, to one set of survivors. For each neighbour in U1 it reveals one share or
// the other, never both: the self-mask seed's if the neighbour survived, else the mask key's.
#include "aggregation/secagg/client/checks.h"
#include "aggregation/secagg/client/client.h"
#include "aggregation/secagg/sets.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

// The state's Masked, if it is one that this mode answers from.
absl::StatusOr<const Masked*> AnswerableState(const Params& params, const ClientState& state) {
  if (params.mode == Mode::kMalicious) {
    if (const auto* agreed = std::get_if<Agreed>(&state)) return &agreed->masked;
  } else {
    if (const auto* masked = std::get_if<Masked>(&state)) return masked;
  }
  return absl::FailedPreconditionError(StrCat(
      "a client in state '", StateName(state), "' answers no unmask request; it must be in state '",
      params.mode == Mode::kMalicious ? "agreed" : "masked", "'"));
}

// At least t neighbours signed the very set that this client signed.
absl::Status CheckConsents(const Agreed& state, const UnmaskRequest& request,
                           const Notary& notary) {
  const RosterView& roster = state.masked.roster;
  if (SurvivorsDigest(state.masked.sid, request.survivors) != state.survivors) {
    return absl::FailedPreconditionError(
        "the coordinator asks about other survivors than this client consented to");
  }
  const std::string statement = ConsentStatement(state.masked.sid, state.survivors);
  const RosterEntry* last = nullptr;
  for (const NeighbourConsent& consent : request.consents) {
    const RosterEntry* neighbour = FindNeighbour(roster, consent.index);
    if (neighbour == nullptr || !Contains(request.survivors, consent.index)) {
      return absl::InvalidArgumentError(StrCat("a consent came from client ", consent.index,
                                               ", which is no surviving neighbour of this one"));
    }
    if (last != nullptr && last->index >= neighbour->index) {
      return absl::InvalidArgumentError(
          StrCat("the consent of ", NameOf(*neighbour), " comes twice or out of order"));
    }
    last = neighbour;
    MUSTER_RETURN_IF_ERROR(
        Annotate(notary.Verify(neighbour->advert.client, neighbour->advert.certificate, statement,
                               consent.signature),
                 StrCat("the consent of ", NameOf(*neighbour))));
  }
  if (request.consents.size() < roster.threshold) {
    return absl::FailedPreconditionError(StrCat(
        request.consents.size(), " of this client's ", roster.neighbours,
        " neighbours signed these survivors, fewer than the threshold of ", roster.threshold));
  }
  return absl::OkStatus();
}

std::string Reveal(const SecretBytes<kShareBytes>& share) {
  return std::string(reinterpret_cast<const char*>(share.span().data()), kShareBytes);
}

}  // namespace

absl::StatusOr<Answered> Unmask(const Params& params, const ClientState& state,
                                const UnmaskRequest& request, const Notary& notary) {
  MUSTER_ASSIGN_OR_RETURN(const Masked* masked, AnswerableState(params, state));
  MUSTER_RETURN_IF_ERROR(CheckSurvivors(params, *masked, request.survivors));
  if (params.mode == Mode::kMalicious) {
    MUSTER_RETURN_IF_ERROR(CheckConsents(std::get<Agreed>(state), request, notary));
  } else if (!request.consents.empty()) {
    return absl::InvalidArgumentError(
        StrCat("the request carries ", request.consents.size(),
               " consents, but this session is semi-honest and has none"));
  }
  Answered next{.sid = masked->sid, .survivors = SurvivorsDigest(masked->sid, request.survivors)};
  for (const HeldShare& held : masked->held) {
    if (Contains(request.survivors, held.index)) {
      next.reply.self_shares.push_back({held.index, Reveal(held.shares.self_share)});
    } else {
      next.reply.key_shares.push_back({held.index, Reveal(held.shares.key_share)});
    }
  }
  return next;
}

absl::Status CheckRepeated(const Answered& state, const UnmaskRequest& request) {
  if (SurvivorsDigest(state.sid, request.survivors) == state.survivors) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "this client answered for another set of survivors; it answers for one only");
}

}  // namespace muster::secagg
