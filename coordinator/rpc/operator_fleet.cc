// Tokens, devices and promotions.
#include "coordinator/drive/fleet.h"
#include "coordinator/drive/promotions.h"
#include "coordinator/rpc/operator_service.h"
#include "coordinator/rpc/views.h"
#include "proto/codec/operator_codec.h"
#include "proto/core/limits.h"
#include "proto/core/log.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using Caller = const std::optional<Principal>&;

}  // namespace

OperatorServiceImpl::Reactor* OperatorServiceImpl::CreateToken(
    Context* context, const v1::CreateTokenRequest* request, v1::CreateTokenResponse* response) {
  return Unary(
      edge_, context, "muster.v1.OperatorService/CreateToken",
      [this, request, response](Caller caller) -> absl::Status {
        MUSTER_ASSIGN_OR_RETURN(const TokenOrder order, DecodeCreateToken(*request));
        MUSTER_ASSIGN_OR_RETURN(const MintedToken minted,
                                muster::CreateToken(edge_.drive(), order.uses, order.ttl,
                                                    order.labels, NameOf(caller)));
        response->set_token(minted.text);
        *response->mutable_info() = ViewToken(minted.record);
        LogInfo("join token created", {{"token", minted.record.id.value()}, {"by", caller->id}});
        return absl::OkStatus();
      });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::ListTokens(Context* context,
                                                              const v1::ListTokensRequest*,
                                                              v1::ListTokensResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/ListTokens",
               [this, response](Caller) -> absl::Status {
                 return edge_.drive().store.Read([&](const StoreReader& reader) -> absl::Status {
                   MUSTER_ASSIGN_OR_RETURN(auto tokens, reader.ListTokens());
                   for (const TokenRecord& token : tokens) {
                     *response->add_tokens() = ViewToken(token);
                   }
                   return absl::OkStatus();
                 });
               });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::RevokeToken(
    Context* context, const v1::RevokeTokenRequest* request, v1::RevokeTokenResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/RevokeToken",
               [this, request, response](Caller caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const TokenId id, DecodeRevokeToken(*request));
                 MUSTER_ASSIGN_OR_RETURN(const TokenRecord token,
                                         muster::RevokeToken(edge_.drive(), id, NameOf(caller)));
                 *response->mutable_info() = ViewToken(token);
                 return absl::OkStatus();
               });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::ListDevices(
    Context* context, const v1::ListDevicesRequest* request, v1::ListDevicesResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/ListDevices",
               [this, request, response](Caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const DeviceListing listing, DecodeListDevices(*request));
                 return edge_.drive().store.Read([&](const StoreReader& reader) -> absl::Status {
                   Page page{listing.page.token, limits::kMaxPageSize};
                   while (true) {
                     MUSTER_ASSIGN_OR_RETURN(auto devices, reader.ListDevices(page));
                     for (const DeviceRecord& device : devices) {
                       page.after = device.id.value();
                       if (!listing.selector.Matches(device.labels)) continue;
                       *response->add_devices() = ViewDevice(device);
                       if (static_cast<size_t>(response->devices_size()) == listing.page.size) {
                         response->set_next_page_token(page.after);
                         return absl::OkStatus();
                       }
                     }
                     if (devices.size() < page.limit) return absl::OkStatus();
                   }
                 });
               });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::GetDevice(Context* context,
                                                             const v1::GetDeviceRequest* request,
                                                             v1::GetDeviceResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/GetDevice",
               [this, request, response](Caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const DeviceId id, DecodeGetDevice(*request));
                 return edge_.drive().store.Read([&](const StoreReader& reader) -> absl::Status {
                   MUSTER_ASSIGN_OR_RETURN(const DeviceRecord device, reader.FindDevice(id));
                   *response->mutable_device() = ViewDevice(device);
                   return absl::OkStatus();
                 });
               });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::RevokeDevice(
    Context* context, const v1::RevokeDeviceRequest* request, v1::RevokeDeviceResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/RevokeDevice",
               [this, request, response](Caller caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const Revocation order, DecodeRevokeDevice(*request));
                 MUSTER_ASSIGN_OR_RETURN(const DeviceRecord device,
                                         muster::RevokeDevice(edge_.drive(), order.device,
                                                              order.reason, NameOf(caller)));
                 *response->mutable_device() = ViewDevice(device);
                 LogInfo("device revoked", {{"device", order.device.value()}, {"by", caller->id}});
                 return absl::OkStatus();
               });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::Promote(Context* context,
                                                           const v1::PromoteRequest* request,
                                                           v1::PromoteResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/Promote",
               [this, request, response](Caller caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const PromotionOrder order, DecodePromote(*request));
                 MUSTER_ASSIGN_OR_RETURN(
                     const Promoted promoted,
                     muster::Promote(edge_.drive(), {order.name, order.version}, order.cohort,
                                     order.personalize, NameOf(caller)));
                 *response->mutable_promotion() = ViewPromotion(promoted.view);
                 response->set_already(promoted.already);
                 return absl::OkStatus();
               });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::GetPromotion(
    Context* context, const v1::GetPromotionRequest* request, v1::GetPromotionResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/GetPromotion",
               [this, request, response](Caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const PromotionQuery query, DecodeGetPromotion(*request));
                 MUSTER_ASSIGN_OR_RETURN(
                     const PromotionView view,
                     muster::GetPromotion(edge_.drive(), query.name.value(), query.id.value()));
                 *response->mutable_promotion() = ViewPromotion(view);
                 return absl::OkStatus();
               });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::RollBack(Context* context,
                                                            const v1::RollBackRequest* request,
                                                            v1::RollBackResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/RollBack",
               [this, request, response](Caller caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const PromotionQuery query, DecodeRollBack(*request));
                 MUSTER_ASSIGN_OR_RETURN(const PromotionView view,
                                         muster::RollBack(edge_.drive(), query.name.value(),
                                                          query.id.value(), NameOf(caller)));
                 *response->mutable_promotion() = ViewPromotion(view);
                 return absl::OkStatus();
               });
}

}  // namespace muster
