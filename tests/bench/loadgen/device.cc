#include "tests/bench/loadgen/device.h"

#include <utility>

#include "client/identity/channel.h"
#include "client/identity/identity_files.h"
#include "muster/v1/enrolment.grpc.pb.h"
#include "proto/codec/device_codec.h"
#include "proto/codec/enrol_codec.h"
#include "proto/core/status.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"

namespace muster::load {
namespace {

constexpr char kAgentVersion[] = "loadgen";
constexpr auto kHeldSlack = std::chrono::seconds(10);  // beyond the time that a call may be held

}  // namespace

absl::Status VirtualDevice::Connect(const std::string& coordinator, bool resume) {
  if (!resume) sessions_ = TlsSessions();
  MUSTER_ASSIGN_OR_RETURN(channel_, ConnectCoordinator(coordinator, identity_, sessions_));
  service_ = v1::DeviceService::NewStub(channel_);
  secagg_ = v1::SecureAggregationService::NewStub(channel_);
  return absl::OkStatus();
}

void VirtualDevice::Disconnect() {
  secagg_.reset();
  service_.reset();
  channel_.reset();
}

Co<absl::StatusOr<CheckInAnswer>> VirtualDevice::CheckIn(Caller caller, Duration wait) {
  const muster::CheckIn check_in{.eligibility = {true, true, true, true, true, kExamples},
                                 .known_generation = known_generation_,
                                 .wait = wait,
                                 .agent_version = kAgentVersion};
  using Async = v1::DeviceService::StubInterface::async_interface;
  const v1::CheckInRequest request = EncodeCheckIn(check_in);
  auto call =
      Call(caller, "CheckIn", *service_->async(), &Async::CheckIn, request, wait + kHeldSlack);
  const absl::StatusOr<v1::CheckInResponse> wire = co_await call;
  if (!wire.ok()) co_return wire.status();
  absl::StatusOr<CheckInAnswer> answer = DecodeCheckInAnswer(*wire);
  if (answer.ok() && answer->desired) known_generation_ = answer->desired->generation;
  co_return answer;
}

Co<absl::StatusOr<DeviceIdentity>> EnrolVirtualDevice(
    Caller caller, std::shared_ptr<grpc::ChannelInterface> channel, std::string token,
    std::string ca_pem, Labels labels) {
  const absl::StatusOr<EcPrivateKey> key = EcPrivateKey::Generate();
  if (!key.ok()) co_return key.status();
  absl::StatusOr<std::string> csr = MakeCertificateRequest(*key);
  if (!csr.ok()) co_return csr.status();
  const auto stub = v1::EnrolmentService::NewStub(channel);
  using Async = v1::EnrolmentService::StubInterface::async_interface;
  Async& async = *static_cast<v1::EnrolmentService::StubInterface&>(*stub).async();
  const Enrolment enrolment{
      .token = token, .csr_der = *std::move(csr), .requested_name = {}, .labels = labels};
  const v1::EnrolRequest request = EncodeEnrolment(enrolment);
  auto call = Call(caller, "Enrol", async, &Async::Enrol, request);
  const absl::StatusOr<v1::EnrolResponse> wire = co_await call;
  if (!wire.ok()) co_return wire.status();
  const absl::StatusOr<EnrolmentGrant> grant = DecodeEnrolmentGrant(*wire);
  if (!grant.ok()) co_return grant.status();
  DeviceIdentity identity{.id = grant->device,
                          .key_pem = key->ToPem(),
                          .certificate_pem = grant->certificate_pem,
                          .ca_pem = std::move(ca_pem),
                          .package_key_pem = grant->package_key_pem,
                          .not_before = {},
                          .not_after = {},
                          .labels = grant->labels};
  if (absl::Status complete = CompleteIdentity(identity); !complete.ok()) co_return complete;
  co_return std::move(identity);
}

}  // namespace muster::load
