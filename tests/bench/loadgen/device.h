// A device without a machine: an identity of its own, and a channel while it is connected.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "client/identity/device_identity.h"
#include "muster/v1/device.grpc.pb.h"
#include "muster/v1/secagg.grpc.pb.h"
#include "proto/core/device_messages.h"
#include "proto/transport/channel.h"
#include "tests/bench/loadgen/call.h"

namespace muster::load {

inline constexpr uint64_t kExamples = 100;  // that each device says it has

class VirtualDevice {
 public:
  explicit VirtualDevice(DeviceIdentity identity) : identity_(std::move(identity)) {}

  // A channel as a real device makes it; it connects with its first call. It resumes the sessions
  // of the device's earlier channels, as a real device does whose connection broke, or forgets
  // them.
  absl::Status Connect(const std::string& coordinator, bool resume = true);
  void Disconnect();
  bool connected() const { return channel_ != nullptr; }

  // Connected ones only.
  Co<absl::StatusOr<CheckInAnswer>> CheckIn(Caller caller, Duration wait);

  const DeviceIdentity& identity() const { return identity_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  v1::SecureAggregationService::StubInterface& secagg() { return *secagg_; }
  v1::DeviceService::StubInterface& service() { return *service_; }

 private:
  const DeviceIdentity identity_;
  TlsSessions sessions_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::DeviceService::StubInterface> service_;
  std::unique_ptr<v1::SecureAggregationService::StubInterface> secagg_;
  uint64_t known_generation_ = 0;
};

// Enrols one more device over `channel`, which has no identity. `number` makes its labels: tier=N
// for the first tier that is larger.
Co<absl::StatusOr<DeviceIdentity>> EnrolVirtualDevice(
    Caller caller, std::shared_ptr<grpc::ChannelInterface> channel, std::string token,
    std::string ca_pem, Labels labels);

}  // namespace muster::load
