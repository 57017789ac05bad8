// Evaluations of committed versions by the job's designated evaluator client.
#pragma once

#include "coordinator/drive/context.h"

namespace muster {

// Hands the evaluation to the evaluator that was seen last. False if none is there now.
absl::StatusOr<bool> AssignEvaluation(StoreTx& tx, AfterCommit& after, const TaskRecord& task,
                                      Timestamp now, const DriveOptions& options);

// Records the metrics (none after a failure or the deadline) with the round and the model version,
// and tells the job.
absl::Status EndEvaluation(StoreTx& tx, AfterCommit& after, RoundRecord round,
                           const Metrics& metrics, Timestamp now, const DriveOptions& options);

}  // namespace muster
