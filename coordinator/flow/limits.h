// The limits of one coordinator that operators may set; these are the defaults. README.md has them
// in a table with their flags and metrics.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "coordinator/flow/token_bucket.h"

namespace muster::limits {

using namespace std::chrono_literals;

inline constexpr size_t kDefaultMaxConnections = 20'000;
inline constexpr int kMaxStreamsPerConnection = 100;  // calls at once; fixed

// Calls of one identity: a device in a round makes some twenty, in bursts.
inline constexpr Rate kDefaultCallRate{.per_second = 100, .burst = 500};
// Calls without an identity, which is enrolling, from one address: many devices may share it.
inline constexpr Rate kDefaultEnrolRate{.per_second = 200, .burst = 2000};
inline constexpr size_t kMaxRatedCallers = 200'000;  // that are remembered

// Uploads and downloads. A share is one chunk as it came and the same as it is stored.
inline constexpr uint64_t kDefaultTransferBytes = 256ull << 20;
inline constexpr uint64_t kTransferShare = 2ull << 20;
inline constexpr size_t kDefaultTransfersWaiting = 10'000;
inline constexpr auto kTransferStall = 60s;

// Each has a sum of its model's size in memory.
inline constexpr size_t kDefaultMaxOpenRounds = 100;

// How long callers are told to stay away when a queue is full.
inline constexpr auto kBusyRetry = 2s;
inline constexpr auto kJobRetry = 1min;  // when too many rounds are open

}  // namespace muster::limits
