#include "coordinator/drive/exchange.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "aggregation/secagg/transcript.h"
#include "coordinator/drive/offers.h"
#include "coordinator/drive/secagg_session.h"
#include "coordinator/drive/transitions.h"
#include "proto/codec/secagg_bytes.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using secagg::AwaitedPhase;

bool IsSecure(const RoundRecord& round) {
  return round.policy.aggregation != AggregationMode::kClear;
}

// Refusals that no repetition changes.
bool IsFinal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsUnauthenticated(status) ||
         absl::IsFailedPrecondition(status);
}

// What the members of a session have so far, as one snapshot.
struct View {
  RoundRecord round;
  SecAggSessionRecord session;
  std::shared_ptr<const secagg::Roster> roster;
  std::optional<uint32_t> index;  // of the device
};

absl::StatusOr<View> LoadView(const StoreReader& reader, SecAggRosters& rosters,
                              const RoundId& round, const DeviceId& device) {
  View view;
  MUSTER_ASSIGN_OR_RETURN(view.round, reader.FindRound(round));
  MUSTER_ASSIGN_OR_RETURN(view.session, reader.FindSecAggSession(round));
  if (view.session.roster_root.empty()) return view;
  MUSTER_ASSIGN_OR_RETURN(view.roster, rosters.Get(reader, round));
  view.index = view.roster->IndexOf(device);
  return view;
}

std::string EndedReason(const RoundRecord& round) {
  if (const auto* abandoned = std::get_if<Abandoned>(&round.state)) {
    return StrCat("the round was abandoned: ", abandoned->reason);
  }
  return StrCat("late: the round is ", PhaseName(round.state));
}

}  // namespace

// One message of one step: how it is told apart, checked, and what it causes.
struct SecureExchange::Step {
  InvocationId invocation;
  SecAggStep step = SecAggStep::kAdvert;
  std::string message;
  std::function<bool(const RoundState&)> is_open;
  // Against the snapshot; a final refusal ends the device's part.
  std::function<absl::Status(const StoreReader&, const View&)> check;
  // In the transaction, after the message was added: the event.
  std::function<absl::StatusOr<RoundEvent>(StoreTx&, const RoundRecord&)> event;
  std::optional<Metering> metering;  // of the run, with the advert
};

absl::StatusOr<RoundId> SecureExchange::RoundOf(const DeviceId& device,
                                                const InvocationId& invocation) const {
  RoundId round;
  MUSTER_RETURN_IF_ERROR(context_.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const InvocationRecord record, FindOwn(reader, device, invocation));
    round = record.round;
    return absl::OkStatus();
  }));
  return round;
}

// The first device that has an update fixes the session: by then it is known who was invited, and
// on how many examples each trains.
absl::Status SecureExchange::OpenSession(const RoundId& id) {
  return Transact(context_, [&](StoreTx& tx, AfterCommit&) -> absl::Status {
    const absl::Status known = tx.FindSecAggSession(id).status();
    if (!absl::IsNotFound(known)) return known;
    MUSTER_ASSIGN_OR_RETURN(const RoundRecord round, tx.FindRound(id));
    MUSTER_ASSIGN_OR_RETURN(const JobRecord job, tx.FindJob(id.job));
    uint64_t examples_cap = 1;
    MUSTER_ASSIGN_OR_RETURN(const auto invited, tx.ListInvocations(id, FunctionKind::kTrain));
    for (const InvocationRecord& invocation : invited) {
      MUSTER_ASSIGN_OR_RETURN(const DeviceRecord device, tx.FindDevice(invocation.device));
      examples_cap = std::max(examples_cap, device.eligibility.train_examples);
    }
    MUSTER_ASSIGN_OR_RETURN(const secagg::Params params,
                            MakeParams(job, round, examples_cap, context_.random));
    return tx.PutSecAggSession({.round = id, .params = SerializeSecAgg(params)});
  });
}

