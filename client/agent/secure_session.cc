#include "client/agent/secure_session.h"

#include <filesystem>
#include <utility>

#include "client/agent/core.h"
#include "client/agent/secure_masking.h"
#include "client/agent/text.h"
#include "proto/codec/secagg_codec.h"
#include "proto/core/limits.h"
#include "proto/core/log.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using secagg::AwaitedPhase;
using secagg::Phase;
using text::Cat;
using text::View;

static_assert(limits::kSecAggBoxBytes == secagg::kBoxBytes);
static_assert(limits::kSecAggShareBytes == secagg::kShareBytes);
static_assert(limits::kMaxSecAggMetrics == secagg::kMaxRingMetrics);

constexpr char kStateLabel[] = "secagg state";

}  // namespace

absl::StatusOr<std::string> SecureSession::Run() {
  MUSTER_ASSIGN_OR_RETURN(std::optional<Refusal> lost, Load());
  for (;;) {
    MUSTER_RETURN_IF_ERROR(bounds_.Check());
    Went went = End{};
    if (lost.has_value()) {
      went = *std::exchange(lost, std::nullopt);
    } else {
      MUSTER_ASSIGN_OR_RETURN(went, Step());
    }
    if (const auto* end = std::get_if<End>(&went)) return end->outcome;
    if (auto* refusal = std::get_if<Refusal>(&went)) {
      LogWarning("this device leaves a secure aggregation session",
                 {{"invocation", invocation_.id.value()}, {"reason", refusal->reason}});
      MUSTER_RETURN_IF_ERROR(Keep(secagg::Refused{std::move(refusal->reason)}));
    } else {
      MUSTER_RETURN_IF_ERROR(Keep(std::move(std::get<Next>(went).state)));
    }
    LogDebug("secure aggregation",
             {{"invocation", invocation_.id.value()}, {"state", secagg::StateName(*state_)}});
  }
}

absl::StatusOr<std::optional<SecureSession::Refusal>> SecureSession::Load() {
  auto stored = parts_.journal.FindSecAggSession(invocation_.id);
  if (absl::IsDataLoss(stored.status())) {
    return Refusal{std::string(stored.status().message())};
  }
  MUSTER_RETURN_IF_ERROR(stored.status());
  if (!stored->has_value()) return std::nullopt;
  params_ = std::move((*stored)->params);
  refused_phase_ = (*stored)->phase;
  masking_ = (*stored)->masking;
  auto plain = parts_.vault.Open(invocation_.id, kStateLabel, (*stored)->sealed);
  if (absl::IsDataLoss(plain.status())) return Refusal{std::string(plain.status().message())};
  MUSTER_RETURN_IF_ERROR(plain.status());
  auto state = secagg::ParseState(plain->view());
  if (!state.ok()) {
    return Refusal{Cat("the stored state cannot be read: ", View(state.status().message()))};
  }
  state_ = *std::move(state);
  if (!params_.has_value() && !std::holds_alternative<secagg::Refused>(*state_)) {
    return Refusal{"the stored session has no parameters"};
  }
  return std::nullopt;
}

absl::Status SecureSession::Keep(secagg::ClientState state) {
  if (std::holds_alternative<secagg::Refused>(state)) {
    refused_phase_ = phase();
  }
  state_ = std::move(state);
  const SecretText plain(secagg::EncodeState(*state_));
  MUSTER_ASSIGN_OR_RETURN(std::string sealed,
                          parts_.vault.Seal(invocation_.id, kStateLabel, plain.view()));
  MUSTER_RETURN_IF_ERROR(
      parts_.journal.PutSecAggSession(invocation_.id, {.params = params_,
                                                       .phase = phase(),
                                                       .masking = masking_,
                                                       .sealed = std::move(sealed),
                                                       .updated = parts_.clock.Now()}));
  if (std::holds_alternative<secagg::Masked>(*state_)) {
    // Nothing may ever be masked again from it.
    std::error_code ignored;
    std::filesystem::remove(parts_.dir.update(invocation_.id.value()), ignored);
  }
  return absl::OkStatus();
}

