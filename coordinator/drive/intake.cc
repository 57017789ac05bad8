#include "coordinator/drive/intake.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "coordinator/drive/offers.h"
#include "coordinator/drive/transitions.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr int kCommitAttempts = 3;

// The one phase in which the sum takes updates.
bool TakesUpdates(const RoundRecord& round) {
  if (round.policy.aggregation == AggregationMode::kClear) {
    return std::holds_alternative<Collecting>(round.state);
  }
  return std::holds_alternative<Masking>(round.state);
}

std::string LateReason(const RoundRecord& round) {
  return StrCat("late: the round is ", PhaseName(round.state));
}

std::string OwnerOf(const DeviceId& device) { return StagingOwner("device", device.value()); }

}  // namespace

UpdateIntake::UpdateIntake(DriveContext& context) : context_(context) {}

void UpdateIntake::Start() {
  thread_ = std::thread([this] { Run(); });
}

UpdateIntake::~UpdateIntake() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    arrived_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  for (auto& [round, batch] : queue_) {
    for (Pending& pending : batch) {
      pending.answer(absl::UnavailableError("the coordinator is stopping; offer the update again"));
    }
  }
}

void UpdateIntake::Offer(const DeviceId& device, const UpdateOffer& offer, Answer answer) {
  Enqueue({.device = device, .offer = offer, .answer = std::move(answer)});
}

void UpdateIntake::OfferMasked(const DeviceId& device, const secagg::MaskedOffer& offer,
                               std::string message, Answer answer) {
  Enqueue({.device = device,
           .offer = {.invocation = offer.invocation,
                     .update = offer.report.vector,
                     .metering = offer.metering},
           .masked = std::move(message),
           .answer = std::move(answer)});
}

void UpdateIntake::Enqueue(Pending pending) {
  auto decided = Check(pending);
  if (!decided.ok()) return pending.answer(decided.status());
  if (decided->has_value()) return pending.answer(**decided);
  std::lock_guard lock(mutex_);
  queue_[pending.round].push_back(std::move(pending));
  arrived_.notify_one();
}

absl::StatusOr<std::optional<OfferAnswer>> UpdateIntake::Check(Pending& pending) {
  const UpdateOffer& offer = pending.offer;
  std::optional<OfferAnswer> decided;
  SumShape shape;
  bool late = false;
  MUSTER_RETURN_IF_ERROR(context_.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const InvocationRecord invocation,
                            FindOwn(reader, pending.device, offer.invocation));
    pending.round = invocation.round;
    decided = AnswerIfDecided(invocation, offer.update);
    if (!decided && invocation.function != FunctionKind::kTrain) {
      decided = RefusedAnswer("only training makes updates; report a result instead");
    }
    MUSTER_ASSIGN_OR_RETURN(const RoundRecord round, reader.FindRound(invocation.round));
    const bool secure = round.policy.aggregation != AggregationMode::kClear;
    if (!decided && secure && pending.masked.empty()) {
      decided = RefusedAnswer("this round takes masked vectors alone: no update in the clear");
    }
    if (!decided && !TakesUpdates(round)) decided = RefusedAnswer(LateReason(round));
    late = decided && decided->verdict == Verdict::kRefused;
    if (decided) return absl::OkStatus();
    MUSTER_ASSIGN_OR_RETURN(shape, ShapeOf(reader, round));
    return absl::OkStatus();
  }));
  if (late) DropLate(pending);
  if (decided) return decided;

  MUSTER_ASSIGN_OR_RETURN(auto staged,
                          context_.staging.Open(OwnerOf(pending.device), offer.update));
  const absl::Status fits = CheckUpload(*staged, shape);
  if (!absl::IsInvalidArgument(fits)) {
    MUSTER_RETURN_IF_ERROR(fits);
    return decided;
  }
  MUSTER_ASSIGN_OR_RETURN(decided,
                          RefuseForGood(context_, pending.device, offer.invocation, offer.update,
                                        offer.metering, std::string(fits.message())));
  context_.staging.Remove(OwnerOf(pending.device), offer.update).IgnoreError();
  return decided;
}

// The keys of a device that was late may be public by now: its masked vector must not stay.
void UpdateIntake::DropLate(const Pending& pending) {
  if (pending.masked.empty()) return;
  context_.staging.Remove(OwnerOf(pending.device), pending.offer.update).IgnoreError();
}

void UpdateIntake::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    arrived_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    Batch batch = TakeBatch();
    lock.unlock();
    CommitBatch(batch.round, std::move(batch.offers));
    DropClosedRounds();
    lock.lock();
  }
}

size_t UpdateIntake::RunQueued() {
  size_t waited = 0;
  std::unique_lock lock(mutex_);
  while (!queue_.empty()) {
    Batch batch = TakeBatch();
    lock.unlock();
    waited += batch.offers.size();
    CommitBatch(batch.round, std::move(batch.offers));
    DropClosedRounds();
    lock.lock();
  }
  return waited;
}