absl::StatusOr<secagg::JoinAnswer> SecureExchange::Join(const DeviceId& device,
                                                        const secagg::JoinAsk& ask) {
  MUSTER_ASSIGN_OR_RETURN(const RoundId id, RoundOf(device, ask.invocation));
  std::optional<secagg::JoinAnswer> answer;
  const auto look = [&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const InvocationRecord invocation,
                            FindOwn(reader, device, ask.invocation));
    MUSTER_ASSIGN_OR_RETURN(const RoundRecord round, reader.FindRound(id));
    if (!IsSecure(round)) {
      answer = secagg::Closed{"this round aggregates in the clear"};
      return absl::OkStatus();
    }
    if (!std::holds_alternative<Collecting>(round.state) ||
        invocation.status != InvocationStatus::kOpen) {
      answer = secagg::Closed{invocation.reason.empty() ? EndedReason(round) : invocation.reason};
      return absl::OkStatus();
    }
    auto params = ReadParams(reader, id);
    if (absl::IsNotFound(params.status())) return absl::OkStatus();
    MUSTER_RETURN_IF_ERROR(params.status());
    answer = *std::move(params);
    return absl::OkStatus();
  };
  MUSTER_RETURN_IF_ERROR(context_.store.Read(look));
  if (!answer) {
    MUSTER_RETURN_IF_ERROR(OpenSession(id));
    MUSTER_RETURN_IF_ERROR(context_.store.Read(look));
  }
  if (!answer) return absl::InternalError("the session was not stored");
  return *std::move(answer);
}

absl::StatusOr<OfferAnswer> SecureExchange::Take(const DeviceId& device, const Step& step) {
  MUSTER_ASSIGN_OR_RETURN(const RoundId id, RoundOf(device, step.invocation));
  // Sent before: the same is fine, at any time; anything else never is.
  const auto repeated =
      [&](const StoreReader& reader) -> absl::StatusOr<std::optional<OfferAnswer>> {
    auto sent = reader.FindSecAggMessage(id, step.step, device);
    if (absl::IsNotFound(sent.status())) return std::optional<OfferAnswer>();
    MUSTER_RETURN_IF_ERROR(sent.status());
    if (sent->message == step.message) {
      return std::optional(OfferAnswer{Verdict::kDuplicate, "taken before"});
    }
    return std::optional(RefusedAnswer(
        StrCat("another ", SecAggStepName(step.step), " of this device was taken before")));
  };
  std::optional<OfferAnswer> decided;
  absl::Status check;
  MUSTER_RETURN_IF_ERROR(context_.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(decided, repeated(reader));
    if (decided) return absl::OkStatus();
    MUSTER_ASSIGN_OR_RETURN(const View view, LoadView(reader, context_.rosters, id, device));
    if (!step.is_open(view.round.state)) {
      decided = RefusedAnswer(EndedReason(view.round));
      return absl::OkStatus();
    }
    check = step.check(reader, view);
    return absl::OkStatus();
  }));
  if (decided) return *decided;
  if (IsFinal(check)) {
    return RefuseForGood(context_, device, step.invocation, Digest(),
                         step.metering.value_or(Metering{}), std::string(check.message()));
  }
  MUSTER_RETURN_IF_ERROR(check);

  OfferAnswer answer;
  MUSTER_RETURN_IF_ERROR(Transact(context_, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    const Timestamp now = context_.clock.Now();
    MUSTER_ASSIGN_OR_RETURN(const auto before, repeated(tx));
    if (before) {
      answer = *before;
      return absl::OkStatus();
    }
    MUSTER_ASSIGN_OR_RETURN(RoundRecord round, tx.FindRound(id));
    if (!step.is_open(round.state)) {
      answer = RefusedAnswer(EndedReason(round));
      return absl::OkStatus();
    }
    MUSTER_ASSIGN_OR_RETURN(InvocationRecord invocation, FindOwn(tx, device, step.invocation));
    if (invocation.status != InvocationStatus::kOpen &&
        invocation.status != InvocationStatus::kReported) {
      answer = RefusedAnswer(invocation.reason);
      return absl::OkStatus();
    }
    MUSTER_RETURN_IF_ERROR(tx.AddSecAggMessage(
        {.round = id, .step = step.step, .device = device, .message = step.message}));
    if (step.metering) {
      invocation.metering = *step.metering;
      MUSTER_RETURN_IF_ERROR(tx.PutInvocation(invocation));
      MUSTER_RETURN_IF_ERROR(CountUsage(tx, id.job.value(), device, *step.metering, 1));
      round.bytes_down += step.metering->bytes_down;
    }
    MUSTER_ASSIGN_OR_RETURN(const RoundEvent event, step.event(tx, round));
    MUSTER_ASSIGN_OR_RETURN(const auto ignored,
                            ApplyToRound(tx, after, round, event, now, context_.options));
    if (ignored) return absl::InternalError(StrCat("a step was refused: ", ignored->why));
    answer = {Verdict::kAccepted, ""};
    return absl::OkStatus();
  }));
  return answer;
}

