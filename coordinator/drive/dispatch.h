// Check-ins: what a device that calls should do now, and when it should call again.
#pragma once

#include <atomic>

#include "coordinator/drive/context.h"

namespace muster {

class Dispatcher {
 public:
  explicit Dispatcher(DriveContext& context) : context_(context) {}

  // Never holds the call: the service does, with WakeUps under DeviceKey(device), and asks again.
  // Idle check-ins write nothing but last_seen, now and then.
  absl::StatusOr<CheckInAnswer> CheckIn(const DeviceId& device, const muster::CheckIn& check_in);

  // The pace that idle devices are told, from the fleet's size; refreshed by the task runner.
  void SetFleetSize(size_t devices) { fleet_size_.store(devices); }
  Duration Pace() const;

 private:
  absl::StatusOr<bool> MayNeedWrite(const StoreReader& reader, const DeviceRecord& device,
                                    const muster::CheckIn& check_in, Timestamp now) const;
  absl::StatusOr<CheckInAnswer> Answer(const StoreReader& reader, const DeviceRecord& device,
                                       const muster::CheckIn& check_in, Timestamp now) const;
  absl::Status TakePart(StoreTx& tx, AfterCommit& after, const DeviceRecord& device, Timestamp now);

  DriveContext& context_;
  std::atomic<size_t> fleet_size_{0};
};

// What `labels` entitle a device to serve, with the current generation.
absl::StatusOr<DesiredState> DesiredFor(const StoreReader& reader, const Labels& labels);

}  // namespace muster
