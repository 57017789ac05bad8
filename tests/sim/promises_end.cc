// The end of a history: what the rows say must be what the weights are.
#include <algorithm>

#include "aggregation/optimizer/server_optimizer.h"
#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/ring_sum.h"
#include "aggregation/secagg/sets.h"
#include "aggregation/sum/weighted_sum.h"
#include "coordinator/drive/vector_blob.h"
#include "proto/codec/secagg_bytes.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "tests/sim/promises.h"

namespace muster::sim {
namespace {

absl::Status Broken(const RoundRecord& round, std::string_view what) {
  return absl::InternalError(StrCat(round.id.ToString(), ": ", what));
}

}  // namespace

absl::StatusOr<std::vector<float>> Promises::MeanOf(
    const StoreReader& reader, const JobRecord& job, const RoundRecord& round,
    const std::vector<InvocationRecord>& counted) const {
  std::vector<float> mean(job.spec.layout.shared_size());
  if (round.policy.aggregation == AggregationMode::kClear) {
    WeightedSum sum(mean.size());
    for (const InvocationRecord& invocation : counted) {
      const auto made = updates_.find(invocation.update);
      if (made == updates_.end()) return Broken(round, "an update counts that nobody made");
      MUSTER_RETURN_IF_ERROR(sum.Add(made->second, invocation.examples));
    }
    MUSTER_RETURN_IF_ERROR(sum.Mean(mean));
    return mean;
  }
  MUSTER_ASSIGN_OR_RETURN(const auto session, reader.FindSecAggSession(round.id));
  if (secagg::Count(session.survivors) != counted.size()) {
    return Broken(round, "the survivors are not those who count");
  }
  MUSTER_ASSIGN_OR_RETURN(const auto params, ParseSecAgg<secagg::Params>(session.params));
  secagg::RingSum sum(params.ring_bits, secagg::VectorLength(params));
  for (const InvocationRecord& invocation : counted) {
    const auto made = vectors_.find(invocation.update);
    if (made == vectors_.end()) return Broken(round, "a vector counts that nobody made");
    sum.AddChunk(0, {reinterpret_cast<const uint8_t*>(made->second.data()), made->second.size()});
    sum.FinishClient();
  }
  MUSTER_RETURN_IF_ERROR(secagg::DecodeSum(
                             params, [&](uint64_t i) { return sum.Element(i); }, mean)
                             .status());
  return mean;
}

absl::Status Promises::CheckRound(const StoreReader& reader, const BlobStore& blobs,
                                  const JobRecord& job, const RoundRecord& round) {
  if (!IsTerminal(round.state)) return Broken(round, "it never ended");
  MUSTER_ASSIGN_OR_RETURN(const auto invocations,
                          reader.ListInvocations(round.id, FunctionKind::kTrain));
  std::set<DeviceId> seen;
  std::vector<InvocationRecord> counted;
  for (const InvocationRecord& invocation : invocations) {
    if (!seen.insert(invocation.device).second) return Broken(round, "a device came in twice");
    if (invocation.status == InvocationStatus::kOpen) return Broken(round, "an invitation is open");
    if (invocation.status == InvocationStatus::kReported) counted.push_back(invocation);
  }
  for (const InvocationRecord& invocation : counted) {
    const auto acknowledged = acknowledged_.find(invocation.id);
    if (acknowledged != acknowledged_.end() && acknowledged->second != invocation.update) {
      return Broken(round, "another update counts than was acknowledged");
    }
    acknowledged_.erase(invocation.id);
  }
  const auto* committed = std::get_if<Committed>(&round.state);
  if (committed == nullptr) {
    ++totals_.abandoned;
    return absl::OkStatus();
  }
  ++totals_.committed;
  totals_.secure += round.policy.aggregation != AggregationMode::kClear;
  if (committed->reported != counted.size()) {
    return Broken(round, StrCat(committed->reported, " updates are said to count, and ",
                                counted.size(), " do"));
  }
  if (counted.size() < round.policy.quorum) return Broken(round, "it committed below its quorum");
  MUSTER_ASSIGN_OR_RETURN(const std::vector<float> mean, MeanOf(reader, job, round, counted));
  const uint64_t size = job.spec.layout.total_size();
  MUSTER_ASSIGN_OR_RETURN(std::vector<float> weights, ReadVector(blobs, round.base_weights, size));
  OptimizerState state;
  if (!round.optimizer_state.empty()) {
    MUSTER_ASSIGN_OR_RETURN(state, ReadOptimizerState(blobs, round.optimizer_state, size));
  }
  MUSTER_RETURN_IF_ERROR(ApplyServerOptimizer(job.spec.server_optimizer, mean, weights, state));
  MUSTER_ASSIGN_OR_RETURN(const ModelRecord model,
                          reader.FindModel({job.spec.name, committed->model_version}));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<float> stored, ReadVector(blobs, model.weights, size));
  if (stored != weights) return Broken(round, "the weights are not what the updates give");
  world_.Say("end", StrCat(round.id.ToString(), " ", counted.size(), " ", model.weights.hex()));
  return absl::OkStatus();
}

void Promises::CheckEnd(const StateStore& store, const BlobStore& blobs) {
  totals_.acknowledged = acknowledged_.size();
  Must(store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const auto jobs, reader.ListJobs({}));
    for (const JobRecord& job : jobs) {
      if (!IsTerminal(job.state)) return absl::InternalError("a job never ended");
      const bool succeeded = std::holds_alternative<JobSucceeded>(job.state);
      ++(succeeded ? totals_.succeeded : totals_.failed);
      MUSTER_ASSIGN_OR_RETURN(const auto rounds,
                              reader.ListRounds(job.id, 1, limits::kMaxPageSize));
      uint32_t committed = 0;
      for (const RoundRecord& round : rounds) {
        MUSTER_RETURN_IF_ERROR(CheckRound(reader, blobs, job, round));
        committed += std::holds_alternative<Committed>(round.state);
      }
      if (committed != job.rounds_committed || (succeeded && committed != job.spec.rounds)) {
        return absl::InternalError(StrCat(committed, " rounds were committed, the job says ",
                                          job.rounds_committed, " of ", job.spec.rounds));
      }
    }
    MUSTER_ASSIGN_OR_RETURN(const auto due, reader.NextTaskDue());
    if (due) return absl::InternalError("a task was left over");
    return absl::OkStatus();
  }));
  if (!acknowledged_.empty() && !world_.failed()) {
    world_.Fail(StrCat("acknowledged, and in no sum: ", acknowledged_.begin()->first.value()));
  }
}

}  // namespace muster::sim
