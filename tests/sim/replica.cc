#include "tests/sim/replica.h"

#include <algorithm>

#include "coordinator/drive/offers.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kLookAgain = seconds(1);  // as held calls and task runners do
constexpr uint64_t kMaxPackage = 1 << 20;

WakeUps::Time ToTime(Timestamp now) { return WakeUps::Time(Duration(now.unix_us)); }

}  // namespace

Life::Life(World& world, const Faults& faults, const Durable& durable, Clock& clock,
           const std::string& name, uint64_t number, const DriveOptions& options)
    : reach(world, faults, name),
      world_(world),
      durable_(durable),
      store_(durable.store, reach),
      blobs_(durable.blobs, reach),
      staging_(durable.staging, reach),
      random_(DeriveSeed(world.seed(), StrCat(name, "/", number))),
      wakeups_([&world] { return ToTime(world.now()); }),
      context_{store_,         blobs_,  staging_, clock,    random_,
               durable.signer, notary_, rosters_, wakeups_, options},
      dispatcher_(context_),
      intake_(context_),
      exchange_(context_, intake_),
      tasks_(context_, dispatcher_) {
  dispatcher_.SetFleetSize(durable.devices);
}

void Life::Begin() {
  world_.Say(reach.name(), "starts");
  RunTasks();
}

void Life::Die(std::string_view where) {
  reach.Die(where);
  wakeups_.Shutdown();
}

// What TaskRunner::Run() does in its thread.
void Life::RunTasks() {
  if (dead()) return;
  const uint64_t version = wakeups_.version(kTasksKey);
  const auto done = tasks_.RunDue();
  if (dead()) return;
  Duration sleep = done.ok() && *done > 0 ? Duration::zero() : kLookAgain;
  store_
      .Read([&](const StoreReader& reader) -> absl::Status {
        MUSTER_ASSIGN_OR_RETURN(const auto due, reader.NextTaskDue());
        if (due) sleep = std::clamp(*due - context_.clock.Now(), Duration::zero(), sleep);
        return absl::OkStatus();
      })
      .IgnoreError();
  sleep = std::max<Duration>(sleep, milliseconds(5));
  std::weak_ptr<Life> weak = weak_from_this();
  wakeups_.WaitFor(kTasksKey, version, sleep, [this, weak](WakeUps::Reason reason) {
    if (reason == WakeUps::Reason::kShutdown) return;
    world_.After({}, [weak] {
      if (const auto life = weak.lock()) life->RunTasks();
    });
  });
  world_.After(sleep, [weak] {
    if (const auto life = weak.lock()) life->wakeups_.FireDue();
  });
}

void Life::RunIntakeSoon() {
  if (intake_due_) return;
  intake_due_ = true;
  const Duration soon = world_.dice().Between(Duration(1), milliseconds(20));
  world_.After(soon, [self = shared_from_this()] {
    if (!self->dead()) self->intake_.RunQueued();
    self->intake_due_ = false;  // not before: one thread commits
  });
}

// What HeldCall does.
void Life::Hold(const std::string& key, Timestamp until, Look look) {
  if (dead()) return;
  const uint64_t version = wakeups_.version(key);
  const Duration left = until - world_.now();
  if (look(left <= Duration::zero()) || dead()) return;
  std::weak_ptr<Life> weak = weak_from_this();
  wakeups_.WaitFor(key, version, std::min(left, kLookAgain),
                   [this, weak, key, until, look](WakeUps::Reason reason) {
                     if (reason == WakeUps::Reason::kShutdown) return;
                     world_.After({}, [weak, key, until, look] {
                       if (const auto life = weak.lock()) life->Hold(key, until, look);
                     });
                   });
  world_.After(std::min(left, kLookAgain), [weak] {
    if (const auto life = weak.lock()) life->wakeups_.FireDue();
  });
}

void Life::CheckIn(const DeviceId& device, const muster::CheckIn& check_in,
                   Reply<CheckInAnswer> reply) {
  const Timestamp until = world_.now() + std::min<Duration>(check_in.wait, limits::kMaxCheckInWait);
  Hold(DeviceKey(device), until, [this, device, check_in, reply](bool last) {
    auto answer = dispatcher_.CheckIn(device, check_in);
    if (answer.ok() && answer->invocations.empty() && !answer->desired && !last) return false;
    reply(std::move(answer));
    return true;
  });
}

void Life::Fetch(const Digest& blob, Reply<std::string> reply) {
  reply(GetBlob(blobs_, blob, kMaxPackage));
}

void Life::Upload(const DeviceId& device, const Digest& digest, const std::string& bytes,
                  size_t cut, Reply<StagedUpload> reply) {
  const auto upload = [&]() -> absl::StatusOr<StagedUpload> {
    const std::string owner = StagingOwner("device", device.value());
    MUSTER_ASSIGN_OR_RETURN(const StagedUpload held, staging_.Stat(owner, digest));
    if (held.complete) return held;
    const std::string_view rest = std::string_view(bytes).substr(held.offset);
    const std::string_view sent = rest.substr(0, cut);
    MUSTER_RETURN_IF_ERROR(staging_.Append(owner, digest, bytes.size(), held.offset, sent));
    MUSTER_ASSIGN_OR_RETURN(const StagedUpload flushed, staging_.Flush(owner, digest));
    if (sent.size() < rest.size()) return absl::UnavailableError("the connection broke");
    return flushed;
  };
  reply(upload());
}

