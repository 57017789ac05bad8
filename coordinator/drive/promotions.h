// Promotions: desired state that devices reconcile.
#pragma once

#include <string>
#include <vector>

#include "coordinator/drive/context.h"

namespace muster {

struct PromotionView {
  PromotionRecord record;  // with the phase as the devices make it now
  RolloutTally tally;
  std::vector<CoveredDevice> devices;  // that this promotion covers, by id
};

struct Promoted {
  PromotionView view;
  bool already = false;  // the very same promotion ruled before: nothing changed
};

absl::StatusOr<Promoted> Promote(DriveContext& context, const ModelVersion& model,
                                 const Selector& cohort, bool personalize, const std::string& by);

// By id, or the newest of `name` if `id` is empty.
absl::StatusOr<PromotionView> GetPromotion(const DriveContext& context, const std::string& name,
                                           const std::string& id);

// Its devices return to the promotion that it covered, or to nothing. Repeating it changes nothing.
absl::StatusOr<PromotionView> RollBack(DriveContext& context, const std::string& name,
                                       const std::string& id, const std::string& by);

}  // namespace muster
