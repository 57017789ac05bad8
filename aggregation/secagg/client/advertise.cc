// Phase 0: fresh keys and a signed advert, under parameters that are safe.
#include "aggregation/secagg/client/checks.h"
#include "aggregation/secagg/client/client.h"
#include "aggregation/secagg/finder.h"
#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/transcript.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

absl::Status CheckFraction(std::string_view what, double fraction) {
  // NaN fails this comparison too.
  if (fraction >= 0 && fraction < limits::kMaxClientFraction) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat("the fraction of clients that may ", what, " is ",
                                           fraction, "; it must be at least 0 and less than ",
                                           limits::kMaxClientFraction));
}

absl::Status CheckSafe(const Params& params, const Digest& trained) {
  MUSTER_RETURN_IF_ERROR(CheckParams(params));
  if (params.min_clients < kMinClients) {
    return absl::InvalidArgumentError(StrCat("the session would reveal a sum of ",
                                             params.min_clients, " clients; at least ", kMinClients,
                                             " must be in it"));
  }
  MUSTER_RETURN_IF_ERROR(CheckFraction("drop out", params.drop));
  MUSTER_RETURN_IF_ERROR(CheckFraction("collude", params.corrupt));
  if (params.nonce.empty()) {
    return absl::InvalidArgumentError("the session has no nonce, so that it could be a replay");
  }
  if (params.model != trained || trained.empty()) {
    return absl::InvalidArgumentError(StrCat("the session is about model ", params.model.hex(),
                                             ", but this client trained from ", trained.hex()));
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view StateName(const ClientState& state) {
  constexpr std::string_view kNames[] = {"advertised", "shared",   "masked",
                                         "agreed",     "answered", "refused"};
  static_assert(std::size(kNames) == std::variant_size_v<ClientState>);
  return kNames[state.index()];
}

absl::StatusOr<Advertised> Advertise(const Params& params, const Digest& trained,
                                     const Signer& signer, RandomSource& random) {
  MUSTER_RETURN_IF_ERROR(CheckSafe(params, trained));
  Advertised next;
  next.mask_key = MaskSecretKey::Fresh(random);
  next.sharing_key = SharingSecretKey::Fresh(random);
  next.seed = SelfSeed::Fresh(random);
  std::array<uint8_t, Digest::kSize> nonce;
  random.Fill(nonce);
  next.advert = {.client = signer.id(),
                 .mask_key = PublicKeyOf(next.mask_key),
                 .sharing_key = PublicKeyOf(next.sharing_key),
                 .nonce = Digest(nonce),
                 .certificate = signer.certificate()};
  MUSTER_ASSIGN_OR_RETURN(next.advert.signature,
                          signer.Sign(AdvertStatement(PreSessionId(params), params, next.advert)));
  return next;
}

}  // namespace muster::secagg
