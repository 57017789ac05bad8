// The calls of SecureAggregationService for one invocation. A call that finds nobody, or is
// asked to come back later, is tried again a few times, with the same bytes; longer outages are the
// caller's.
#pragma once

#include <chrono>
#include <cstdint>

#include "absl/status/statusor.h"
#include "client/agent/bounds.h"
#include "client/agent/uplink.h"
#include "proto/core/secagg_messages.h"
#include "proto/core/time.h"

namespace muster {

inline constexpr uint32_t kSecureCallTries = 4;
inline constexpr std::chrono::milliseconds kSecureCallPause{100};  // doubles with each try
// Between two questions that are answered "not yet" at once.
inline constexpr std::chrono::milliseconds kPollPause{200};

class SecureLink {
 public:
  // Waits for what is not there yet until `wait_until`, by the device's clock.
  SecureLink(const Uplink& uplink, InvocationId invocation, const Bounds& bounds,
             Timestamp wait_until)
      : stub_(*uplink.secagg),
        invocation_(std::move(invocation)),
        bounds_(bounds),
        wait_until_(
            std::chrono::duration_cast<Bounds::Clock::duration>(Duration(wait_until.unix_us))) {}

  absl::StatusOr<v1::JoinResponse> Join();
  absl::StatusOr<OfferAnswer> Advertise(const secagg::Advert& advert, const Metering& metering);
  absl::StatusOr<OfferAnswer> Share(const secagg::ShareBundle& bundle);
  absl::StatusOr<OfferAnswer> SubmitMasked(const secagg::MaskedReport& report,
                                           const Metering& metering);
  absl::StatusOr<OfferAnswer> Agree(const secagg::Consent& consent);
  absl::StatusOr<OfferAnswer> Unmask(const secagg::UnmaskReply& reply);
  absl::StatusOr<OfferAnswer> Refuse(secagg::Phase phase, const std::string& reason);
  // Never pending. One question is always asked; DeadlineExceeded when it is not there in time.
  absl::StatusOr<v1::AwaitResponse> Await(secagg::AwaitedPhase phase);

 private:
  using Stub = v1::SecureAggregationService::StubInterface;
  template <typename Request, typename Response>
  absl::StatusOr<Response> Invoke(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                               Response*),
                                  const Request& request,
                                  Bounds::Clock::duration limit = limits::kDefaultRpcDeadline);
  template <typename Request>
  absl::StatusOr<OfferAnswer> Offer(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                 const Request&, v1::SecAggAnswer*),
                                    const Request& request);

  Stub& stub_;
  const InvocationId invocation_;
  const Bounds& bounds_;
  const Bounds::Clock::time_point wait_until_;
};

}  // namespace muster
