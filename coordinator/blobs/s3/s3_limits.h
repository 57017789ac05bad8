// Every bound of the S3 adapter has a name here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "proto/core/limits.h"

namespace muster::limits {

inline constexpr size_t kS3MinPartBytes = 5u << 20;      // of a multipart upload; S3's own
inline constexpr uint64_t kS3MaxCopyBytes = 5ull << 30;  // of one object to copy; S3's own
inline constexpr size_t kS3PartBytes = 8u << 20;         // buffered by each writer and reader
inline constexpr size_t kS3FirstReadBytes = 1u << 20;    // that opening a blob fetches
inline constexpr size_t kS3MaxXmlBytes = 4u << 20;       // of one answer
inline constexpr size_t kS3IdleConnections = 64;         // kept open
inline constexpr uint32_t kS3Attempts = 5;               // of one request
inline constexpr auto kS3FirstPause = 100ms;             // between attempts; doubles, with jitter
inline constexpr auto kS3LongestPause = 5s;
inline constexpr auto kS3ConnectTimeout = 10s;
inline constexpr auto kS3StallTimeout = 30s;
inline constexpr auto kS3LeftoverAge = 24h;  // of uploads that nobody ended
inline constexpr auto kS3SweepEvery = 6h;    // for such leftovers
inline constexpr auto kS3DeletingAge = 1h;   // how long an announced deletion may be under way
inline constexpr auto kS3DeletingPause = 100ms;
inline constexpr uint32_t kS3DeletingLooks = 50;  // that somebody waits for one
inline constexpr auto kS3WaitingAge = 10min;      // of appended bytes that nobody flushed
inline constexpr uint64_t kS3StagingMemoryBytes = 256ull << 20;  // of all uploads, not yet written

}  // namespace muster::limits