// An answer about an update, checked against what is durable at this very moment.
UpdateIntake::Answer Life::Counted(const InvocationId& id, const Digest& update,
                                   Reply<OfferAnswer> reply) {
  return [this, id, update, reply](absl::StatusOr<OfferAnswer> answer) {
    if (dead()) return;  // whatever it says, nobody hears it
    if (answer.ok() && answer->verdict != Verdict::kRefused) {
      durable_.promises.Acknowledged(durable_.truth, id, update);
    }
    reply(std::move(answer));
  };
}

void Life::Offer(const DeviceId& device, const UpdateOffer& offer, Reply<OfferAnswer> reply) {
  intake_.Offer(device, offer, Counted(offer.invocation, offer.update, std::move(reply)));
  RunIntakeSoon();
}

void Life::Masked(const DeviceId& device, const secagg::MaskedOffer& o, Reply<OfferAnswer> reply) {
  exchange_.SubmitMasked(device, o, Counted(o.invocation, o.report.vector, std::move(reply)));
  RunIntakeSoon();
}

void Life::Result(const DeviceId& device, const ResultOffer& offer, Reply<OfferAnswer> reply) {
  reply(AcceptResult(context_, device, offer));
}

void Life::Join(const DeviceId& device, const secagg::JoinAsk& ask,
                Reply<secagg::JoinAnswer> reply) {
  reply(exchange_.Join(device, ask));
}

template <typename Message>
void Life::Take(absl::StatusOr<OfferAnswer> (SecureExchange::*act)(const DeviceId&, const Message&),
                SecAggStep step, const DeviceId& device, const Message& offer,
                const Reply<OfferAnswer>& reply) {
  auto answer = (exchange_.*act)(device, offer);
  if (dead()) return;
  if (answer.ok() && answer->verdict != Verdict::kRefused) {
    durable_.promises.StepTaken(durable_.truth, device, offer.invocation, step);
  }
  reply(std::move(answer));
}

void Life::Advertise(const DeviceId& device, const secagg::AdvertOffer& o,
                     Reply<OfferAnswer> reply) {
  Take(&SecureExchange::Advertise, SecAggStep::kAdvert, device, o, reply);
}
void Life::Share(const DeviceId& device, const secagg::ShareOffer& o, Reply<OfferAnswer> reply) {
  Take(&SecureExchange::Share, SecAggStep::kShares, device, o, reply);
}
void Life::Agree(const DeviceId& device, const secagg::ConsentOffer& o, Reply<OfferAnswer> reply) {
  Take(&SecureExchange::Agree, SecAggStep::kConsent, device, o, reply);
}
void Life::Unmask(const DeviceId& device, const secagg::UnmaskOffer& o, Reply<OfferAnswer> reply) {
  Take(&SecureExchange::Unmask, SecAggStep::kReveal, device, o, reply);
}
void Life::Refuse(const DeviceId& device, const secagg::Refusal& o, Reply<OfferAnswer> reply) {
  reply(exchange_.Refuse(device, o));
}

void Life::Await(const DeviceId& device, const secagg::AwaitAsk& ask,
                 Reply<secagg::Awaited> reply) {
  const auto first = exchange_.Await(device, ask);
  if (!first.ok()) return reply(first.status());
  const Timestamp until = world_.now() + std::min<Duration>(ask.wait, limits::kMaxCheckInWait);
  Hold(first->wake_key, until, [this, device, ask, reply](bool last) {
    auto look = exchange_.Await(device, ask);
    if (look.ok() && std::holds_alternative<secagg::Pending>(look->answer) && !last) return false;
    if (dead()) return true;
    if (!look.ok()) {
      reply(look.status());
      return true;
    }
    durable_.promises.Shown(durable_.truth, ask.invocation, look->answer);
    reply(std::move(look->answer));
    return true;
  });
}

std::shared_ptr<Life> Replica::life() {
  Watch();
  return life_;
}

void Replica::Start() {
  if (life_ != nullptr && !life_->dead()) return;
  life_ = std::make_shared<Life>(world_, faults_, durable_, clock, name_, ++lives_, options_);
  const std::shared_ptr<Life> life = life_;  // it may die, and another begin, before this returns
  life->Begin();
}

void Replica::Crash(std::string_view why) {
  if (life_ != nullptr) life_->Die(why);
  Watch();
}

void Replica::Stop() {
  if (life_ != nullptr) life_->Die("stopped");
  life_.reset();
}

void Replica::Watch() {
  if (life_ == nullptr || !life_->dead()) return;
  life_->Die("");
  life_.reset();
  if (restart_due_) return;
  restart_due_ = true;
  world_.After(world_.dice().Between(milliseconds(50), seconds(20)), [this] {
    restart_due_ = false;
    Start();
  });
}

}  // namespace muster::sim
