#include "tests/sim/promises.h"

#include "aggregation/secagg/ring_sum.h"
#include "aggregation/secagg/sets.h"
#include "coordinator/drive/transitions.h"
#include "proto/codec/secagg_bytes.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::sim {

void Promises::Must(const absl::Status& status) {
  if (!status.ok()) world_.Fail(std::string(status.message()));
}

void Promises::Revealed(const RoundId& round, const secagg::UnmaskReply& reply) {
  const auto note = [&](uint32_t index, bool key) {
    const auto [known, fresh] = revealed_.try_emplace({round, index}, key);
    if (fresh || known->second == key) return;
    world_.Fail(StrCat("both secrets of client ", index, " were revealed in ", round.ToString()));
  };
  for (const auto& share : reply.self_shares) note(share.index, false);
  for (const auto& share : reply.key_shares) note(share.index, true);
}

void Promises::Acknowledged(const StateStore& store, const InvocationId& id, const Digest& update) {
  Must(store.Read([&](const StoreReader& reader) -> absl::Status {
    const auto invocation = reader.FindInvocation(id);
    if (!invocation.ok() || invocation->status != InvocationStatus::kReported ||
        invocation->update != update) {
      return absl::InternalError(
          StrCat("an update was acknowledged and is not durable: ", id.value()));
    }
    return absl::OkStatus();
  }));
  acknowledged_[id] = update;
}

void Promises::StepTaken(const StateStore& store, const DeviceId& device, const InvocationId& id,
                         SecAggStep step) {
  Must(store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const InvocationRecord invocation, reader.FindInvocation(id));
    MUSTER_ASSIGN_OR_RETURN(const RoundRecord round, reader.FindRound(invocation.round));
    if (IsTerminal(round.state)) return absl::OkStatus();  // its messages were deleted
    if (reader.FindSecAggMessage(round.id, step, device).ok()) return absl::OkStatus();
    return absl::InternalError(StrCat("the ", SecAggStepName(step), " of ", device.value(),
                                      " was acknowledged and is not durable"));
  }));
}

absl::Status Promises::CheckSurvivors(const RoundId& round, const secagg::ClientSet& survivors) {
  if (survivors.empty()) return absl::OkStatus();
  const auto [known, fresh] = survivors_.try_emplace(round, survivors);
  if (fresh || known->second == survivors) return absl::OkStatus();
  return absl::InternalError(StrCat("the survivors of ", round.ToString(), " changed"));
}

void Promises::Shown(const StateStore& store, const InvocationId& id,
                     const secagg::Awaited& answer) {
  Must(store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const InvocationRecord invocation, reader.FindInvocation(id));
    if (const auto* roster = std::get_if<secagg::RosterView>(&answer)) {
      thresholds_[invocation.round] = roster->threshold;
    } else if (const auto* survivors = std::get_if<secagg::Survivors>(&answer)) {
      return CheckSurvivors(invocation.round, survivors->clients);
    } else if (const auto* request = std::get_if<secagg::UnmaskRequest>(&answer)) {
      return CheckSurvivors(invocation.round, request->survivors);
    }
    return absl::OkStatus();
  }));
}

absl::Status Promises::CheckTimers(const StoreReader& reader, const RoundRecord& round) const {
  if (ClosesAt(round.state).has_value()) {
    if (reader.FindTask(RoundTaskKey(kRoundDeadlineTask, round.id)).ok()) return absl::OkStatus();
    return absl::InternalError(StrCat("the timer of ", round.id.ToString(), " is lost while it is ",
                                      PhaseName(round.state)));
  }
  if (!std::holds_alternative<Aggregating>(round.state)) return absl::OkStatus();
  if (reader.FindTask(RoundTaskKey(kCloseSumTask, round.id)).ok()) return absl::OkStatus();
  return absl::InternalError(StrCat("nobody will close the sum of ", round.id.ToString()));
}

// When the masks may come off: a threshold of shares of each secret that is needed, one kind each.
absl::Status Promises::CheckReveals(const StoreReader& reader, const RoundRecord& round) {
  if (round.policy.aggregation == AggregationMode::kClear) return absl::OkStatus();
  if (!std::holds_alternative<Aggregating>(round.state)) return absl::OkStatus();
  if (!opened_.insert(round.id).second) return absl::OkStatus();
  MUSTER_ASSIGN_OR_RETURN(const auto session, reader.FindSecAggSession(round.id));
  MUSTER_ASSIGN_OR_RETURN(const auto replies,
                          reader.ListSecAggMessages(round.id, SecAggStep::kReveal));
  std::map<uint32_t, uint32_t> self, key;
  for (const SecAggMessageRecord& message : replies) {
    MUSTER_ASSIGN_OR_RETURN(const auto offer, ParseSecAgg<secagg::UnmaskOffer>(message.message));
    for (const auto& share : offer.reply.self_shares) ++self[share.index];
    for (const auto& share : offer.reply.key_shares) ++key[share.index];
  }
  const uint32_t threshold = thresholds_[round.id];
  for (uint32_t i = 0; i < 8 * session.sharers.size(); ++i) {
    if (!secagg::Contains(session.sharers, i)) continue;
    const bool survived = secagg::Contains(session.survivors, i);
    const uint32_t shares = survived ? self[i] : key[i];
    if (threshold == 0 || shares < threshold) {
      return absl::InternalError(StrCat(round.id.ToString(), " is opened with ", shares,
                                        " shares of client ", i, "; the threshold is ", threshold));
    }
  }
  if (secagg::Count(session.survivors) < round.policy.quorum) {
    return absl::InternalError(StrCat(round.id.ToString(), " is opened below its quorum"));
  }
  return absl::OkStatus();
}

void Promises::OnCommit(const Notes& notes, const StateStore& store) {
  for (const TaskRecord& task : notes.claimed) {
    if (task.fence <= highest_fence_) world_.Fail(StrCat("the fence of ", task.key, " fell back"));
    highest_fence_ = std::max(highest_fence_, task.fence);
    fences_[task.key] = task.fence;
  }
  for (const auto& [key, fence] : notes.completed) {
    if (fences_[key] != fence) world_.Fail(StrCat("a stale fence completed ", key));
  }
  for (const SecAggSessionRecord& session : notes.sessions) {
    Must(CheckSurvivors(session.round, session.survivors));
  }
  if (notes.rounds.empty()) return;
  Must(store.Read([&](const StoreReader& reader) -> absl::Status {
    for (const RoundId& id : notes.rounds) {
      const auto round = reader.FindRound(id);
      if (!round.ok()) continue;
      if (IsTerminal(round->state)) {
        const auto [ended, fresh] = ended_.try_emplace(id, round->state);
        if (!fresh && ended->second != round->state) {
          return absl::InternalError(StrCat(id.ToString(), " changed after its end"));
        }
      }
      MUSTER_RETURN_IF_ERROR(CheckTimers(reader, *round));
      MUSTER_RETURN_IF_ERROR(CheckReveals(reader, *round));
    }
    return absl::OkStatus();
  }));
}

}  // namespace muster::sim
