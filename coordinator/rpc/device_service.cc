#include "coordinator/rpc/device_service.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "coordinator/drive/fleet.h"
#include "proto/codec/device_codec.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {
namespace {

constexpr char kCheckIn[] = "muster.v1.DeviceService/CheckIn";
constexpr char kSubmitUpdate[] = "muster.v1.DeviceService/SubmitUpdate";
// A held call looks again after this long even if nobody wakes it: another replica may have work.
constexpr Duration kLookAgain = std::chrono::seconds(1);

// One check-in, held until there is work, the wait is over, the caller hangs up, or the server
// stops.
class HeldCheckIn : public grpc::ServerUnaryReactor,
                    public std::enable_shared_from_this<HeldCheckIn> {
 public:
  HeldCheckIn(Edge& edge, Dispatcher& dispatcher, grpc::CallbackServerContext* context,
              const v1::CheckInRequest* request, v1::CheckInResponse* response)
      : edge_(edge),
        dispatcher_(dispatcher),
        context_(context),
        request_(request),
        response_(response),
        timer_(edge.counters(), kCheckIn) {}

  // The reactor keeps itself alive until gRPC is done with it.
  void Begin() {
    self_ = shared_from_this();
    auto first = [self = self_] { self->Admit(); };
    if (!edge_.executor().Post(first)) Finish(BusyStatus());
  }
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override { self_.reset(); }

 private:
  void Admit() {
    auto caller = edge_.Admit(*context_, kCheckIn);
    if (!caller.ok()) return End(caller.status());
    auto decoded = DecodeCheckIn(*request_);
    if (!decoded.ok()) return End(decoded.status());
    check_in_ = *std::move(decoded);
    device_ = DeviceId::Trusted((*caller)->id);
    until_ = std::chrono::steady_clock::now() +
             std::min<Duration>(check_in_.wait, limits::kMaxCheckInWait);
    Look();
  }

  void Look() {
    WakeUps& wakeups = edge_.drive().wakeups;
    const std::string key = DeviceKey(device_);
    const uint64_t version = wakeups.version(key);
    auto answer = dispatcher_.CheckIn(device_, check_in_);
    if (!answer.ok()) return End(answer.status());
    const auto left =
        std::chrono::duration_cast<Duration>(until_ - std::chrono::steady_clock::now());
    const bool news = !answer->invocations.empty() || answer->desired.has_value();
    if (news || left <= Duration::zero() || cancelled_ || stopping_) {
      *response_ = EncodeCheckInAnswer(*answer);
      return End(absl::OkStatus());
    }
    wakeups.WaitFor(key, version, std::min(left, kLookAgain),
                    [self = shared_from_this()](WakeUps::Reason reason) {
                      if (reason == WakeUps::Reason::kShutdown) self->stopping_ = true;
                      self->edge_.executor().PostAlways([self] { self->Look(); });
                    });
  }

  void End(const absl::Status& status) {
    timer_.Ended(status.code());
    Finish(ToGrpcStatus(status));
  }

  Edge& edge_;
  Dispatcher& dispatcher_;
  grpc::CallbackServerContext* context_;
  const v1::CheckInRequest* request_;
  v1::CheckInResponse* response_;
  const CallTimer timer_;
  std::shared_ptr<HeldCheckIn> self_;
  muster::CheckIn check_in_;
  DeviceId device_;
  std::chrono::steady_clock::time_point until_;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> stopping_{false};
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
  // The intake answers from its own thread, once the sum that contains the update is durable.
  auto offer = [this, context, request, response, reactor] {
    auto timer = std::make_shared<CallTimer>(edge_.counters(), kSubmitUpdate);
    const auto finish = [reactor, response, timer](absl::StatusOr<OfferAnswer> answer) {
      if (answer.ok()) *response = EncodeUpdateAnswer(*answer);
      timer->Ended(answer.status().code());
      reactor->Finish(ToGrpcStatus(answer.status()));
    };
    auto caller = edge_.Admit(*context, kSubmitUpdate);
    if (!caller.ok()) return finish(caller.status());
    auto decoded = DecodeUpdateOffer(*request);
    if (!decoded.ok()) return finish(decoded.status());
    intake_.Offer(DeviceOf(*caller), *decoded, finish);
  };
  if (!edge_.executor().Post(offer)) reactor->Finish(BusyStatus());
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
