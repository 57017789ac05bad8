// The bounds of the audit log. Apart from limits.h, because few need them.
#pragma once

#include <chrono>
#include <cstddef>

namespace muster::limits {

inline constexpr size_t kMaxAuditChainBytes = 160;
inline constexpr size_t kMaxAuditNameBytes = 300;     // actor, action, subject
inline constexpr size_t kMaxAuditDetailBytes = 1024;  // longer ones are cut
inline constexpr size_t kMaxRefusalRows = 16;         // of one writer in one window; more share one
inline constexpr auto kRefusalWindow = std::chrono::seconds(60);
inline constexpr size_t kMaxAuditPlaces = 1000;  // compared in one call

}  // namespace muster::limits