Phase SecureSession::phase() const {
  if (!state_.has_value() || std::holds_alternative<secagg::Refused>(*state_)) {
    return refused_phase_;
  }
  if (std::holds_alternative<secagg::Advertised>(*state_)) return Phase::kShare;
  if (std::holds_alternative<secagg::Shared>(*state_)) return Phase::kMasked;
  if (std::holds_alternative<secagg::Masked>(*state_) &&
      params_->mode == secagg::Mode::kMalicious) {
    return Phase::kConsistency;
  }
  return Phase::kUnmask;
}

template <typename State>
SecureSession::Went SecureSession::Decide(absl::StatusOr<State> next) {
  if (!next.ok()) return Refusal{std::string(next.status().message())};
  return Next{*std::move(next)};
}

template <typename T, typename Use>
absl::StatusOr<SecureSession::Went> SecureSession::Await(AwaitedPhase phase, const Use& use) {
  MUSTER_ASSIGN_OR_RETURN(const v1::AwaitResponse wire, link_.Await(phase));
  const absl::StatusOr<secagg::Awaited> awaited = DecodeAwaited(wire);
  if (!awaited.ok()) return Went(Refusal{std::string(awaited.status().message())});
  if (const auto* closed = std::get_if<secagg::Closed>(&*awaited)) {
    return Went(End{Cat("closed: ", closed->reason)});
  }
  if (const auto* answer = std::get_if<T>(&*awaited)) return use(*answer);
  return Went(Refusal{"the coordinator answered something else than it was asked for"});
}

std::optional<SecureSession::End> SecureSession::Over(const OfferAnswer& answer) {
  if (answer.verdict != Verdict::kRefused) return std::nullopt;
  return End{Cat("refused: ", answer.reason)};
}

// All signatures of a session are those of the certificate that it was begun with.
std::optional<SecureSession::Refusal> SecureSession::WhyNotSign(
    const secagg::Advert& advert) const {
  if (advert.certificate == identity_.certificate()) return std::nullopt;
  return Refusal{"this device's certificate was renewed while the session ran"};
}

absl::StatusOr<SecureSession::Went> SecureSession::Step() {
  if (!state_.has_value()) return Begin();
  return std::visit([this](const auto& state) { return From(state); }, *state_);
}

absl::StatusOr<SecureSession::Went> SecureSession::Begin() {
  MUSTER_ASSIGN_OR_RETURN(const v1::JoinResponse wire, link_.Join());
  absl::StatusOr<secagg::JoinAnswer> answer = DecodeJoinAnswer(wire);
  if (!answer.ok()) return Went(Refusal{std::string(answer.status().message())});
  if (const auto* closed = std::get_if<secagg::Closed>(&*answer)) {
    return Went(End{Cat("closed: ", closed->reason)});
  }
  params_ = std::get<secagg::Params>(*std::move(answer));
  if (params_->job != invocation_.job || params_->round != invocation_.round ||
      params_->attempt != invocation_.attempt) {
    return Went(
        Refusal{Cat("the session is that of ", params_->job.value(), " round ", params_->round,
                    " attempt ", params_->attempt, ", not that of this invocation")});
  }
  return Decide(secagg::Advertise(*params_, invocation_.package, identity_, parts_.random));
}

absl::StatusOr<SecureSession::Went> SecureSession::From(const secagg::Advertised& state) {
  Metering cost = offer_.metering;
  cost.bytes_up = 0;  // the update itself goes nowhere
  MUSTER_ASSIGN_OR_RETURN(const OfferAnswer answer, link_.Advertise(state.advert, cost));
  if (auto over = Over(answer)) return Went(*std::move(over));
  return Await<secagg::RosterView>(
      AwaitedPhase::kRoster, [&](const secagg::RosterView& roster) -> absl::StatusOr<Went> {
        if (auto why = WhyNotSign(state.advert)) return Went(*std::move(why));
        return Decide(secagg::Share(*params_, state, roster, identity_, identity_, parts_.random));
      });
}

absl::StatusOr<SecureSession::Went> SecureSession::From(const secagg::Shared& state) {
  MUSTER_ASSIGN_OR_RETURN(const OfferAnswer answer, link_.Share(state.bundle));
  if (auto over = Over(answer)) return Went(*std::move(over));
  return Await<secagg::SharesView>(AwaitedPhase::kShares, [&](const secagg::SharesView& view) {
    return MaskVector(state, view);
  });
}

