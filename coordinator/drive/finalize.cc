#include "coordinator/drive/finalize.h"

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "aggregation/optimizer/server_optimizer.h"
#include "coordinator/drive/jobs.h"
#include "coordinator/drive/open_sum.h"
#include "coordinator/drive/transitions.h"
#include "coordinator/drive/vector_blob.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

struct Loaded {
  RoundRecord round;
  JobRecord job;
  std::vector<Digest> parts;  // of the sum
  uint32_t next_version = 1;
};

absl::StatusOr<Loaded> Load(const DriveContext& context, const RoundId& id) {
  Loaded loaded;
  MUSTER_RETURN_IF_ERROR(context.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(loaded.round, reader.FindRound(id));
    MUSTER_ASSIGN_OR_RETURN(loaded.job, reader.FindJob(id.job));
    MUSTER_ASSIGN_OR_RETURN(const auto parts, reader.ListPartialSums(id));
    for (const PartialSumRecord& part : parts) loaded.parts.push_back(part.blob);
    auto latest = reader.FindLatestModel(loaded.job.spec.name);
    if (latest.ok()) {
      loaded.next_version = latest->id.version + 1;
    } else if (!absl::IsNotFound(latest.status())) {
      return latest.status();
    }
    return absl::OkStatus();
  }));
  return loaded;
}

bool AllIsShared(const ParameterLayout& layout) {
  return layout.shared_size() == layout.total_size();
}

// The shared entries of a flat vector, in order, and back.
std::vector<float> Gather(const ParameterLayout& layout, const std::vector<float>& flat) {
  std::vector<float> shared;
  shared.reserve(layout.shared_size());
  for (const LayoutEntry& entry : layout.entries()) {
    if (entry.group != ParameterGroup::kShared) continue;
    const auto begin = flat.begin() + static_cast<ptrdiff_t>(entry.offset);
    shared.insert(shared.end(), begin, begin + static_cast<ptrdiff_t>(entry.size()));
  }
  return shared;
}

void Scatter(const ParameterLayout& layout, const std::vector<float>& shared,
             std::vector<float>& flat) {
  auto from = shared.begin();
  for (const LayoutEntry& entry : layout.entries()) {
    if (entry.group != ParameterGroup::kShared) continue;
    const auto until = from + static_cast<ptrdiff_t>(entry.size());
    std::copy(from, until, flat.begin() + static_cast<ptrdiff_t>(entry.offset));
    from = until;
  }
}

struct NewWeights {
  Digest weights;
  Digest optimizer_state;
};

// One step of the server optimizer along the mean update.
absl::StatusOr<NewWeights> ApplyMean(DriveContext& context, const Loaded& loaded,
                                     const std::vector<float>& mean) {
  const JobSpec& spec = loaded.job.spec;
  MUSTER_ASSIGN_OR_RETURN(
      std::vector<float> flat,
      ReadVector(context.blobs, loaded.round.base_weights, spec.layout.total_size()));
  OptimizerState state;
  if (!loaded.round.optimizer_state.empty()) {
    MUSTER_ASSIGN_OR_RETURN(state, ReadOptimizerState(context.blobs, loaded.round.optimizer_state,
                                                      spec.layout.shared_size()));
  }
  // A layout that shares everything needs no second copy of a large model.
  const bool in_place = AllIsShared(spec.layout);
  std::vector<float> shared = in_place ? std::move(flat) : Gather(spec.layout, flat);
  MUSTER_RETURN_IF_ERROR(ApplyServerOptimizer(spec.server_optimizer, mean, shared, state));
  for (float value : shared) {
    if (!std::isfinite(value)) {
      return absl::OutOfRangeError(
          "the server optimizer left the range of float32; lower server_optimizer.learning_rate");
    }
  }
  if (in_place) {
    flat = std::move(shared);
  } else {
    Scatter(spec.layout, shared, flat);
  }
  NewWeights result;
  MUSTER_ASSIGN_OR_RETURN(result.weights, WriteVector(context.blobs, flat));
  MUSTER_ASSIGN_OR_RETURN(result.optimizer_state, WriteOptimizerState(context.blobs, state));
  return result;
}

