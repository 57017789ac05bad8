#include "client/agent/secure_link.h"

#include <algorithm>

#include "client/agent/call.h"
#include "proto/codec/secagg_codec.h"
#include "proto/core/status.h"
#include "proto/transport/retry_hint.h"

namespace muster {
namespace {

using std::chrono::milliseconds;

// Beyond the time that a call may be held. A phase that ends answers its whole cohort at once, which
// takes a coordinator milliseconds each: who hangs up meanwhile only asks again.
constexpr auto kAwaitSlack = std::chrono::seconds(60);

}  // namespace

template <typename Request, typename Response>
absl::StatusOr<Response> SecureLink::Invoke(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                         const Request&, Response*),
                                            const Request& request, Bounds::Clock::duration limit) {
  for (uint32_t tried = 0;; ++tried) {
    MUSTER_RETURN_IF_ERROR(bounds_.Check());
    Call call(bounds_, limit);
    Response response;
    const absl::Status status =
        FromWire(*call.context(), (stub_.*method)(call.context(), request, &response));
    if (status.ok()) return response;
    // Unknown: the coordinator could not find out whether it was done. It may be asked again.
    const bool again =
        absl::IsUnavailable(status) || absl::IsUnknown(status) || RetryAfter(status).has_value();
    if (!again || tried + 1 == kSecureCallTries) return status;
    MUSTER_RETURN_IF_ERROR(bounds_.PauseAfter(status, kSecureCallPause * (1 << tried)));
  }
}

template <typename Request>
absl::StatusOr<OfferAnswer> SecureLink::Offer(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                           const Request&,
                                                                           v1::SecAggAnswer*),
                                              const Request& request) {
  MUSTER_ASSIGN_OR_RETURN(const v1::SecAggAnswer answer, Invoke(method, request));
  return DecodeSecAggAnswer(answer);
}

absl::StatusOr<v1::JoinResponse> SecureLink::Join() {
  return Invoke(&Stub::Join, EncodeJoin({invocation_}));
}

absl::StatusOr<OfferAnswer> SecureLink::Advertise(const secagg::Advert& advert,
                                                  const Metering& metering) {
  return Offer(&Stub::Advertise, EncodeAdvertOffer({invocation_, advert, metering}));
}

absl::StatusOr<OfferAnswer> SecureLink::Share(const secagg::ShareBundle& bundle) {
  return Offer(&Stub::Share, EncodeShareOffer({invocation_, bundle}));
}

absl::StatusOr<OfferAnswer> SecureLink::SubmitMasked(const secagg::MaskedReport& report,
                                                     const Metering& metering) {
  return Offer(&Stub::SubmitMasked, EncodeMaskedOffer({invocation_, report, metering}));
}

absl::StatusOr<OfferAnswer> SecureLink::Agree(const secagg::Consent& consent) {
  return Offer(&Stub::Agree, EncodeConsentOffer({invocation_, consent}));
}

absl::StatusOr<OfferAnswer> SecureLink::Unmask(const secagg::UnmaskReply& reply) {
  return Offer(&Stub::Unmask, EncodeUnmaskOffer({invocation_, reply}));
}

absl::StatusOr<OfferAnswer> SecureLink::Refuse(secagg::Phase phase, const std::string& reason) {
  return Offer(&Stub::Refuse, EncodeRefusal({invocation_, phase, reason}));
}

absl::StatusOr<v1::AwaitResponse> SecureLink::Await(secagg::AwaitedPhase phase) {
  for (;;) {
    const auto asked = Bounds::Clock::now();
    const auto wait =
        std::clamp<milliseconds>(std::chrono::duration_cast<milliseconds>(wait_until_ - asked),
                                 milliseconds(0), limits::kMaxCheckInWait);
    MUSTER_ASSIGN_OR_RETURN(
        v1::AwaitResponse response,
        Invoke(&Stub::Await, EncodeAwait({invocation_, phase, wait}), wait + kAwaitSlack));
    if (!response.has_pending()) return response;
    const auto now = Bounds::Clock::now();
    if (now >= wait_until_) {
      return absl::DeadlineExceededError("the round's other devices did not come in time");
    }
    const auto early = kPollPause - std::chrono::duration_cast<milliseconds>(now - asked);
    if (early > milliseconds(0)) MUSTER_RETURN_IF_ERROR(bounds_.Pause(early));
  }
}

}  // namespace muster
