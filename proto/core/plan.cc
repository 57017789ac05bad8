#include "proto/core/plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "proto/core/strings.h"
#include "proto/core/suggest.h"

namespace muster {
namespace {

constexpr std::array<std::string_view, 5> kLossNames = {"cross_entropy", "nll", "mse",
                                                        "bce_with_logits", "module"};

}  // namespace

std::string_view FunctionName(FunctionKind kind) {
  switch (kind) {
    case FunctionKind::kTrain:
      return "train";
    case FunctionKind::kEvaluate:
      return "evaluate";
    case FunctionKind::kPersonalize:
      return "personalize";
    case FunctionKind::kInfer:
      return "infer";
  }
  return "unknown";
}

std::string_view LossName(LossKind kind) { return kLossNames.at(static_cast<size_t>(kind)); }

absl::StatusOr<LossKind> ParseLoss(std::string_view name) {
  const auto found = std::find(kLossNames.begin(), kLossNames.end(), name);
  if (found == kLossNames.end()) {
    return absl::InvalidArgumentError(
        StrCat("unknown loss '", name, "'", DidYouMean(name, kLossNames),
               "; use cross_entropy, nll, mse, bce_with_logits, or module for the module's own"));
  }
  return static_cast<LossKind>(found - kLossNames.begin());
}

double LearningRateAt(double base, const LearningRateSchedule& schedule, uint32_t round,
                      uint32_t total_rounds) {
  const uint32_t passed = round > 0 ? round - 1 : 0;
  switch (schedule.kind) {
    case ScheduleKind::kConstant:
      return base;
    case ScheduleKind::kStep:
      return base * std::pow(schedule.gamma, passed / std::max(1u, schedule.every));
    case ScheduleKind::kCosine: {
      if (total_rounds <= 1) return base;
      const double done = std::min(1.0, static_cast<double>(passed) / (total_rounds - 1));
      const double low = base * schedule.floor;
      return low + (base - low) * 0.5 * (1.0 + std::cos(std::numbers::pi * done));
    }
  }
  return base;
}

}  // namespace muster
