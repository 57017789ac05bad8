#include "coordinator/rpc/secagg_service.h"

#include <memory>
#include <optional>
#include <utility>

#include "coordinator/rpc/held_call.h"
#include "proto/codec/secagg_codec.h"
#include "proto/core/status.h"

namespace muster {
namespace {

constexpr char kAwait[] = "muster.v1.SecureAggregationService/Await";
constexpr char kSubmitMasked[] = "muster.v1.SecureAggregationService/SubmitMasked";

DeviceId DeviceOf(const Principal& caller) { return DeviceId::Trusted(caller.id); }

class HeldAwait final : public HeldCall {
 public:
  HeldAwait(Edge& edge, SecureExchange& exchange, grpc::CallbackServerContext* context,
            const v1::AwaitRequest* request, v1::AwaitResponse* response)
      : HeldCall(edge, context, kAwait),
        exchange_(exchange),
        request_(request),
        response_(response) {}

 private:
  absl::StatusOr<Duration> Open(const Principal& caller) override {
    MUSTER_ASSIGN_OR_RETURN(ask_, DecodeAwait(*request_));
    device_ = DeviceOf(caller);
    // The round's key is known after the first look, which also says whose invocation it is.
    MUSTER_ASSIGN_OR_RETURN(const SecureExchange::Look look, exchange_.Await(device_, ask_));
    key_ = look.wake_key;
    return ask_.wait;
  }
  std::string Key() const override { return key_; }
  absl::StatusOr<bool> Look() override {
    MUSTER_ASSIGN_OR_RETURN(const SecureExchange::Look look, exchange_.Await(device_, ask_));
    *response_ = EncodeAwaited(look.answer);
    return !std::holds_alternative<secagg::Pending>(look.answer);
  }

  SecureExchange& exchange_;
  const v1::AwaitRequest* request_;
  v1::AwaitResponse* response_;
  secagg::AwaitAsk ask_;
  DeviceId device_;
  std::string key_;
};

// Decodes, acts, encodes an answer.
template <typename Request, typename Offer>
grpc::ServerUnaryReactor* Answered(
    Edge& edge, SecureExchange& exchange, grpc::CallbackServerContext* context, const char* method,
    const Request* request, v1::SecAggAnswer* response,
    absl::StatusOr<Offer> (*decode)(const Request&),
    absl::StatusOr<OfferAnswer> (SecureExchange::*act)(const DeviceId&, const Offer&)) {
  return Unary(edge, context, method,
               [&exchange, request, response, decode,
                act](const std::optional<Principal>& caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const Offer offer, decode(*request));
                 MUSTER_ASSIGN_OR_RETURN(const OfferAnswer answer,
                                         (exchange.*act)(DeviceOf(*caller), offer));
                 *response = EncodeSecAggAnswer(answer);
                 return absl::OkStatus();
               });
}

}  // namespace

grpc::ServerUnaryReactor* SecAggServiceImpl::Join(grpc::CallbackServerContext* context,
                                                  const v1::JoinRequest* request,
                                                  v1::JoinResponse* response) {
  return Unary(edge_, context, "muster.v1.SecureAggregationService/Join",
               [this, request, response](const std::optional<Principal>& caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const secagg::JoinAsk ask, DecodeJoin(*request));
                 MUSTER_ASSIGN_OR_RETURN(const secagg::JoinAnswer answer,
                                         exchange_.Join(DeviceOf(*caller), ask));
                 *response = EncodeJoinAnswer(answer);
                 return absl::OkStatus();
               });
}

grpc::ServerUnaryReactor* SecAggServiceImpl::Advertise(grpc::CallbackServerContext* context,
                                                       const v1::AdvertiseRequest* request,
                                                       v1::SecAggAnswer* response) {
  return Answered(edge_, exchange_, context, "muster.v1.SecureAggregationService/Advertise",
                  request, response, DecodeAdvertOffer, &SecureExchange::Advertise);
}

grpc::ServerUnaryReactor* SecAggServiceImpl::Share(grpc::CallbackServerContext* context,
                                                   const v1::ShareRequest* request,
                                                   v1::SecAggAnswer* response) {
  return Answered(edge_, exchange_, context, "muster.v1.SecureAggregationService/Share", request,
                  response, DecodeShareOffer, &SecureExchange::Share);
}

grpc::ServerUnaryReactor* SecAggServiceImpl::SubmitMasked(grpc::CallbackServerContext* context,
                                                          const v1::SubmitMaskedRequest* request,
                                                          v1::SecAggAnswer* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto timer = std::make_shared<CallTimer>(edge_.counters(), kSubmitMasked);
  auto submit = [this, context, request, response, reactor, timer] {
    const auto finish = [reactor, context, response, timer](absl::StatusOr<OfferAnswer> answer) {
      if (answer.ok()) *response = EncodeSecAggAnswer(*answer);
      EndCall(*reactor, *context, *timer, answer.status());
    };
    auto caller = edge_.Admit(*context, kSubmitMasked);
    if (!caller.ok()) return finish(caller.status());
    auto decoded = DecodeMaskedOffer(*request);
    if (!decoded.ok()) return finish(decoded.status());
    exchange_.SubmitMasked(DeviceOf(**caller), *decoded, finish);
  };
  absl::Status entered = edge_.Enter(*context, submit);
  if (!entered.ok()) EndCall(*reactor, *context, *timer, entered);
  return reactor;
}

grpc::ServerUnaryReactor* SecAggServiceImpl::Agree(grpc::CallbackServerContext* context,
                                                   const v1::AgreeRequest* request,
                                                   v1::SecAggAnswer* response) {
  return Answered(edge_, exchange_, context, "muster.v1.SecureAggregationService/Agree", request,
                  response, DecodeConsentOffer, &SecureExchange::Agree);
}

grpc::ServerUnaryReactor* SecAggServiceImpl::Unmask(grpc::CallbackServerContext* context,
                                                    const v1::UnmaskSharesRequest* request,
                                                    v1::SecAggAnswer* response) {
  return Answered(edge_, exchange_, context, "muster.v1.SecureAggregationService/Unmask", request,
                  response, DecodeUnmaskOffer, &SecureExchange::Unmask);
}

grpc::ServerUnaryReactor* SecAggServiceImpl::Refuse(grpc::CallbackServerContext* context,
                                                    const v1::RefuseRequest* request,
                                                    v1::SecAggAnswer* response) {
  return Answered(edge_, exchange_, context, "muster.v1.SecureAggregationService/Refuse", request,
                  response, DecodeRefusal, &SecureExchange::Refuse);
}

grpc::ServerUnaryReactor* SecAggServiceImpl::Await(grpc::CallbackServerContext* context,
                                                   const v1::AwaitRequest* request,
                                                   v1::AwaitResponse* response) {
  auto held = std::make_shared<HeldAwait>(edge_, exchange_, context, request, response);
  held->Begin();
  return held.get();
}

}  // namespace muster
