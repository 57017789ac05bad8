#include "coordinator/drive/offers.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <span>
#include <utility>

#include "coordinator/drive/evaluation.h"
#include "coordinator/drive/sum_blob.h"
#include "coordinator/drive/transitions.h"
#include "proto/core/limits.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kFloatsPerChunk = limits::kChunkBytes / sizeof(float);

OfferAnswer Refused(std::string reason) { return {Verdict::kRefused, std::move(reason)}; }

// Calls `consume(offset, chunk)` over the float32 vector in `reader`.
template <typename Consume>
absl::Status ForEachChunk(const BlobReader& reader, uint64_t elements, const Consume& consume) {
  std::vector<float> chunk(std::min<uint64_t>(kFloatsPerChunk, elements));
  for (uint64_t at = 0; at < elements;) {
    const uint64_t count = std::min<uint64_t>(chunk.size(), elements - at);
    MUSTER_ASSIGN_OR_RETURN(
        const size_t bytes,
        reader.ReadAt(at * sizeof(float),
                      {reinterpret_cast<char*>(chunk.data()), count * sizeof(float)}));
    if (bytes != count * sizeof(float)) return absl::DataLossError("the staged update ends early");
    MUSTER_RETURN_IF_ERROR(consume(at, std::span<const float>(chunk.data(), count)));
    at += count;
  }
  return absl::OkStatus();
}

// What an invocation that is not open any more answers to a repeated offer.
std::optional<OfferAnswer> AnswerIfDecided(const InvocationRecord& invocation,
                                           const Digest& update) {
  switch (invocation.status) {
    case InvocationStatus::kOpen:
      return std::nullopt;
    case InvocationStatus::kReported:
      if (invocation.update == update) return OfferAnswer{Verdict::kDuplicate, "counted before"};
      return Refused("a different update of this invocation is in the sum already");
    case InvocationStatus::kFailed:
    case InvocationStatus::kRefused:
    case InvocationStatus::kExpired:
      break;
  }
  return Refused(invocation.reason);
}

absl::StatusOr<InvocationRecord> FindOwn(const StoreReader& reader, const DeviceId& device,
                                         const InvocationId& id) {
  auto invocation = reader.FindInvocation(id);
  // Another device's invocation looks like none at all.
  if (absl::IsNotFound(invocation.status()) || (invocation.ok() && invocation->device != device)) {
    return absl::NotFoundError(
        StrCat("invocation ", id.value(), " was never given to this device"));
  }
  return invocation;
}

}  // namespace

std::string StagingOwner(std::string_view role, std::string_view id) {
  return StrCat(role, "-", id);
}

absl::Status CountUsage(StoreTx& tx, const std::string& job, const DeviceId& device,
                        const Metering& metering, uint64_t invocations) {
  return tx.AddUsage({.job = job,
                      .device = device,
                      .invocations = invocations,
                      .wall_us = static_cast<uint64_t>(metering.wall.count()),
                      .cpu_us = static_cast<uint64_t>(metering.cpu.count()),
                      .bytes_up = metering.bytes_up,
                      .bytes_down = metering.bytes_down,
                      .cold_starts = metering.cold_start ? 1u : 0u});
}

UpdateIntake::UpdateIntake(DriveContext& context) : context_(context), thread_([this] { Run(); }) {}

UpdateIntake::~UpdateIntake() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    arrived_.notify_all();
  }
  thread_.join();
  for (auto& [round, batch] : queue_) {
    for (Pending& pending : batch) {
      pending.answer(absl::UnavailableError("the coordinator is stopping; offer the update again"));
    }
  }
}

void UpdateIntake::Offer(const DeviceId& device, const UpdateOffer& offer, Answer answer) {
  InvocationRecord invocation;
  auto decided = Check(device, offer, invocation);
  if (!decided.ok()) return answer(decided.status());
  if (decided->has_value()) return answer(**decided);
  std::lock_guard lock(mutex_);
  queue_[invocation.round].push_back({device, offer, invocation, std::move(answer)});
  arrived_.notify_one();
}

