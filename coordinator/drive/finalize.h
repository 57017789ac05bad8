// The end of a round: the mean of its durable sum, one step of the server optimizer, and the result
// as a new signed model version. Deterministic: a repetition after a crash writes the same weights.
#pragma once

#include "coordinator/drive/context.h"

namespace muster {

absl::Status CloseRound(DriveContext& context, const TaskRecord& task);

}  // namespace muster