absl::StatusOr<OfferAnswer> SecureExchange::Advertise(const DeviceId& device,
                                                      const secagg::AdvertOffer& offer) {
  return Take(device,
              {.invocation = offer.invocation,
               .step = SecAggStep::kAdvert,
               .message = SerializeSecAgg(offer.advert),
               .is_open = [](const RoundState& s) { return std::holds_alternative<Collecting>(s); },
               .check = [&](const StoreReader& reader, const View& view) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const secagg::Params params,
                                         ReadParams(reader, view.round.id));
                 return secagg::CheckAdvert(params, device, offer.advert, context_.notary);
               },
               .event = [](StoreTx&, const RoundRecord&) -> absl::StatusOr<RoundEvent> {
                 return DevicesReported{.count = 1};
               },
               .metering = offer.metering});
}

namespace {

absl::Status NotInRoster() {
  return absl::FailedPreconditionError("this device is not in the round's roster");
}

absl::StatusOr<RoundEvent> OneAnswered(StoreTx&, const RoundRecord&) {
  return DevicesAnswered{.count = 1};
}

}  // namespace

absl::StatusOr<OfferAnswer> SecureExchange::Share(const DeviceId& device,
                                                  const secagg::ShareOffer& offer) {
  return Take(device,
              {.invocation = offer.invocation,
               .step = SecAggStep::kShares,
               .message = SerializeSecAgg(offer),
               .is_open = [](const RoundState& s) { return std::holds_alternative<Sharing>(s); },
               .check = [&](const StoreReader&, const View& view) -> absl::Status {
                 if (!view.index) return NotInRoster();
                 return secagg::CheckBundle(*view.roster, *view.index, offer.bundle,
                                            context_.notary);
               },
               .event = OneAnswered});
}

void SecureExchange::SubmitMasked(const DeviceId& device, const secagg::MaskedOffer& offer,
                                  UpdateIntake::Answer answer) {
  absl::Status check;
  const absl::Status read = context_.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const InvocationRecord record,
                            FindOwn(reader, device, offer.invocation));
    MUSTER_ASSIGN_OR_RETURN(const View view,
                            LoadView(reader, context_.rosters, record.round, device));
    // What is decided or late is the intake's to answer.
    if (record.status != InvocationStatus::kOpen) return absl::OkStatus();
    if (!std::holds_alternative<Masking>(view.round.state)) return absl::OkStatus();
    check = view.index ? secagg::CheckMasked(*view.roster, view.session.sharers, *view.index,
                                             offer.report, context_.notary)
                       : NotInRoster();
    return absl::OkStatus();
  });
  if (!read.ok()) return answer(read);
  if (IsFinal(check)) {
    context_.staging.Remove(StagingOwner("device", device.value()), offer.report.vector)
        .IgnoreError();
    return answer(RefuseForGood(context_, device, offer.invocation, offer.report.vector,
                                offer.metering, std::string(check.message())));
  }
  if (!check.ok()) return answer(check);
  intake_.OfferMasked(device, offer, SerializeSecAgg(offer), std::move(answer));
}

absl::StatusOr<OfferAnswer> SecureExchange::Agree(const DeviceId& device,
                                                  const secagg::ConsentOffer& offer) {
  return Take(device,
              {.invocation = offer.invocation,
               .step = SecAggStep::kConsent,
               .message = SerializeSecAgg(offer),
               .is_open = [](const RoundState& s) { return std::holds_alternative<Agreeing>(s); },
               .check = [&](const StoreReader&, const View& view) -> absl::Status {
                 if (!view.index) return NotInRoster();
                 return secagg::CheckConsent(*view.roster, *view.index, view.session.survivors,
                                             offer.consent, context_.notary);
               },
               .event = OneAnswered});
}