absl::StatusOr<std::optional<OfferAnswer>> UpdateIntake::Check(const DeviceId& device,
                                                               const UpdateOffer& offer,
                                                               InvocationRecord& invocation) {
  std::optional<OfferAnswer> decided;
  uint64_t elements = 0;
  MUSTER_RETURN_IF_ERROR(context_.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(invocation, FindOwn(reader, device, offer.invocation));
    decided = AnswerIfDecided(invocation, offer.update);
    if (!decided && invocation.function != FunctionKind::kTrain) {
      decided = Refused("only training makes updates; report a result instead");
    }
    if (decided) return absl::OkStatus();
    MUSTER_ASSIGN_OR_RETURN(const RoundRecord round, reader.FindRound(invocation.round));
    if (!std::holds_alternative<Collecting>(round.state)) {
      decided = Refused(StrCat("late: the round is ", PhaseName(round.state)));
    }
    MUSTER_ASSIGN_OR_RETURN(const JobRecord job, reader.FindJob(invocation.round.job));
    elements = job.spec.layout.shared_size();
    return absl::OkStatus();
  }));
  if (decided) return decided;

  const std::string owner = StagingOwner("device", device.value());
  MUSTER_ASSIGN_OR_RETURN(auto staged, context_.staging.Open(owner, offer.update));
  if (staged->size() != elements * sizeof(float)) {
    MUSTER_ASSIGN_OR_RETURN(decided, Refuse(device, offer,
                                            StrCat("wrong shape: the update has ", staged->size(),
                                                   " bytes, the model's shared parameters are ",
                                                   elements * sizeof(float), " bytes")));
    return decided;
  }
  std::string fault;
  MUSTER_RETURN_IF_ERROR(
      ForEachChunk(*staged, elements, [&](uint64_t at, std::span<const float> chunk) {
        absl::Status finite = WeightedSum::CheckFinite(chunk, at);
        if (!finite.ok() && fault.empty()) fault = std::string(finite.message());
        return absl::OkStatus();
      }));
  if (!fault.empty()) {
    MUSTER_ASSIGN_OR_RETURN(decided, Refuse(device, offer, fault));
  }
  return decided;
}

// The refusal is final: the device will not send it again, and the round does not wait for it.
absl::StatusOr<OfferAnswer> UpdateIntake::Refuse(const DeviceId& device, const UpdateOffer& offer,
                                                 const std::string& reason) {
  OfferAnswer answer = Refused(reason);
  MUSTER_RETURN_IF_ERROR(Transact(context_, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    const Timestamp now = context_.clock.Now();
    MUSTER_ASSIGN_OR_RETURN(InvocationRecord invocation, FindOwn(tx, device, offer.invocation));
    if (auto decided = AnswerIfDecided(invocation, offer.update)) {
      answer = *decided;
      return absl::OkStatus();
    }
    invocation.status = InvocationStatus::kRefused;
    invocation.reason = reason;
    invocation.finished = now;
    MUSTER_RETURN_IF_ERROR(tx.PutInvocation(invocation));
    MUSTER_RETURN_IF_ERROR(CountUsage(tx, invocation.round.job.value(), device, offer.metering, 1));
    MUSTER_ASSIGN_OR_RETURN(RoundRecord round, tx.FindRound(invocation.round));
    return ApplyToRound(tx, after, round, DeviceFailed{device, reason}, now, context_.options)
        .status();
  }));
  LogWarning(
      "update refused",
      {{"device", device.value()}, {"invocation", offer.invocation.value()}, {"reason", reason}});
  context_.staging.Remove(StagingOwner("device", device.value()), offer.update).IgnoreError();
  return answer;
}

void UpdateIntake::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    arrived_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    auto first = queue_.begin();
    const RoundId round = first->first;
    std::vector<Pending>& waiting = first->second;
    const size_t take = std::min(waiting.size(), context_.options.max_staged_batch);
    std::vector<Pending> batch(
        std::make_move_iterator(waiting.begin()),
        std::make_move_iterator(waiting.begin() + static_cast<ptrdiff_t>(take)));
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<ptrdiff_t>(take));
    if (waiting.empty()) queue_.erase(first);
    lock.unlock();
    CommitBatch(round, std::move(batch));
    DropClosedRounds();
    lock.lock();
  }
}

