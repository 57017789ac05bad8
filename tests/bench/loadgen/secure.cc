// A device's part in a secure round: the protocol's own steps, one message after the other.
#include <utility>
#include <variant>

#include "client/agent/secagg_identity.h"
#include "proto/codec/secagg_codec.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "tests/bench/loadgen/participant.h"

namespace muster::load {
namespace {

using secagg::AwaitedPhase;

constexpr auto kHeldSlack = std::chrono::seconds(60);  // beyond the time that a call may be held
constexpr Duration kAskAgain = std::chrono::milliseconds(200);
constexpr char kNotNeeded[] = "not needed any more";

absl::Status Over(const std::string& reason) { return absl::FailedPreconditionError(reason); }

}  // namespace

template <typename Request>
Co<absl::Status> Participant::Tell(std::string name,
                                   AsyncMethod<SecAggAsync, Request, v1::SecAggAnswer> method,
                                   Request request) {
  co_await PauseIfSlow();
  auto call = Call(parts_.caller, name, *device_.secagg().async(), method, request);
  LOAD_ASSIGN_OR_RETURN(const v1::SecAggAnswer wire, co_await call);
  LOAD_ASSIGN_OR_RETURN(const OfferAnswer answer, DecodeSecAggAnswer(wire));
  co_return answer.verdict == Verdict::kRefused ? Over(answer.reason) : absl::OkStatus();
}

template <typename Wanted>
Co<absl::StatusOr<Wanted>> Participant::Await(AwaitedPhase phase) {
  while (true) {
    const secagg::AwaitAsk ask{
        .invocation = invocation_.id, .phase = phase, .wait = limits::kMaxCheckInWait};
    const v1::AwaitRequest request = EncodeAwait(ask);
    auto call = Call(parts_.caller, "Await", *device_.secagg().async(), &SecAggAsync::Await,
                     request, limits::kMaxCheckInWait + kHeldSlack);
    LOAD_ASSIGN_OR_RETURN(const v1::AwaitResponse wire, co_await call);
    LOAD_ASSIGN_OR_RETURN(secagg::Awaited awaited, DecodeAwaited(wire));
    if (auto* wanted = std::get_if<Wanted>(&awaited)) co_return std::move(*wanted);
    if (const auto* closed = std::get_if<secagg::Closed>(&awaited)) co_return Over(closed->reason);
    if (!std::holds_alternative<secagg::Pending>(awaited)) {
      co_return absl::InternalError("the coordinator answered something else than was asked");
    }
    co_await parts_.caller.pool.Sleep(kAskAgain);
  }
}

Co<absl::StatusOr<std::string>> Participant::Leave(secagg::Phase phase) {
  if (!parts_.plan.drop_silently) {
    const secagg::Refusal refusal{invocation_.id, phase, "it was told to leave"};
    auto telling = Tell<v1::RefuseRequest>("Refuse", &SecAggAsync::Refuse, EncodeRefusal(refusal));
    LOAD_RETURN_IF_ERROR(co_await telling);
  }
  co_return std::string("left");
}

absl::StatusOr<secagg::Masked> Participant::MaskAndUpload(const secagg::Params& params,
                                                          secagg::Masking masking) {
  const SpoolFile file = Spool();
  MUSTER_ASSIGN_OR_RETURN(
      const Digest digest,
      WriteMaskedUpdate(number_, params, kExamples, std::move(masking.masks), random_, file));
  MUSTER_RETURN_IF_ERROR(Upload(digest, file));
  return secagg::FinishMasked(std::move(masking), digest, *identity_);
}

Co<absl::StatusOr<secagg::Masked>> Participant::Mask(const secagg::Params& params,
                                                     const secagg::Shared& state,
                                                     const secagg::SharesView& view) {
  LOAD_ASSIGN_OR_RETURN(secagg::Masking masking,
                        secagg::PrepareMasks(params, state, view, parts_.notary));
  co_await parts_.heavy.Enter();
  absl::StatusOr<secagg::Masked> masked = MaskAndUpload(params, std::move(masking));
  co_await parts_.caller.pool.Enter();
  co_return std::move(masked);
}

Co<absl::StatusOr<std::string>> Participant::Secure() {
  LOAD_ASSIGN_OR_RETURN(identity_, SecAggIdentity::From(device_.identity(), parts_.clock));
  const v1::JoinRequest request = EncodeJoin({.invocation = invocation_.id});
  auto joining =
      Call(parts_.caller, "Join", *device_.secagg().async(), &SecAggAsync::Join, request);
  LOAD_ASSIGN_OR_RETURN(const v1::JoinResponse wire, co_await joining);
  LOAD_ASSIGN_OR_RETURN(const secagg::JoinAnswer joined, DecodeJoinAnswer(wire));
  if (const auto* closed = std::get_if<secagg::Closed>(&joined)) co_return Over(closed->reason);
  const auto& params = std::get<secagg::Params>(joined);

  LOAD_ASSIGN_OR_RETURN(const secagg::Advertised advertised,
                        secagg::Advertise(params, invocation_.package, *identity_, random_));
  const secagg::AdvertOffer advert{invocation_.id, advertised.advert, Metering{}};
  auto advertising =
      Tell<v1::AdvertiseRequest>("Advertise", &SecAggAsync::Advertise, EncodeAdvertOffer(advert));
  LOAD_RETURN_IF_ERROR(co_await advertising);
  LOAD_ASSIGN_OR_RETURN(const secagg::RosterView roster,
                        co_await Await<secagg::RosterView>(AwaitedPhase::kRoster));
  LOAD_ASSIGN_OR_RETURN(
      const secagg::Shared shared,
      secagg::Share(params, advertised, roster, parts_.notary, *identity_, random_));
  const secagg::ShareOffer bundle{invocation_.id, shared.bundle};
  auto sharing = Tell<v1::ShareRequest>("Share", &SecAggAsync::Share, EncodeShareOffer(bundle));
  LOAD_RETURN_IF_ERROR(co_await sharing);
  LOAD_ASSIGN_OR_RETURN(const secagg::SharesView shares,
                        co_await Await<secagg::SharesView>(AwaitedPhase::kShares));
  if (leaves_ && !leaves_late_) co_return co_await Leave(secagg::Phase::kMasked);

  LOAD_ASSIGN_OR_RETURN(secagg::Masked masked, co_await Mask(params, shared, shares));
  const secagg::MaskedOffer report{invocation_.id, masked.report, Metering{}};
  auto reporting = Tell<v1::SubmitMaskedRequest>("SubmitMasked", &SecAggAsync::SubmitMasked,
                                                 EncodeMaskedOffer(report));
  LOAD_RETURN_IF_ERROR(co_await reporting);
  if (leaves_) co_return co_await Leave(secagg::Phase::kUnmask);
  co_return co_await Unmask(params, std::move(masked));
}

Co<absl::StatusOr<std::string>> Participant::Unmask(const secagg::Params& params,
                                                    secagg::Masked masked) {
  std::optional<secagg::ClientState> state;
  if (params.mode == secagg::Mode::kMalicious) {
    LOAD_ASSIGN_OR_RETURN(const secagg::Survivors survivors,
                          co_await Await<secagg::Survivors>(AwaitedPhase::kSurvivors));
    LOAD_ASSIGN_OR_RETURN(secagg::Agreed agreed,
                          secagg::Agree(params, masked, survivors.clients, *identity_));
    const secagg::ConsentOffer consent{invocation_.id, agreed.consent};
    auto agreeing =
        Tell<v1::AgreeRequest>("Agree", &SecAggAsync::Agree, EncodeConsentOffer(consent));
    LOAD_RETURN_IF_ERROR(co_await agreeing);
    state.emplace(std::move(agreed));
  } else {
    state.emplace(std::move(masked));
  }
  // Whoever comes once the shares suffice is told that it is over: its vector is in the sum.
  absl::StatusOr<secagg::UnmaskRequest> request =
      co_await Await<secagg::UnmaskRequest>(AwaitedPhase::kUnmask);
  if (absl::IsFailedPrecondition(request.status())) co_return std::string(kNotNeeded);
  LOAD_RETURN_IF_ERROR(request.status());
  LOAD_ASSIGN_OR_RETURN(const secagg::Answered answered,
                        secagg::Unmask(params, *state, *request, parts_.notary));
  const secagg::UnmaskOffer reply{invocation_.id, answered.reply};
  auto revealing =
      Tell<v1::UnmaskSharesRequest>("Unmask", &SecAggAsync::Unmask, EncodeUnmaskOffer(reply));
  const absl::Status told = co_await revealing;
  if (absl::IsFailedPrecondition(told)) co_return std::string(kNotNeeded);
  LOAD_RETURN_IF_ERROR(told);
  co_return std::string("accepted");
}

}  // namespace muster::load