absl::StatusOr<SecureSession::Went> SecureSession::MaskVector(const secagg::Shared& state,
                                                              const secagg::SharesView& view) {
  if (auto why = WhyNotSign(state.roster.own.advert)) return Went(*std::move(why));
  auto masking = secagg::PrepareMasks(*params_, state, view, identity_);
  if (!masking.ok()) return Went(Refusal{std::string(masking.status().message())});
  const std::string& id = invocation_.id.value();
  SeededRandom rounding(DeriveSeed(invocation_.seed, kRoundingLabel));
  const absl::StatusOr<MaskedVector> vector = WriteMasked(
      *params_, {.examples = offer_.examples, .metrics = offer_.metrics}, parts_.dir.update(id),
      std::move(masking->masks), rounding, parts_.random, parts_.dir.masked(id));
  if (absl::IsInvalidArgument(vector.status()) || absl::IsNotFound(vector.status())) {
    return Went(Refusal{std::string(vector.status().message())});
  }
  MUSTER_RETURN_IF_ERROR(vector.status());
  masking_ = vector->cost;
  just_masked_ = true;
  return Decide(secagg::FinishMasked(*std::move(masking), vector->digest, identity_));
}

absl::StatusOr<OfferAnswer> SecureSession::SendMasked(const secagg::MaskedReport& report) {
  // After a restart the coordinator may have it in its sum already: then it needs no second one.
  if (!just_masked_) {
    absl::StatusOr<OfferAnswer> answer = link_.SubmitMasked(report, masking_);
    if (!absl::IsFailedPrecondition(answer.status()) && !absl::IsNotFound(answer.status())) {
      return answer;
    }
  }
  for (bool again = false;; again = true) {
    MUSTER_RETURN_IF_ERROR(
        uplink_.blobs->Upload(report.vector, parts_.dir.masked(invocation_.id.value()), bounds_));
    absl::StatusOr<OfferAnswer> answer = link_.SubmitMasked(report, masking_);
    const bool swept = absl::IsFailedPrecondition(answer.status()) ||
                       absl::IsNotFound(answer.status());  // the staging, meanwhile
    if (again || !swept) return answer;
  }
}

absl::StatusOr<SecureSession::Went> SecureSession::From(const secagg::Masked& state) {
  MUSTER_ASSIGN_OR_RETURN(const OfferAnswer answer, SendMasked(state.report));
  if (auto over = Over(answer)) return Went(*std::move(over));
  if (params_->mode == secagg::Mode::kSemiHonest) return AwaitUnmask();
  return Await<secagg::Survivors>(
      AwaitedPhase::kSurvivors, [&](const secagg::Survivors& survivors) -> absl::StatusOr<Went> {
        if (auto why = WhyNotSign(state.roster.own.advert)) return Went(*std::move(why));
        return Decide(secagg::Agree(*params_, state, survivors.clients, identity_));
      });
}

absl::StatusOr<SecureSession::Went> SecureSession::From(const secagg::Agreed& state) {
  MUSTER_ASSIGN_OR_RETURN(const OfferAnswer answer, link_.Agree(state.consent));
  if (auto over = Over(answer)) return Went(*std::move(over));
  return AwaitUnmask();
}

absl::StatusOr<SecureSession::Went> SecureSession::AwaitUnmask() {
  return Await<secagg::UnmaskRequest>(
      AwaitedPhase::kUnmask, [&](const secagg::UnmaskRequest& request) -> absl::StatusOr<Went> {
        return Decide(secagg::Unmask(*params_, *state_, request, identity_));
      });
}

absl::StatusOr<SecureSession::Went> SecureSession::From(const secagg::Answered& state) {
  MUSTER_ASSIGN_OR_RETURN(const OfferAnswer answer, link_.Unmask(state.reply));
  if (auto over = Over(answer)) return Went(*std::move(over));
  const bool before = answer.verdict == Verdict::kDuplicate;
  return Went(End{before ? "accepted before" : "accepted"});
}

absl::StatusOr<SecureSession::Went> SecureSession::From(const secagg::Refused& state) {
  const absl::Status said = link_.Refuse(refused_phase_, state.reason).status();
  // Where nobody wants to know any more, there is nobody to tell.
  if (!said.ok() && (IsTransient(said.code()) || IsRefusal(said.code()))) return said;
  return Went(End{Cat("given up: ", state.reason)});
}

}  // namespace muster