absl::Status UpdateIntake::Load(const RoundRecord& round, uint64_t size, Accumulator& accumulator) {
  if (accumulator.sum != nullptr && accumulator.durable == round.partial_sum) {
    return absl::OkStatus();
  }
  // Nothing yet, or another replica or an aborted commit moved the durable sum: start from it.
  accumulator.sum.reset();
  if (round.partial_sum.empty()) {
    accumulator.sum = std::make_unique<WeightedSum>(size);
  } else {
    MUSTER_ASSIGN_OR_RETURN(accumulator.sum, ReadSum(context_.blobs, round.partial_sum, size));
  }
  accumulator.durable = round.partial_sum;
  return absl::OkStatus();
}

// Adds every member whose staged file is still there; those that cannot be added are answered and
// leave `members`.
absl::Status UpdateIntake::AddAll(std::vector<Pending*>& members, Accumulator& accumulator) {
  std::vector<Pending*> added;
  for (Pending* member : members) {
    WeightedSum& sum = *accumulator.sum;
    if (absl::Status room = sum.CanAdd(member->offer.examples); !room.ok()) {
      member->answer(Refused(std::string(room.message())));
      continue;
    }
    auto staged =
        context_.staging.Open(StagingOwner("device", member->device.value()), member->offer.update);
    if (!staged.ok()) {
      member->answer(staged.status());
      continue;
    }
    absl::Status status = ForEachChunk(**staged, sum.size(), [&](uint64_t at, auto chunk) {
      sum.AddChunk(at, chunk, member->offer.examples);
      return absl::OkStatus();
    });
    if (!status.ok()) return status;  // half added: the accumulator is void
    sum.FinishClient(member->offer.examples);
    added.push_back(member);
  }
  members = std::move(added);
  return absl::OkStatus();
}

void UpdateIntake::CommitBatch(const RoundId& id, std::vector<Pending> batch) {
  std::vector<Pending*> members;
  for (Pending& pending : batch) members.push_back(&pending);
  Accumulator& accumulator = accumulators_[id];
  const auto answer_all = [&](const absl::Status& status) {
    accumulators_.erase(id);
    for (Pending* member : members) member->answer(status);
  };

  RoundRecord round;
  uint64_t size = 0;
  absl::Status status = context_.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(round, reader.FindRound(id));
    MUSTER_ASSIGN_OR_RETURN(const JobRecord job, reader.FindJob(id.job));
    size = job.spec.layout.shared_size();
    // Drop whoever was decided while it waited, such as a repeated offer in the same batch.
    std::erase_if(members, [&](Pending* member) {
      auto invocation = reader.FindInvocation(member->offer.invocation);
      if (!invocation.ok()) {
        member->answer(invocation.status());
        return true;
      }
      auto decided = AnswerIfDecided(*invocation, member->offer.update);
      if (!decided && !std::holds_alternative<Collecting>(round.state)) {
        decided = Refused(StrCat("late: the round is ", PhaseName(round.state)));
      }
      if (decided) member->answer(*decided);
      return decided.has_value();
    });
    std::set<InvocationId> seen;
    std::erase_if(members, [&](Pending* member) {
      if (seen.insert(member->offer.invocation).second) return false;
      member->answer(absl::AbortedError("the same update is being committed; offer it again"));
      return true;
    });
    return absl::OkStatus();
  });
  if (!status.ok()) return answer_all(status);
  if (members.empty()) return;
  if (status = Load(round, size, accumulator); !status.ok()) return answer_all(status);
  if (status = AddAll(members, accumulator); !status.ok()) return answer_all(status);
  if (members.empty()) return;
  auto durable = WriteSum(context_.blobs, *accumulator.sum);
  if (!durable.ok()) return answer_all(durable.status());

  const Digest before = round.partial_sum;
  status = Transact(context_, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    const Timestamp now = context_.clock.Now();
    MUSTER_ASSIGN_OR_RETURN(RoundRecord current, tx.FindRound(id));
    if (!(current.partial_sum == before)) {
      return absl::UnavailableError("another replica moved the sum; offer the update again");
    }
    if (!std::holds_alternative<Collecting>(current.state)) {
      return absl::UnavailableError("the round closed meanwhile; offer the update again");
    }
    DevicesReported event;
    for (const Pending* member : members) {
      MUSTER_ASSIGN_OR_RETURN(InvocationRecord invocation,
                              tx.FindInvocation(member->offer.invocation));
      if (invocation.status != InvocationStatus::kOpen) {
        return absl::UnavailableError("a member was decided meanwhile; offer the update again");
      }
      invocation.status = InvocationStatus::kReported;
      invocation.update = member->offer.update;
      invocation.examples = member->offer.examples;
      invocation.metrics = member->offer.metrics;
      invocation.metering = member->offer.metering;
      invocation.finished = now;
      MUSTER_RETURN_IF_ERROR(tx.PutInvocation(invocation));
      MUSTER_RETURN_IF_ERROR(
          CountUsage(tx, id.job.value(), member->device, member->offer.metering, 1));
      ++event.count;
      event.examples += member->offer.examples;
      current.bytes_up += member->offer.metering.bytes_up;
      current.bytes_down += member->offer.metering.bytes_down;
    }
    current.partial_sum = *durable;
    MUSTER_ASSIGN_OR_RETURN(auto ignored,
                            ApplyToRound(tx, after, current, event, now, context_.options));
    if (ignored) return absl::InternalError(StrCat("a sum was refused: ", ignored->why));
    return absl::OkStatus();
  });
  if (!status.ok()) {
    context_.blobs.Delete(*durable).IgnoreError();
    return answer_all(status);
  }
  accumulator.durable = *durable;
  if (!before.empty() && !(before == *durable)) context_.blobs.Delete(before).IgnoreError();
  for (Pending* member : members) {
    context_.staging.Remove(StagingOwner("device", member->device.value()), member->offer.update)
        .IgnoreError();
    member->answer(OfferAnswer{Verdict::kAccepted, ""});
  }
}