UpdateIntake::Batch UpdateIntake::TakeBatch() {
  auto first = queue_.begin();
  std::vector<Pending>& waiting = first->second;
  const auto end = waiting.begin() + static_cast<ptrdiff_t>(std::min(
                                         waiting.size(), context_.options.max_staged_batch));
  Batch batch{.round = first->first,
              .offers = {std::make_move_iterator(waiting.begin()), std::make_move_iterator(end)}};
  waiting.erase(waiting.begin(), end);
  if (waiting.empty()) queue_.erase(first);
  return batch;
}

absl::Status UpdateIntake::Load(const PartialSumRecord& durable, const SumShape& shape,
                                Accumulator& accumulator) {
  if (accumulator.sum != nullptr && accumulator.durable == durable) return absl::OkStatus();
  // Nothing yet, or an aborted commit or a replica of the same name moved the durable part.
  accumulator.sum.reset();
  MUSTER_ASSIGN_OR_RETURN(accumulator.sum, OpenRoundSum(context_.sums(), shape, durable.blob));
  accumulator.durable = durable;
  return absl::OkStatus();
}

// Adds every member whose staged file is still there; those that cannot be added are answered and
// leave `members`.
absl::Status UpdateIntake::AddAll(std::vector<Pending*>& members, Accumulator& accumulator) {
  RoundSum& sum = *accumulator.sum;
  for (auto next = members.begin(); next != members.end();) {
    Pending& member = **next;
    const absl::Status room = sum.CanAdd(member.offer.examples);
    auto staged = context_.staging.Open(OwnerOf(member.device), member.offer.update);
    if (!room.ok() || !staged.ok()) {
      next = members.erase(next);
      if (room.ok()) {
        member.answer(staged.status());
      } else {
        member.answer(RefusedAnswer(std::string(room.message())));
      }
      continue;
    }
    // An error leaves it half added: the accumulator is void.
    MUSTER_RETURN_IF_ERROR(sum.Add(**staged, member.offer.examples));
    ++next;
  }
  return absl::OkStatus();
}

// Answers and drops whoever was decided while it waited, and repeated offers in the same batch.
absl::Status UpdateIntake::DropDecided(const RoundId& id, std::vector<Pending*>& members,
                                       PartialSumRecord& durable, SumShape& shape) {
  // Nobody is answered, and no upload deleted, while the snapshot is held: a disk may be slow.
  std::vector<std::pair<Pending*, absl::StatusOr<OfferAnswer>>> decisions;
  const absl::Status read = context_.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const RoundRecord round, reader.FindRound(id));
    auto part = reader.FindPartialSum(id, context_.options.replica);
    if (!part.ok() && !absl::IsNotFound(part.status())) return part.status();
    durable = part.ok() ? *std::move(part)
                        : PartialSumRecord{.round = id, .replica = context_.options.replica};
    MUSTER_ASSIGN_OR_RETURN(shape, ShapeOf(reader, round));
    std::set<InvocationId> seen;
    std::erase_if(members, [&](Pending* member) {
      auto invocation = reader.FindInvocation(member->offer.invocation);
      if (!invocation.ok()) {
        decisions.emplace_back(member, invocation.status());
        return true;
      }
      auto decided = AnswerIfDecided(*invocation, member->offer.update);
      if (!decided && !TakesUpdates(round)) decided = RefusedAnswer(LateReason(round));
      if (decided) {
        decisions.emplace_back(member, *decided);
        return true;
      }
      if (seen.insert(member->offer.invocation).second) return false;
      decisions.emplace_back(
          member, absl::AbortedError("the same update is being committed; offer it again"));
      return true;
    });
    return absl::OkStatus();
  });
  for (auto& [member, decision] : decisions) {
    if (decision.ok() && decision->verdict == Verdict::kRefused) DropLate(*member);
    member->answer(std::move(decision));
  }
  return read;
}

