// What a promotion's devices add up to. Pure.
#pragma once

#include <string>

#include "muster/v1/operator.pb.h"
#include "proto/core/time.h"

namespace muster::cli {

enum class RolloutDecision { kPending, kLive, kFailed };

// Live: every covered device serves the version, and there is one. Failed: none is pending and one
// has failed, no device is covered, or the promotion no longer rules.
RolloutDecision DecisionOf(const v1::Promotion& promotion);
// "7 of 10 devices live, 1 failed, 2 pending"
std::string CountsOf(const v1::Promotion& promotion);
// "pending" until the device has answered to this promotion, then its phase.
std::string StateOf(const v1::PromotionDevice& device);
// "is not live: 1 device failed (device-03: no space left)"
std::string WhyNotLive(const v1::Promotion& promotion, Duration waited);

}  // namespace muster::cli
