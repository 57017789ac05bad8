// Phase 3a, malicious mode: each survivor signs the one set of survivors that it was shown, so that
// a coordinator cannot show different sets to different clients.
#include "aggregation/secagg/client/checks.h"
#include "aggregation/secagg/client/client.h"
#include "aggregation/secagg/sets.h"
#include "proto/core/status.h"

namespace muster::secagg {
namespace {

Masked Copy(const Masked& state) {
  Masked copy{.roster = state.roster, .sid = state.sid, .report = state.report};
  for (const HeldShare& held : state.held) {
    copy.held.push_back(
        {.index = held.index,
         .shares = {.self_share = SecretBytes<kShareBytes>(held.shares.self_share.span()),
                    .key_share = SecretBytes<kShareBytes>(held.shares.key_share.span())}});
  }
  return copy;
}

}  // namespace

absl::StatusOr<Agreed> Agree(const Params& params, const Masked& state, const ClientSet& survivors,
                             const Signer& signer) {
  if (params.mode != Mode::kMalicious) {
    return absl::FailedPreconditionError(
        "this session is semi-honest: survivors sign nothing before unmasking");
  }
  MUSTER_RETURN_IF_ERROR(CheckSurvivors(params, state, survivors));
  Agreed next{.masked = Copy(state), .survivors = SurvivorsDigest(state.sid, survivors)};
  MUSTER_ASSIGN_OR_RETURN(next.consent.signature,
                          signer.Sign(ConsentStatement(state.sid, next.survivors)));
  return next;
}

absl::Status CheckRepeated(const Agreed& state, const ClientSet& survivors) {
  if (SurvivorsDigest(state.masked.sid, survivors) == state.survivors) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "this client consented to another set of survivors; it consents to one only");
}

}  // namespace muster::secagg