// `refused` tells that nothing was committed for sure. Without it an error says nothing about that:
// the commit may have happened and its answer got lost.
absl::Status UpdateIntake::CommitRows(const std::vector<Pending*>& members,
                                      const PartialSumRecord& next, bool& refused) {
  const RoundId& id = next.round;
  const auto put_rows = [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    const Timestamp now = context_.clock.Now();
    MUSTER_ASSIGN_OR_RETURN(RoundRecord current, tx.FindRound(id));
    if (!TakesUpdates(current)) {
      return absl::UnavailableError("the round closed meanwhile; offer the update again");
    }
    auto part = tx.FindPartialSum(id, next.replica);
    const uint64_t version = part.ok() ? part->row_version : 0;
    if (version != next.row_version) {
      return absl::UnavailableError("the sum moved meanwhile; offer the update again");
    }
    MUSTER_RETURN_IF_ERROR(tx.PutPartialSum(next));
    DevicesReported reported;
    for (const Pending* member : members) {
      const UpdateOffer& offer = member->offer;
      MUSTER_ASSIGN_OR_RETURN(InvocationRecord invocation, tx.FindInvocation(offer.invocation));
      if (invocation.status != InvocationStatus::kOpen) {
        return absl::UnavailableError("a member was decided meanwhile; offer the update again");
      }
      invocation.status = InvocationStatus::kReported;
      invocation.update = offer.update;
      invocation.examples = offer.examples;
      invocation.metrics = offer.metrics;
      invocation.finished = now;
      uint64_t runs = 1;
      if (member->masked.empty()) {
        invocation.metering = offer.metering;
      } else {
        // The run itself was counted with the advert.
        invocation.metering.bytes_up = offer.metering.bytes_up;
        runs = 0;
        MUSTER_RETURN_IF_ERROR(tx.AddSecAggMessage({.round = id,
                                                    .step = SecAggStep::kMasked,
                                                    .device = member->device,
                                                    .message = member->masked}));
      }
      MUSTER_RETURN_IF_ERROR(tx.PutInvocation(invocation));
      MUSTER_RETURN_IF_ERROR(CountUsage(tx, id.job.value(), member->device, offer.metering, runs));
      ++reported.count;
      reported.examples += offer.examples;
      current.bytes_up += offer.metering.bytes_up;
      current.bytes_down += offer.metering.bytes_down;
    }
    RoundEvent event = reported;
    if (std::holds_alternative<Masking>(current.state)) event = DevicesAnswered{reported.count};
    MUSTER_ASSIGN_OR_RETURN(auto ignored,
                            ApplyToRound(tx, after, current, event, now, context_.options));
    if (ignored) return absl::InternalError(StrCat("a sum was refused: ", ignored->why));
    return absl::OkStatus();
  };
  return Transact(context_, [&](StoreTx& tx, AfterCommit& after) {
    absl::Status status = put_rows(tx, after);
    refused = !status.ok();
    return status;
  });
}

// One attempt to make `members` part of the durable sum. Whoever was answered on the way, also with
// ACCEPTED, leaves `members`; after an error the others are not answered yet.
absl::Status UpdateIntake::TryCommit(const RoundId& id, std::vector<Pending*>& members) {
  PartialSumRecord durable;
  SumShape shape;
  MUSTER_RETURN_IF_ERROR(DropDecided(id, members, durable, shape));
  if (members.empty()) return absl::OkStatus();
  Accumulator& accumulator = accumulators_[id];
  MUSTER_RETURN_IF_ERROR(Load(durable, shape, accumulator));
  MUSTER_RETURN_IF_ERROR(AddAll(members, accumulator));
  if (members.empty()) return absl::OkStatus();
  PartialSumRecord next = durable;
  MUSTER_ASSIGN_OR_RETURN(next.blob, accumulator.sum->WriteTo(context_.sums(), context_.random));

  bool refused = false;
  const absl::Status committed = CommitRows(members, next, refused);
  if (!committed.ok()) {
    // After a commit whose answer was lost the blob may be part of the sum.
    if (refused) context_.sums().Delete(next.blob).IgnoreError();
    return committed;
  }
  ++next.row_version;
  accumulator.durable = next;
  if (!durable.blob.empty()) context_.sums().Delete(durable.blob).IgnoreError();
  for (Pending* member : members) {
    context_.staging.Remove(OwnerOf(member->device), member->offer.update).IgnoreError();
    member->answer(OfferAnswer{Verdict::kAccepted, ""});
  }
  members.clear();
  return absl::OkStatus();
}

void UpdateIntake::CommitBatch(const RoundId& id, std::vector<Pending> batch) {
  std::vector<Pending*> members;
  for (Pending& pending : batch) members.push_back(&pending);
  absl::Status status;
  // Another replica may have taken a member of the batch, the round have closed, or the answer to a
  // commit have got lost (Unknown): what is left is tried again on the durable part.
  for (int attempt = 0; attempt < kCommitAttempts && !members.empty(); ++attempt) {
    status = TryCommit(id, members);
    if (status.ok()) return;
    accumulators_.erase(id);
    if (!absl::IsUnavailable(status) && !absl::IsAborted(status) && !absl::IsUnknown(status)) break;
  }
  for (Pending* member : members) member->answer(status);
}

void UpdateIntake::DropClosedRounds() {
  std::erase_if(accumulators_, [&](const auto& entry) {
    bool open = false;
    context_.store
        .Read([&](const StoreReader& reader) -> absl::Status {
          MUSTER_ASSIGN_OR_RETURN(const RoundRecord round, reader.FindRound(entry.first));
          open = TakesUpdates(round);
          return absl::OkStatus();
        })
        .IgnoreError();
    return !open;
  });
}

}  // namespace muster