absl::StatusOr<OfferAnswer> SecureExchange::Unmask(const DeviceId& device,
                                                   const secagg::UnmaskOffer& offer) {
  const auto event = [&](StoreTx& tx, const RoundRecord& round) -> absl::StatusOr<RoundEvent> {
    const auto& unmasking = std::get<Unmasking>(round.state);
    DevicesAnswered answered{.count = 1};
    // Whether the shares suffice is dear to find out: not before they may.
    const auto likely =
        static_cast<uint32_t>(std::floor((1 - context_.options.unmask_ahead) * unmasking.reported));
    if (unmasking.answered + 1 >= likely) {
      MUSTER_ASSIGN_OR_RETURN(const auto roster, context_.rosters.Get(tx, round.id));
      MUSTER_ASSIGN_OR_RETURN(answered.enough, CanOpen(tx, *roster, round.id));
    }
    return answered;
  };
  return Take(device,
              {.invocation = offer.invocation,
               .step = SecAggStep::kReveal,
               .message = SerializeSecAgg(offer),
               .is_open = [](const RoundState& s) { return std::holds_alternative<Unmasking>(s); },
               .check = [&](const StoreReader&, const View& view) -> absl::Status {
                 if (!view.index) return NotInRoster();
                 return secagg::CheckReply(*view.roster, view.session.sharers,
                                           view.session.survivors, *view.index, offer.reply);
               },
               .event = event});
}

absl::StatusOr<OfferAnswer> SecureExchange::Refuse(const DeviceId& device,
                                                   const secagg::Refusal& refusal) {
  LogWarning("a device takes no further part in secure aggregation",
             {{"device", device.value()},
              {"invocation", refusal.invocation.value()},
              {"reason", refusal.reason}});
  OfferAnswer answer{Verdict::kAccepted, ""};
  MUSTER_RETURN_IF_ERROR(Transact(context_, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    const Timestamp now = context_.clock.Now();
    MUSTER_ASSIGN_OR_RETURN(InvocationRecord invocation, FindOwn(tx, device, refusal.invocation));
    MUSTER_ASSIGN_OR_RETURN(RoundRecord round, tx.FindRound(invocation.round));
    if (invocation.status == InvocationStatus::kFailed || IsTerminal(round.state)) {
      answer = {Verdict::kDuplicate, "known"};
      return absl::OkStatus();
    }
    if (invocation.status == InvocationStatus::kOpen) {
      invocation.status = InvocationStatus::kFailed;
      invocation.reason = refusal.reason;
      invocation.finished = now;
      MUSTER_RETURN_IF_ERROR(tx.PutInvocation(invocation));
    } else if (!invocation.reason.empty()) {
      answer = {Verdict::kDuplicate, "known"};
      return absl::OkStatus();
    } else {
      // Its vector is in the sum and stays there; it only reveals nothing.
      invocation.reason = refusal.reason;
      MUSTER_RETURN_IF_ERROR(tx.PutInvocation(invocation));
    }
    return TellDeviceFailed(tx, after, round, device, refusal.reason, now, context_.options);
  }));
  return answer;
}

