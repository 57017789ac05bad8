#include "coordinator/rpc/device_service.h"

#include <memory>
#include <utility>

#include "coordinator/drive/fleet.h"
#include "coordinator/drive/offers.h"
#include "coordinator/rpc/held_call.h"
#include "proto/codec/device_codec.h"
#include "proto/core/status.h"

namespace muster {
namespace {

constexpr char kCheckIn[] = "muster.v1.DeviceService/CheckIn";
constexpr char kSubmitUpdate[] = "muster.v1.DeviceService/SubmitUpdate";
// One check-in, held until there is work.
class HeldCheckIn final : public HeldCall {
 public:
  HeldCheckIn(Edge& edge, Dispatcher& dispatcher, grpc::CallbackServerContext* context,
              const v1::CheckInRequest* request, v1::CheckInResponse* response)
      : HeldCall(edge, context, kCheckIn),
        dispatcher_(dispatcher),
        request_(request),
        response_(response) {}

 private:
  bool LookChecksStanding() const override { return true; }
  absl::StatusOr<Duration> Open(const Principal& caller) override {
    MUSTER_ASSIGN_OR_RETURN(check_in_, DecodeCheckIn(*request_));
    device_ = DeviceId::Trusted(caller.id);
    return check_in_.wait;
  }
  std::string Key() const override { return DeviceKey(device_); }
  absl::StatusOr<bool> Look() override {
    MUSTER_ASSIGN_OR_RETURN(const CheckInAnswer answer, dispatcher_.CheckIn(device_, check_in_));
    *response_ = EncodeCheckInAnswer(answer);
    return !answer.invocations.empty() || answer.desired.has_value();
  }

  Dispatcher& dispatcher_;
  const v1::CheckInRequest* request_;
  v1::CheckInResponse* response_;
  muster::CheckIn check_in_;
  DeviceId device_;
};

DeviceId DeviceOf(const std::optional<Principal>& caller) { return DeviceId::Trusted(caller->id); }

}  // namespace

grpc::ServerUnaryReactor* DeviceServiceImpl::CheckIn(grpc::CallbackServerContext* context,
                                                     const v1::CheckInRequest* request,
                                                     v1::CheckInResponse* response) {
  auto held = std::make_shared<HeldCheckIn>(edge_, dispatcher_, context, request, response);
  held->Begin();
  return held.get();
}

grpc::ServerUnaryReactor* DeviceServiceImpl::SubmitUpdate(grpc::CallbackServerContext* context,
                                                          const v1::SubmitUpdateRequest* request,
                                                          v1::SubmitUpdateResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto timer = std::make_shared<CallTimer>(edge_.counters(), kSubmitUpdate);
  // The intake answers from its own thread, once the sum that contains the update is durable.
  auto offer = [this, context, request, response, reactor, timer] {
    const auto finish = [reactor, context, response, timer](absl::StatusOr<OfferAnswer> answer) {
      if (answer.ok()) *response = EncodeUpdateAnswer(*answer);
      EndCall(*reactor, *context, *timer, answer.status());
    };
    auto caller = edge_.Admit(*context, kSubmitUpdate);
    if (!caller.ok()) return finish(caller.status());
    auto decoded = DecodeUpdateOffer(*request);
    if (!decoded.ok()) return finish(decoded.status());
    intake_.Offer(DeviceOf(*caller), *decoded, finish);
  };
  absl::Status entered = edge_.Enter(*context, offer);
  if (!entered.ok()) EndCall(*reactor, *context, *timer, entered);
  return reactor;
}

grpc::ServerUnaryReactor* DeviceServiceImpl::SubmitResult(grpc::CallbackServerContext* context,
                                                          const v1::SubmitResultRequest* request,
                                                          v1::SubmitResultResponse* response) {
  return Unary(edge_, context, "muster.v1.DeviceService/SubmitResult",
               [this, request, response](const std::optional<Principal>& caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const ResultOffer offer, DecodeResultOffer(*request));
                 MUSTER_ASSIGN_OR_RETURN(const OfferAnswer answer,
                                         AcceptResult(edge_.drive(), DeviceOf(caller), offer));
                 *response = EncodeResultAnswer(answer);
                 return absl::OkStatus();
               });
}

grpc::ServerUnaryReactor* DeviceServiceImpl::ReportState(grpc::CallbackServerContext* context,
                                                         const v1::ReportStateRequest* request,
                                                         v1::ReportStateResponse*) {
  return Unary(edge_, context, "muster.v1.DeviceService/ReportState",
               [this, request](const std::optional<Principal>& caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const StateReport report, DecodeStateReport(*request));
                 return RecordState(edge_.drive(), DeviceOf(caller), report);
               });
}

}  // namespace muster