absl::Status CommitVersion(DriveContext& context, const TaskRecord& task, const ModelRecord& model,
                           double next_clip) {
  return Transact(context, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(tx.CompleteTask(task.key, task.fence));
    MUSTER_ASSIGN_OR_RETURN(RoundRecord round, tx.FindRound(task.round));
    if (!std::holds_alternative<Aggregating>(round.state)) return absl::OkStatus();
    MUSTER_RETURN_IF_ERROR(tx.PutModel(model));
    round.metrics = model.lineage.metrics;
    round.model_version = model.id.version;
    MUSTER_RETURN_IF_ERROR(tx.DeletePartialSums(round.id));
    // The shares have done their work, and nobody needs them again.
    MUSTER_RETURN_IF_ERROR(tx.DeleteSecAggMessages(round.id));
    if (next_clip > 0) {
      MUSTER_ASSIGN_OR_RETURN(JobRecord job, tx.FindJob(round.id.job));
      job.clip = next_clip;
      MUSTER_RETURN_IF_ERROR(tx.PutJob(job));
    }
    return ApplyToRound(tx, after, round, ModelStored{model.id.version, model.lineage.examples},
                        context.clock.Now(), context.options)
        .status();
  });
}

bool IsHopeless(const absl::Status& status) {
  return absl::IsOutOfRange(status) || absl::IsDataLoss(status) ||
         absl::IsFailedPrecondition(status) || absl::IsInvalidArgument(status);
}

std::string LineageName(AggregationMode mode) {
  if (mode == AggregationMode::kClear) return "clear";
  return StrCat("secagg-", AggregationModeName(mode));
}

// The round cannot be finished, and trying again would not help.
absl::Status GiveUp(DriveContext& context, const TaskRecord& task, const absl::Status& why) {
  LogError("round cannot be closed",
           {{"round", task.round.ToString()}, {"reason", std::string(why.message())}});
  return Transact(context, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(tx.CompleteTask(task.key, task.fence));
    MUSTER_ASSIGN_OR_RETURN(RoundRecord round, tx.FindRound(task.round));
    return ApplyToRound(tx, after, round, RoundCancelled{std::string(why.message())},
                        context.clock.Now(), context.options)
        .status();
  });
}

}  // namespace

absl::Status CloseRound(DriveContext& context, const TaskRecord& task) {
  MUSTER_ASSIGN_OR_RETURN(const Loaded loaded, Load(context, task.round));
  const auto* aggregating = std::get_if<Aggregating>(&loaded.round.state);
  if (aggregating == nullptr) {
    return Transact(
        context, [&](StoreTx& tx, AfterCommit&) { return tx.CompleteTask(task.key, task.fence); });
  }
  auto opened = OpenSum(context, loaded.round, loaded.job, loaded.parts);
  if (IsHopeless(opened.status())) return GiveUp(context, task, opened.status());
  MUSTER_RETURN_IF_ERROR(opened.status());
  auto applied = ApplyMean(context, loaded, opened->mean);
  if (IsHopeless(applied.status())) return GiveUp(context, task, applied.status());
  MUSTER_RETURN_IF_ERROR(applied.status());

  const JobSpec& spec = loaded.job.spec;
  const uint64_t bytes = spec.layout.total_size() * sizeof(float);
  const Lineage lineage{.job = loaded.job.id,
                        .round = loaded.round.id.number,
                        .parent_weights = loaded.round.base_weights,
                        .clients = aggregating->reported,
                        .examples = opened->examples,
                        .aggregation = LineageName(loaded.round.policy.aggregation),
                        .created = aggregating->closed,
                        .metrics = opened->metrics};
  const auto package = StorePackage(context, ManifestFor(spec, loaded.next_version, lineage),
                                    applied->weights, bytes, spec.module);
  if (IsHopeless(package.status())) return GiveUp(context, task, package.status());
  MUSTER_RETURN_IF_ERROR(package.status());
  const ModelRecord model{.id = {spec.name, loaded.next_version},
                          .package = package->package,
                          .weights = applied->weights,
                          .module = spec.module,
                          .manifest = package->manifest,
                          .optimizer_state = applied->optimizer_state,
                          .weights_bytes = bytes,
                          .lineage = lineage};
  absl::Status committed = CommitVersion(context, task, model, opened->next_clip);
  // Another job made that version of the same name meanwhile: the next number will do.
  if (absl::IsAlreadyExists(committed)) return CloseRound(context, task);
  MUSTER_RETURN_IF_ERROR(committed);
  LogInfo("round committed", {{"round", loaded.round.id.ToString()},
                              {"model", model.id.ToString()},
                              {"clients", aggregating->reported},
                              {"weights", applied->weights.hex()}});
  for (const Digest& part : loaded.parts) context.sums().Delete(part).IgnoreError();
  return absl::OkStatus();
}

}  // namespace muster
