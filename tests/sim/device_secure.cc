// A device in secure aggregation: the steps of the protocol's client, each state durable before
// anything of it is sent.
#include <algorithm>

#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/transcript.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "tests/sim/device.h"

namespace muster::sim {
namespace {

constexpr Duration kWait = std::chrono::seconds(10);  // of a held question

template <typename State>
absl::StatusOr<secagg::ClientState> AsState(absl::StatusOr<State> next) {
  if (!next.ok()) return next.status();
  return secagg::ClientState(*std::move(next));
}

}  // namespace

void Device::Secure(const InvocationId& id) {
  Run& run = *Find(id);
  if (run.stage == Stage::kAnswered) return Finish(id, "known");
  if (run.state.empty()) return Begin(id);
  const auto state = secagg::ParseState(run.state);
  if (!state.ok()) return world_.Fail("a device cannot read its own state");
  std::visit([&](const auto& s) { From(id, s); }, *state);
}

void Device::Begin(const InvocationId& id) {
  Call<secagg::JoinAnswer>(
      "join",
      [device = this->id(), id](Life& life, auto reply) {
        life.Join(device, {.invocation = id}, reply);
      },
      [this, id](absl::StatusOr<secagg::JoinAnswer> answer) {
        if (!answer.ok()) return Failed(id, answer.status());
        if (const auto* closed = std::get_if<secagg::Closed>(&*answer)) {
          return Finish(id, closed->reason);
        }
        Run& run = *Find(id);
        run.params = std::get<secagg::Params>(*answer);
        if (run.params->job != run.invocation.job || run.params->round != run.invocation.round ||
            run.params->attempt != run.invocation.attempt) {
          return world_.Fail("a device was shown another session's parameters");
        }
        auto next = secagg::Advertise(*run.params, run.invocation.package, signer_, random_);
        if (next.ok() && lie_ == Lie::kSignature) next->advert.signature += "x";
        Keep(id, AsState(std::move(next)));
      });
}

// The step's next state, or its refusal, durable; then on from there.
void Device::Keep(const InvocationId& id, const absl::StatusOr<secagg::ClientState>& next) {
  if (!Durable("a state")) return Failed(id, absl::ResourceExhaustedError("no room"));
  const bool quits = lie_ == Lie::kQuitter && world_.dice().Chance(0.3);
  Run& run = *Find(id);
  if (next.ok() && !quits) {
    run.state = secagg::EncodeState(*next);
    world_.Say(name(), StrCat("is ", secagg::StateName(*next)));
  } else {
    const std::string why = quits ? "it does not want to" : std::string(next.status().message());
    run.state = secagg::EncodeState(secagg::Refused{why});
    world_.Say(name(), StrCat("takes no further part: ", why));
  }
  Later(Duration(50), [this, id] { Secure(id); });
}

bool Device::Over(const InvocationId& id, const absl::StatusOr<OfferAnswer>& answer) {
  if (!answer.ok()) {
    Failed(id, answer.status());
    return true;
  }
  if (answer->verdict != Verdict::kRefused) return false;
  Finish(id, answer->reason);
  return true;
}

void Device::Await(const InvocationId& id, secagg::AwaitedPhase phase,
                   std::function<void(const secagg::Awaited&)> then) {
  Call<secagg::Awaited>(
      "await",
      [device = this->id(), id, phase](Life& life, auto reply) {
        life.Await(device, {.invocation = id, .phase = phase, .wait = kWait}, reply);
      },
      [this, id, phase, then](absl::StatusOr<secagg::Awaited> answer) {
        if (!answer.ok()) return Failed(id, answer.status());
        if (const auto* closed = std::get_if<secagg::Closed>(&*answer)) {
          return Finish(id, closed->reason);
        }
        if (!std::holds_alternative<secagg::Pending>(*answer)) return then(*answer);
        if (Find(id)->invocation.deadline <= clock.Now()) {
          return Failed(id, absl::DeadlineExceededError("not in time"));
        }
        Later(std::chrono::milliseconds(200), [this, id, phase, then] { Await(id, phase, then); });
      },
      std::chrono::seconds(8) + kWait);
}

void Device::From(const InvocationId& id, const secagg::Advertised& state) {
  Call<OfferAnswer>(
      "advertise",
      [device = this->id(), id, advert = state.advert](Life& life, auto reply) {
        life.Advertise(device, {.invocation = id, .advert = advert}, reply);
      },
      [this, id](absl::StatusOr<OfferAnswer> answer) {
        if (Over(id, answer)) return;
        Await(id, secagg::AwaitedPhase::kRoster, [this, id](const secagg::Awaited& roster) {
          Run& run = *Find(id);
          auto state = secagg::ParseState(run.state);
          Keep(id, AsState(secagg::Share(*run.params, std::get<secagg::Advertised>(*state),
                                         std::get<secagg::RosterView>(roster), notary_, signer_,
                                         random_)));
        });
      });
}

void Device::From(const InvocationId& id, const secagg::Shared& state) {
  Call<OfferAnswer>(
      "share",
      [device = this->id(), id, bundle = state.bundle](Life& life, auto reply) {
        life.Share(device, {.invocation = id, .bundle = bundle}, reply);
      },
      [this, id](absl::StatusOr<OfferAnswer> answer) {
        if (Over(id, answer)) return;
        Await(id, secagg::AwaitedPhase::kShares, [this, id](const secagg::Awaited& view) {
          Run& run = *Find(id);
          auto state = secagg::ParseState(run.state);
          Keep(id, Mask(run, std::get<secagg::Shared>(*state), std::get<secagg::SharesView>(view)));
        });
      });
}

absl::StatusOr<secagg::ClientState> Device::Mask(Run& run, const secagg::Shared& state,
                                                 const secagg::SharesView& view) {
  const secagg::Params& params = *run.params;
  MUSTER_ASSIGN_OR_RETURN(secagg::Masking masking,
                          secagg::PrepareMasks(params, state, view, notary_));
  const secagg::MaskSet masks(params.cipher, params.ring_bits, std::move(masking.masks));
  const auto& offer = std::get<UpdateOffer>(run.answer);
  std::vector<float> update(run.update.size() / sizeof(float));
  std::copy_n(run.update.data(), run.update.size(), reinterpret_cast<char*>(update.data()));
  update.resize(params.dimension);
  const bool noise = lie_ == Lie::kNan;  // under the masks nobody can tell
  if (noise) update[2] = 0;
  SeededRandom rounding(DeriveSeed(run.invocation.seed, "secagg rounding"));
  std::string clear(secagg::VectorBytes(params), '\0');
  std::string masked = clear;
  MUSTER_RETURN_IF_ERROR(
      secagg::EncodeUpdate(
          params, {.examples = offer.examples, .metrics = offer.metrics},
          [&](uint64_t offset, std::span<float> out) {
            std::copy_n(update.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
            return absl::OkStatus();
          },
          rounding, random_,
          [&](uint64_t offset, std::span<uint8_t> bytes) {
            if (noise) SeededRandom(number_ + offset).Fill(bytes);
            std::copy(bytes.begin(), bytes.end(), clear.begin() + static_cast<ptrdiff_t>(offset));
            masks.Apply(offset, bytes);
            std::copy(bytes.begin(), bytes.end(), masked.begin() + static_cast<ptrdiff_t>(offset));
            return absl::OkStatus();
          })
          .status());
  run.masked = std::move(masked);
  promises_.Masked(Sha256(run.masked), std::move(clear));
  return AsState(secagg::FinishMasked(std::move(masking), Sha256(run.masked), signer_));
}

void Device::SubmitMasked(const InvocationId& id, const secagg::MaskedReport& report, bool again) {
  const auto submit = [this, id, report, again] {
    Call<OfferAnswer>(
        "submit masked",
        [device = this->id(), id, report](Life& life, auto reply) {
          life.Masked(device, {.invocation = id, .report = report}, reply);
        },
        [this, id, report, again](absl::StatusOr<OfferAnswer> answer) {
          const bool swept =
              absl::IsFailedPrecondition(answer.status()) || absl::IsNotFound(answer.status());
          if (swept && !again) return SubmitMasked(id, report, /*again=*/true);
          if (Over(id, answer)) return;
          if (Find(id)->params->mode == secagg::Mode::kSemiHonest) return AwaitUnmask(id);
          Await(id, secagg::AwaitedPhase::kSurvivors, [this, id](const secagg::Awaited& survivors) {
            Run& run = *Find(id);
            auto state = secagg::ParseState(run.state);
            Keep(id,
                 AsState(secagg::Agree(*run.params, std::get<secagg::Masked>(*state),
                                       std::get<secagg::Survivors>(survivors).clients, signer_)));
          });
        });
  };
  if (Find(id)->masked.empty()) return submit();
  Upload(id, report.vector, Find(id)->masked, submit);
}

void Device::From(const InvocationId& id, const secagg::Masked& state) {
  SubmitMasked(id, state.report, /*again=*/false);
}

void Device::AwaitUnmask(const InvocationId& id) {
  Await(id, secagg::AwaitedPhase::kUnmask, [this, id](const secagg::Awaited& request) {
    Run& run = *Find(id);
    auto state = secagg::ParseState(run.state);
    auto answered =
        secagg::Unmask(*run.params, *state, std::get<secagg::UnmaskRequest>(request), notary_);
    if (answered.ok()) {
      const Invocation& invocation = run.invocation;
      promises_.Revealed({invocation.job, invocation.round, invocation.attempt}, answered->reply);
      if (lie_ == Lie::kShares) {
        for (auto& share : answered->reply.self_shares)
          std::reverse(share.share.begin(), share.share.end());
      }
    }
    Keep(id, AsState(std::move(answered)));
  });
}

void Device::From(const InvocationId& id, const secagg::Agreed& state) {
  Call<OfferAnswer>(
      "agree",
      [device = this->id(), id, consent = state.consent](Life& life, auto reply) {
        life.Agree(device, {.invocation = id, .consent = consent}, reply);
      },
      [this, id](absl::StatusOr<OfferAnswer> answer) {
        if (!Over(id, answer)) AwaitUnmask(id);
      });
}

void Device::From(const InvocationId& id, const secagg::Answered& state) {
  Call<OfferAnswer>(
      "unmask",
      [device = this->id(), id, shares = state.reply](Life& life, auto reply) {
        life.Unmask(device, {.invocation = id, .reply = shares}, reply);
      },
      [this, id](absl::StatusOr<OfferAnswer> answer) {
        if (!Over(id, answer)) Finish(id, "accepted");
      });
}

void Device::From(const InvocationId& id, const secagg::Refused& state) {
  Call<OfferAnswer>(
      "refuse",
      [device = this->id(), id, reason = state.reason](Life& life, auto reply) {
        life.Refuse(device, {.invocation = id, .reason = reason}, reply);
      },
      [this, id](absl::StatusOr<OfferAnswer> answer) {
        if (answer.ok() || !IsTransient(answer.status().code())) return Finish(id, "given up");
        Failed(id, answer.status());
      });
}

}  // namespace muster::sim