void UpdateIntake::DropClosedRounds() {
  std::erase_if(accumulators_, [&](const auto& entry) {
    bool open = false;
    context_.store
        .Read([&](const StoreReader& reader) -> absl::Status {
          MUSTER_ASSIGN_OR_RETURN(const RoundRecord round, reader.FindRound(entry.first));
          open = std::holds_alternative<Collecting>(round.state);
          return absl::OkStatus();
        })
        .IgnoreError();
    return !open;
  });
}

absl::StatusOr<OfferAnswer> AcceptResult(DriveContext& context, const DeviceId& device,
                                         const ResultOffer& offer) {
  OfferAnswer answer;
  MUSTER_RETURN_IF_ERROR(Transact(context, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    const Timestamp now = context.clock.Now();
    MUSTER_ASSIGN_OR_RETURN(InvocationRecord invocation, FindOwn(tx, device, offer.invocation));
    if (invocation.status == InvocationStatus::kReported ||
        invocation.status == InvocationStatus::kFailed) {
      answer = {Verdict::kDuplicate, "counted before"};
      return absl::OkStatus();
    }
    if (auto decided = AnswerIfDecided(invocation, {})) {
      answer = *decided;
      return absl::OkStatus();
    }
    const bool failed = !offer.failure.empty();
    if (!failed && invocation.function == FunctionKind::kTrain) {
      answer = Refused("training must hand in an update, or say why it failed");
      return absl::OkStatus();
    }
    answer = {Verdict::kAccepted, ""};
    invocation.status = failed ? InvocationStatus::kFailed : InvocationStatus::kReported;
    invocation.reason = offer.failure;
    invocation.examples = offer.examples;
    invocation.metrics = offer.metrics;
    invocation.metering = offer.metering;
    invocation.finished = now;
    MUSTER_RETURN_IF_ERROR(tx.PutInvocation(invocation));
    MUSTER_RETURN_IF_ERROR(CountUsage(tx, invocation.round.job.value(), device, offer.metering, 1));
    MUSTER_ASSIGN_OR_RETURN(RoundRecord round, tx.FindRound(invocation.round));
    if (invocation.function == FunctionKind::kTrain) {
      return ApplyToRound(tx, after, round, DeviceFailed{device, offer.failure}, now,
                          context.options)
          .status();
    }
    return EndEvaluation(tx, after, round, failed ? Metrics{} : offer.metrics, now,
                         context.options);
  }));
  if (!offer.failure.empty()) {
    LogWarning("function failed on a device", {{"device", device.value()},
                                               {"invocation", offer.invocation.value()},
                                               {"reason", offer.failure}});
  }
  return answer;
}

}  // namespace muster
