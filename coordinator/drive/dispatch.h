// Check-ins: what a device that calls should do now, and when it should call again.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "coordinator/drive/context.h"
#include "coordinator/flow/pacer.h"

namespace muster {

class Dispatcher {
 public:
  explicit Dispatcher(DriveContext& context)
      : context_(context),
        pacer_({.per_second = context.options.check_ins_per_second,
                .min = context.options.pace_min,
                .max = context.options.pace_max}) {}

  // Never holds the call: the service does, with WakeUps under DeviceKey(device), and asks again.
  // Idle check-ins write nothing but last_seen, now and then.
  absl::StatusOr<CheckInAnswer> CheckIn(const DeviceId& device, const muster::CheckIn& check_in);

  // From which the pace of idle devices follows; refreshed by the task runner.
  void SetFleetSize(size_t devices) { fleet_size_.store(devices); }
  // Idle check-ins a second, smoothed.
  double CheckInRate() const;

 private:
  using OpenRounds = std::vector<RoundRecord>;  // of the whole store, read once for each check-in

  absl::StatusOr<bool> MayNeedWrite(const StoreReader& reader, const DeviceRecord& device,
                                    const muster::CheckIn& check_in, const OpenRounds& open,
                                    Timestamp now) const;
  absl::StatusOr<CheckInAnswer> Answer(const StoreReader& reader, const DeviceRecord& device,
                                       const muster::CheckIn& check_in, const OpenRounds& open,
                                       Timestamp now) const;
  absl::Status TakePart(StoreTx& tx, AfterCommit& after, const DeviceRecord& device,
                        OpenRounds& open, Timestamp now);

  Duration NextCheckIn(const muster::CheckIn& check_in, bool in_round, Timestamp now);

  DriveContext& context_;
  std::atomic<size_t> fleet_size_{0};
  mutable std::mutex pacer_mutex_;
  Pacer pacer_;
};

// What `labels` entitle a device to serve, with the current generation.
absl::StatusOr<DesiredState> DesiredFor(const StoreReader& reader, const Labels& labels);

}  // namespace muster