namespace {

absl::StatusOr<secagg::Awaited> SharesFrom(const StoreReader& reader, const View& view) {
  // Only the neighbours' bundles are read.
  std::map<uint32_t, secagg::ShareBundle> bundles;
  for (const uint32_t neighbour : view.roster->graph().NeighboursOf(*view.index)) {
    if (!secagg::Contains(view.session.sharers, neighbour)) continue;
    MUSTER_ASSIGN_OR_RETURN(const SecAggMessageRecord message,
                            reader.FindSecAggMessage(view.round.id, SecAggStep::kShares,
                                                     view.roster->advert(neighbour).client));
    MUSTER_ASSIGN_OR_RETURN(secagg::ShareOffer offer,
                            ParseSecAgg<secagg::ShareOffer>(message.message));
    bundles.emplace(neighbour, std::move(offer.bundle));
  }
  return secagg::SharesFor(
      *view.roster, *view.index, view.session.sharers,
      [&](uint32_t index) -> const secagg::ShareBundle& { return bundles.at(index); });
}

absl::StatusOr<secagg::Awaited> RequestFrom(const StoreReader& reader, const View& view) {
  std::map<uint32_t, secagg::Consent> consents;
  if (view.round.policy.aggregation == AggregationMode::kMalicious) {
    for (const uint32_t neighbour : view.roster->graph().NeighboursOf(*view.index)) {
      auto message = reader.FindSecAggMessage(view.round.id, SecAggStep::kConsent,
                                              view.roster->advert(neighbour).client);
      if (absl::IsNotFound(message.status())) continue;
      MUSTER_RETURN_IF_ERROR(message.status());
      MUSTER_ASSIGN_OR_RETURN(secagg::ConsentOffer offer,
                              ParseSecAgg<secagg::ConsentOffer>(message->message));
      consents.emplace(neighbour, std::move(offer.consent));
    }
  }
  return secagg::RequestFor(*view.roster, *view.index, view.session.survivors, consents);
}

// What the phase asks for, given that the device may have it; pending until it is there.
absl::StatusOr<secagg::Awaited> AnswerOf(const StoreReader& reader, const View& view,
                                         AwaitedPhase phase) {
  const auto closed = [](std::string reason) {
    return secagg::Awaited(secagg::Closed{std::move(reason)});
  };
  if (phase == AwaitedPhase::kOutcome) {
    if (!IsTerminal(view.round.state)) return secagg::Awaited(secagg::Pending{});
    const auto* abandoned = std::get_if<Abandoned>(&view.round.state);
    return secagg::Awaited(secagg::Outcome{.committed = abandoned == nullptr,
                                           .reason = abandoned ? abandoned->reason : ""});
  }
  if (IsTerminal(view.round.state)) return closed(EndedReason(view.round));
  if (view.roster == nullptr) return secagg::Awaited(secagg::Pending{});
  if (!view.index) return closed("late: the roster is closed");
  if (phase == AwaitedPhase::kRoster) return secagg::Awaited(view.roster->ViewFor(*view.index));
  if (view.session.sharers.empty()) return secagg::Awaited(secagg::Pending{});
  if (!secagg::Contains(view.session.sharers, *view.index)) {
    return closed("late: the round went on without this device's shares");
  }
  if (phase == AwaitedPhase::kShares) return SharesFrom(reader, view);
  if (view.session.survivors.empty()) return secagg::Awaited(secagg::Pending{});
  if (!secagg::Contains(view.session.survivors, *view.index)) {
    return closed("late: the round went on without this device's vector");
  }
  if (phase == AwaitedPhase::kSurvivors) {
    return secagg::Awaited(secagg::Survivors{view.session.survivors});
  }
  if (std::holds_alternative<Agreeing>(view.round.state)) {
    return secagg::Awaited(secagg::Pending{});
  }
  if (!std::holds_alternative<Unmasking>(view.round.state)) {
    return closed("the sum is open already: no more shares are needed");
  }
  return RequestFrom(reader, view);
}

}  // namespace

absl::StatusOr<SecureExchange::Look> SecureExchange::Await(const DeviceId& device,
                                                           const secagg::AwaitAsk& ask) {
  MUSTER_ASSIGN_OR_RETURN(const RoundId id, RoundOf(device, ask.invocation));
  Look look{.answer = secagg::Pending{}, .wake_key = PhaseKey(id)};
  MUSTER_RETURN_IF_ERROR(context_.store.Read([&](const StoreReader& reader) -> absl::Status {
    auto view = LoadView(reader, context_.rosters, id, device);
    if (absl::IsNotFound(view.status())) {
      look.answer = secagg::Closed{"this round has no secure aggregation session"};
      return absl::OkStatus();
    }
    MUSTER_RETURN_IF_ERROR(view.status());
    MUSTER_ASSIGN_OR_RETURN(look.answer, AnswerOf(reader, *view, ask.phase));
    return absl::OkStatus();
  }));
  return look;
}

}  // namespace muster
