#include "coordinator/cli/rollout_view.h"

#include "coordinator/cli/duration.h"
#include "coordinator/cli/json_view.h"
#include "coordinator/cli/text.h"
#include "proto/core/strings.h"

namespace muster::cli {

RolloutDecision DecisionOf(const v1::Promotion& promotion) {
  switch (promotion.phase()) {
    case v1::PROMOTION_PHASE_LIVE:
      return RolloutDecision::kLive;
    case v1::PROMOTION_PHASE_ROLLING_OUT:
      break;
    default:
      return RolloutDecision::kFailed;
  }
  if (promotion.devices_total() == 0) return RolloutDecision::kFailed;
  return promotion.devices_failed() > 0 && promotion.devices_pending() == 0
             ? RolloutDecision::kFailed
             : RolloutDecision::kPending;
}

std::string CountsOf(const v1::Promotion& promotion) {
  return StrCat(promotion.devices_live(), " of ", promotion.devices_total(), " devices live, ",
                promotion.devices_failed(), " failed, ", promotion.devices_pending(), " pending");
}

std::string StateOf(const v1::PromotionDevice& device) {
  return device.seen() ? ShortName(*v1::ModelPhase_descriptor(), device.status().phase())
                       : "pending";
}

std::string WhyNotLive(const v1::Promotion& promotion, Duration waited) {
  if (promotion.phase() != v1::PROMOTION_PHASE_ROLLING_OUT) {
    return StrCat("is not live: the promotion was ",
                  promotion.phase() == v1::PROMOTION_PHASE_SUPERSEDED ? "superseded by a newer one"
                                                                      : "rolled back");
  }
  if (promotion.devices_total() == 0) return "covers no device: no enrolled device matches";
  std::string why = promotion.devices_pending() > 0
                        ? StrCat("was not live within ", FormatDuration(waited), ": ")
                        : "is not live: ";
  StrAppend(&why, CountsOf(promotion));
  for (const v1::PromotionDevice& device : promotion.devices()) {
    if (!device.seen() || device.status().phase() != v1::MODEL_PHASE_FAILED) continue;
    return StrCat(why, " (", device.device(), ": ", Printable(device.status().reason()), ")");
  }
  return why;
}

}  // namespace muster::cli
