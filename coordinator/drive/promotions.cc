#include "coordinator/drive/promotions.h"

#include <optional>
#include <utility>

#include "coordinator/drive/audit.h"
#include "coordinator/drive/dispatch.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kPromotionSuffixBytes = 4;

std::string SubjectOf(const PromotionRecord& record) {
  return StrCat("model/", record.model.ToString());
}

absl::StatusOr<PromotionRecord> Find(const StoreReader& reader, const std::string& name,
                                     const std::string& id) {
  if (!id.empty()) return reader.FindPromotion(PromotionId::Trusted(id));
  MUSTER_ASSIGN_OR_RETURN(auto promotions, reader.ListPromotions(name));
  if (promotions.empty()) {
    return absl::NotFoundError(StrCat("nothing was promoted under the name '", name,
                                      "'; `muster promote NAME@VERSION` does it"));
  }
  return promotions.front();
}

// Does `promotion` decide what a device with these labels serves?
bool Rules(const PromotionRecord& promotion, const DesiredState& desired) {
  for (const DesiredModel& model : desired.models) {
    if (model.name == promotion.model.name) return model.package == promotion.package;
  }
  return false;
}

absl::StatusOr<PromotionView> ViewOf(const StoreReader& reader, PromotionRecord record) {
  PromotionView view{.record = std::move(record)};
  Page page{.limit = limits::kMaxPageSize};
  while (true) {
    MUSTER_ASSIGN_OR_RETURN(auto devices, reader.ListDevices(page));
    for (const DeviceRecord& device : devices) {
      page.after = device.id.value();
      if (device.revoked || !view.record.cohort.Matches(device.labels)) continue;
      MUSTER_ASSIGN_OR_RETURN(const DesiredState desired, DesiredFor(reader, device.labels));
      if (!Rules(view.record, desired)) continue;
      CoveredDevice covered{.device = device.id};
      for (const ModelStatus& status : device.models) {
        if (status.name != view.record.model.name) continue;
        covered.reported = device.applied_generation >= view.record.generation;
        covered.status = status;
      }
      view.devices.push_back(std::move(covered));
    }
    if (devices.size() < page.limit) break;
  }
  view.tally = Tally(view.record.model.version, view.devices);
  const RolloutOutcome outcome = Step(view.record.phase, DevicesChanged{view.tally});
  if (const auto* phase = std::get_if<RolloutPhase>(&outcome)) view.record.phase = *phase;
  return view;
}

absl::Status Advance(StoreTx& tx, PromotionRecord record, const RolloutEvent& event) {
  const RolloutOutcome outcome = Step(record.phase, event);
  const auto* phase = std::get_if<RolloutPhase>(&outcome);
  if (phase == nullptr || *phase == record.phase) return absl::OkStatus();
  record.phase = *phase;
  return tx.PutPromotion(record);
}

absl::Status WakeFleet(const StoreReader& reader, const Selector& cohort, AfterCommit& after) {
  Page page{.limit = limits::kMaxPageSize};
  while (true) {
    MUSTER_ASSIGN_OR_RETURN(auto devices, reader.ListDevices(page));
    for (const DeviceRecord& device : devices) {
      page.after = device.id.value();
      if (cohort.Matches(device.labels)) after.Wake(DeviceKey(device.id));
    }
    if (devices.size() < page.limit) return absl::OkStatus();
  }
}

}  // namespace

absl::StatusOr<Promoted> Promote(DriveContext& context, const ModelVersion& model,
                                 const Selector& cohort, bool personalize, const std::string& by) {
  Promoted promoted;
  const std::string suffix = context.random.Hex(kPromotionSuffixBytes);
  MUSTER_RETURN_IF_ERROR(Transact(context, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    promoted = {};
    MUSTER_ASSIGN_OR_RETURN(const ModelRecord version, tx.FindModel(model));
    MUSTER_ASSIGN_OR_RETURN(auto earlier, tx.ListPromotions(model.name.value()));
    PromotionRecord record{.id = PromotionId::Trusted("p-" + suffix),
                           .model = model,
                           .package = version.package,
                           .cohort = cohort,
                           .personalize = personalize,
                           .created = context.clock.Now(),
                           .created_by = by};
    for (const PromotionRecord& other : earlier) {  // newest first
      if (other.phase == PromotionPhase::kRolledBack || !(other.cohort == cohort)) continue;
      if (other.phase == PromotionPhase::kSuperseded) continue;
      if (other.model == model && other.personalize == personalize) {
        promoted.already = true;
        MUSTER_ASSIGN_OR_RETURN(promoted.view, ViewOf(tx, other));
        return absl::OkStatus();
      }
      record.previous_version = other.model.version;
      MUSTER_RETURN_IF_ERROR(Advance(tx, other, NewerPromotion{}));
      break;
    }
    MUSTER_ASSIGN_OR_RETURN(record.generation, tx.NextGeneration());
    MUSTER_RETURN_IF_ERROR(tx.PutPromotion(record));
    MUSTER_RETURN_IF_ERROR(
        Audit(tx, context,
              {.actor = by,
               .action = audit::kModelPromote,
               .subject = SubjectOf(record),
               .detail = StrCat("promotion=", record.id.value(), " cohort=", cohort.ToString(),
                                " generation=", record.generation)}));
    MUSTER_RETURN_IF_ERROR(WakeFleet(tx, cohort, after));
    MUSTER_ASSIGN_OR_RETURN(promoted.view, ViewOf(tx, record));
    return absl::OkStatus();
  }));
  return promoted;
}

absl::StatusOr<PromotionView> GetPromotion(const DriveContext& context, const std::string& name,
                                           const std::string& id) {
  PromotionView view;
  MUSTER_RETURN_IF_ERROR(context.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(PromotionRecord record, Find(reader, name, id));
    MUSTER_ASSIGN_OR_RETURN(view, ViewOf(reader, std::move(record)));
    return absl::OkStatus();
  }));
  return view;
}

absl::StatusOr<PromotionView> RollBack(DriveContext& context, const std::string& name,
                                       const std::string& id, const std::string& by) {
  PromotionView view;
  MUSTER_RETURN_IF_ERROR(Transact(context, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(PromotionRecord record, Find(tx, name, id));
    if (record.phase != PromotionPhase::kRolledBack) {
      const bool ruled = record.phase != PromotionPhase::kSuperseded;
      record.phase = PromotionPhase::kRolledBack;
      MUSTER_RETURN_IF_ERROR(tx.PutPromotion(record));
      MUSTER_RETURN_IF_ERROR(tx.NextGeneration().status());
      MUSTER_ASSIGN_OR_RETURN(auto others, tx.ListPromotions(record.model.name.value()));
      for (const PromotionRecord& other : others) {  // newest first
        if (!ruled || other.phase != PromotionPhase::kSuperseded) continue;
        if (!(other.cohort == record.cohort)) continue;
        MUSTER_RETURN_IF_ERROR(Advance(tx, other, NewerRolledBack{}));
        break;
      }
      MUSTER_RETURN_IF_ERROR(
          Audit(tx, context,
                {.actor = by, .action = audit::kModelRollBack, .subject = SubjectOf(record)}));
      MUSTER_RETURN_IF_ERROR(WakeFleet(tx, record.cohort, after));
    }
    MUSTER_ASSIGN_OR_RETURN(record, tx.FindPromotion(record.id));
    MUSTER_ASSIGN_OR_RETURN(view, ViewOf(tx, record));
    return absl::OkStatus();
  }));
  return view;
}

}  // namespace muster
