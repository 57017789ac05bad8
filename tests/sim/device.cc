// A device's life: what the agent's core decides, done over the simulated disk and network.
#include "tests/sim/device.h"

#include <algorithm>
#include <limits>

#include "coordinator/drive/transitions.h"
#include "proto/core/strings.h"

namespace muster::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kDiskRetry = seconds(1);
constexpr uint64_t kMostExamples = 100;

const Pace kPace{.metering = std::chrono::hours(24 * 365)};
const Validity kIdentity{{0}, {10'000'000'000'000'000}};  // until 2286

template <typename T>
bool IsDurable(const T&) {
  return std::is_same_v<T, RememberInvocation> || std::is_same_v<T, RememberDesired> ||
         std::is_same_v<T, StoreFailure> || std::is_same_v<T, ForgetInvocation>;
}
bool IsDurableEffect(const AgentEffect& effect) {
  return std::visit([](const auto& e) { return IsDurable(e); }, effect);
}

}  // namespace

Device::Device(const Surroundings& around, size_t number, Lie lie)
    : clock(around.world),
      world_(around.world),
      network_(around.network),
      faults_(around.faults),
      promises_(around.promises),
      names_(around.names),
      number_(number),
      lie_(lie),
      signer_(DeviceId::Trusted(around.names[number])),
      speed_(Dice(around.world.seed(), StrCat("speed ", number))
                 .Between(milliseconds(20), seconds(8))),
      examples_(1 + DeriveSeed(around.world.seed(), StrCat("examples ", number)) % kMostExamples),
      random_(DeriveSeed(around.world.seed(), StrCat("device ", number))) {}

void Device::Start() {
  if (up_) return;
  if (away_) world_.Say(name(), "comes back");
  up_ = true;
  away_ = false;
  ++life_;
  if (world_.dice().Chance(faults_.device_rollback)) {
    world_.Say(name(), "has its earlier disk");
    disk_ = earlier_;
  } else if (world_.dice().Chance(0.3)) {
    earlier_ = disk_;
  }
  Recovered recovered{.identity = kIdentity, .told_generation = disk_.told_generation};
  for (const InvocationId& id : disk_.order) {
    const Run& run = disk_.runs.at(id);
    if (run.stage != Stage::kAnswered) recovered.unfinished.push_back({run.invocation, run.stage});
  }
  Follow(StartAgent(kPace, recovered, clock.Now(), random_), std::nullopt);
}

void Device::Die() {
  ++life_;
  up_ = false;
}

void Device::Crash() {
  if (!up_) return;
  world_.Say(name(), "dies");
  Die();
  world_.After(world_.dice().Between(milliseconds(200), seconds(30)), [this] {
    if (!away_) Start();
  });
}

bool Device::Durable(std::string_view what) {
  if (!up_) return false;
  if (world_.dice().Chance(faults_.device_full)) {
    world_.Say(name(), StrCat("has no room for ", what));
    return false;
  }
  if (world_.dice().Chance(faults_.device_crash)) {
    Crash();
    return false;
  }
  return true;
}

void Device::Later(Duration delay, std::function<void()> action) {
  world_.After(delay, [this, life = life_, action = std::move(action)] {
    if (life == life_) action();
  });
}

Device::Run* Device::Find(const InvocationId& id) {
  const auto run = disk_.runs.find(id);
  return run == disk_.runs.end() ? nullptr : &run->second;
}

void Device::Feed(const AgentEvent& event) {
  if (up_) Follow(Step(kPace, state_, event, clock.Now(), random_), event);
}

// Durable effects first. If one fails, the transition did not happen, and the same comes again.
void Device::Follow(AgentTransition transition, const std::optional<AgentEvent>& event) {
  for (const AgentEffect& effect : transition.effects) {
    if (!IsDurableEffect(effect) || Remember(effect)) continue;
    if (!up_) return;
    Later(kDiskRetry, [this, event] {
      if (event) return Feed(*event);
      up_ = false;
      Start();
    });
    return;
  }
  state_ = std::move(transition.next);
  for (const AgentEffect& effect : transition.effects) {
    if (!up_) return;
    if (!IsDurableEffect(effect)) Perform(effect);
  }
  const uint64_t wake = ++wake_;
  const Timestamp due = NextWake(kPace, state_);
  if (due.unix_us == std::numeric_limits<int64_t>::max()) return;
  Later(std::max<Duration>(due - clock.Now(), milliseconds(1)), [this, wake] {
    if (wake == wake_) Feed(Woken{});
  });
}

bool Device::Remember(const AgentEffect& effect) {
  if (!Durable("an effect")) return false;
  if (const auto* remember = std::get_if<RememberInvocation>(&effect)) {
    const auto [run, fresh] = disk_.runs.try_emplace(remember->invocation.id);
    if (fresh) {
      run->second.invocation = remember->invocation;
      disk_.order.push_back(remember->invocation.id);
    }
  } else if (const auto* desired = std::get_if<RememberDesired>(&effect)) {
    disk_.told_generation = desired->desired.generation;
  } else if (const auto* failure = std::get_if<StoreFailure>(&effect)) {
    Run* run = Find(failure->id);
    if (run != nullptr && run->stage < Stage::kReady) {
      run->stage = Stage::kReady;
      run->answer = ResultOffer{.invocation = failure->id, .failure = failure->reason};
    }
  } else if (const auto* forget = std::get_if<ForgetInvocation>(&effect)) {
    if (Run* run = Find(forget->id)) run->stage = Stage::kAnswered;
  }
  return true;
}

void Device::Perform(const AgentEffect& effect) {
  if (const auto* ask = std::get_if<AskCoordinator>(&effect)) {
    Ask(*ask);
  } else if (const auto* execute = std::get_if<muster::Execute>(&effect)) {
    Execute(execute->invocation);
  } else if (const auto* send = std::get_if<SendAnswer>(&effect)) {
    Later({}, [this, id = send->id] { Send(id); });
  } else if (const auto* reconcile = std::get_if<Reconcile>(&effect)) {
    Later(milliseconds(50), [this, generation = reconcile->desired.generation] {
      Feed(ReconcileEnded{.generation = generation});
    });
  } else if (std::holds_alternative<SendReport>(effect)) {
    Later(milliseconds(5), [this] { Feed(ReportSent{}); });
  } else if (std::holds_alternative<Renew>(effect) || std::holds_alternative<Reload>(effect)) {
    Later(milliseconds(5), [this] { Feed(IdentityLoaded{kIdentity}); });
  }
}

void Device::Ask(const AskCoordinator& effect) {
  const muster::CheckIn check_in{.eligibility = {true, true, true, true, true, examples_},
                                 .known_generation = effect.known_generation,
                                 .wait = std::chrono::duration_cast<Duration>(effect.wait),
                                 .agent_version = "sim"};
  Call<CheckInAnswer>(
      "check-in",
      [id = id(), check_in](Life& life, auto reply) { life.CheckIn(id, check_in, reply); },
      [this](absl::StatusOr<CheckInAnswer> answer) {
        if (!answer.ok()) {
          return Feed(
              CheckInFailed{answer.status().code(), std::string(answer.status().message())});
        }
        CheckInAnswered event{.desired = answer->desired,
                              .next = answer->next_check_in,
                              .in_round = answer->in_round};
        for (const Invocation& invocation : answer->invocations) {
          const Run* run = Find(invocation.id);
          event.invocations.push_back(
              {invocation, run == nullptr ? std::nullopt : std::optional(run->stage)});
        }
        Feed(event);
      },
      seconds(8) + effect.wait);
}

void Device::Execute(const Invocation& invocation) {
  Call<std::string>(
      "package",
      [package = invocation.package](Life& life, auto reply) { life.Fetch(package, reply); },
      [this, invocation](absl::StatusOr<std::string> package) {
        if (!package.ok()) {
          return Feed(ExecutionBroke{invocation.id, std::string(package.status().message())});
        }
        if (Sha256(*package) != invocation.package) {
          return world_.Fail("a package came with other bytes than its name says");
        }
        Later(speed_ + Duration(random_.Below(1 + static_cast<uint64_t>(speed_.count()))),
              [this, invocation] { Train(invocation); });
      });
}

void Device::Train(const Invocation& invocation) {
  Run* run = Find(invocation.id);
  if (run == nullptr) return;
  if (!Durable("an answer")) return Feed(ExecutionBroke{invocation.id, "no room"});
  const bool fails = world_.dice().Chance(faults_.function_fails);
  const Metering metering{.wall = speed_, .bytes_up = 40};
  if (fails) {
    run->answer = ResultOffer{
        .invocation = invocation.id, .metering = metering, .failure = "the function failed"};
  } else if (invocation.function == FunctionKind::kEvaluate) {
    run->answer = ResultOffer{.invocation = invocation.id,
                              .examples = examples_,
                              .metrics = {{"accuracy", 0.5}},
                              .metering = metering};
  } else {
    constexpr size_t kParameters = 10;
    std::vector<float> values(kParameters);
    SeededRandom random(DeriveSeed(invocation.seed, invocation.package.hex()));
    for (float& value : values) value = static_cast<float>(random.Unit() - 0.5);
    if (lie_ == Lie::kNan) values[2] = std::numeric_limits<float>::quiet_NaN();
    if (lie_ == Lie::kShort) values.resize(values.size() - 1);
    run->update.assign(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    const Digest digest = Sha256(run->update);
    promises_.Made(digest, values);
    run->answer = UpdateOffer{.invocation = invocation.id,
                              .update = digest,
                              .examples = lie_ == Lie::kHeavy ? 1ull << 40 : examples_,
                              .metrics = {{"train_loss", random.Unit()}},
                              .metering = metering};
  }
  run->stage = Stage::kReady;
  Feed(InvocationReady{invocation.id});
}

void Device::Failed(const InvocationId& id, const absl::Status& why) {
  Feed(AnswerFailed{id, why.code(), std::string(why.message())});
}

void Device::Finish(const InvocationId& id, const std::string& how) {
  if (!Durable("an end")) return Failed(id, absl::ResourceExhaustedError("no room"));
  world_.Say(name(), StrCat("is done with ", id.value().substr(0, 8), ": ", how.substr(0, 60)));
  Run* run = Find(id);
  if (run != nullptr) {
    run->stage = Stage::kAnswered;
    run->update.clear();
    run->state.clear();
    run->masked.clear();
  }
  Feed(AnswerTaken{id});
}

void Device::Send(const InvocationId& id) {
  Run* run = Find(id);
  if (run == nullptr || std::holds_alternative<std::monostate>(run->answer)) {
    return Finish(id, "nothing to send");
  }
  if (std::holds_alternative<ResultOffer>(run->answer)) return SendResult(id);
  if (run->invocation.secure) return Secure(id);
  SendClear(id, /*again=*/false);
}

void Device::SendResult(const InvocationId& id) {
  Call<OfferAnswer>(
      "result",
      [device = this->id(), offer = std::get<ResultOffer>(Find(id)->answer)](
          Life& life, auto reply) { life.Result(device, offer, reply); },
      [this, id](absl::StatusOr<OfferAnswer> answer) {
        if (!answer.ok()) return Failed(id, answer.status());
        Finish(id, answer->reason);
      });
}

void Device::Upload(const InvocationId& id, const Digest& digest, const std::string& bytes,
                    std::function<void()> then) {
  const bool cut = world_.dice().Chance(faults_.upload_cut);
  const size_t through = cut ? world_.dice().Below(bytes.size() + 1) : bytes.size();
  Call<StagedUpload>(
      "upload",
      [device = this->id(), digest, bytes, through](Life& life, auto reply) {
        life.Upload(device, digest, bytes, through, reply);
      },
      [this, id, then = std::move(then)](absl::StatusOr<StagedUpload> held) {
        if (!held.ok()) return Failed(id, held.status());
        then();
      });
}

void Device::SendClear(const InvocationId& id, bool again) {
  UpdateOffer offer = std::get<UpdateOffer>(Find(id)->answer);
  if (lie_ == Lie::kStolen) {  // another device's, if it has one
    const std::string& other = names_[world_.dice().Below(names_.size())];
    const Invocation& own = Find(id)->invocation;
    offer.invocation = InvocationIdFor({own.job, own.round, own.attempt}, FunctionKind::kTrain,
                                       DeviceId::Trusted(other));
  }
  const auto offer_it = [this, id, offer, again] {
    Call<OfferAnswer>(
        "offer",
        [device = this->id(), offer](Life& life, auto reply) { life.Offer(device, offer, reply); },
        [this, id, again](absl::StatusOr<OfferAnswer> answer) {
          const bool swept =
              absl::IsFailedPrecondition(answer.status()) || absl::IsNotFound(answer.status());
          if (swept && !again) return SendClear(id, /*again=*/true);
          if (!answer.ok()) return Failed(id, answer.status());
          Finish(id, answer->reason);
        });
  };
  const Run* run = Find(id);
  // After it was taken once its bytes are gone here, and the coordinator needs no second ones.
  if (run->stage == Stage::kAnswered) return offer_it();
  Upload(id, offer.update, run->update, offer_it);
}

}  // namespace muster::sim
