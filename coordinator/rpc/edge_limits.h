// What the edge of every RPC may be set to.
#pragma once

#include <cstddef>

#include "coordinator/flow/byte_budget.h"
#include "coordinator/flow/limits.h"
#include "coordinator/flow/token_bucket.h"

namespace muster {

struct CallerLimits {
  Rate calls = limits::kDefaultCallRate;        // of one identity
  Rate enrolments = limits::kDefaultEnrolRate;  // from one address
  size_t max_remembered = limits::kMaxRatedCallers;
};

struct EdgeLimits {
  CallerLimits callers;
  ByteBudget::Limits transfers = {.bytes = limits::kDefaultTransferBytes,
                                  .share = limits::kTransferShare,
                                  .waiting = limits::kDefaultTransfersWaiting,
                                  .stall = limits::kTransferStall};
};

}  // namespace muster
