// The coordinator's side of the secure aggregation protocol, between the store and the pure
// protocol: each message is checked, made durable with the step that it causes, and only then
// answered. Every call may be repeated: the same bytes get the same answer, other bytes are
// refused.
#pragma once

#include <functional>
#include <string>

#include "coordinator/drive/context.h"
#include "coordinator/drive/intake.h"
#include "proto/core/secagg_messages.h"

namespace muster {

class SecureExchange {
 public:
  SecureExchange(DriveContext& context, UpdateIntake& intake)
      : context_(context), intake_(intake) {}

  absl::StatusOr<secagg::JoinAnswer> Join(const DeviceId& device, const secagg::JoinAsk& ask);
  absl::StatusOr<OfferAnswer> Advertise(const DeviceId& device, const secagg::AdvertOffer& offer);
  absl::StatusOr<OfferAnswer> Share(const DeviceId& device, const secagg::ShareOffer& offer);
  // Answers from the intake's thread once the sum that contains the vector is durable.
  void SubmitMasked(const DeviceId& device, const secagg::MaskedOffer& offer,
                    UpdateIntake::Answer answer);
  absl::StatusOr<OfferAnswer> Agree(const DeviceId& device, const secagg::ConsentOffer& offer);
  absl::StatusOr<OfferAnswer> Unmask(const DeviceId& device, const secagg::UnmaskOffer& offer);
  absl::StatusOr<OfferAnswer> Refuse(const DeviceId& device, const secagg::Refusal& refusal);

  // What there is now. Never holds the call: the service does, with WakeUps under the key.
  struct Look {
    secagg::Awaited answer;
    std::string wake_key;  // while pending
  };
  absl::StatusOr<Look> Await(const DeviceId& device, const secagg::AwaitAsk& ask);

 private:
  struct Step;
  absl::StatusOr<OfferAnswer> Take(const DeviceId& device, const Step& step);
  absl::StatusOr<RoundId> RoundOf(const DeviceId& device, const InvocationId& invocation) const;
  absl::Status OpenSession(const RoundId& round);

  DriveContext& context_;
  UpdateIntake& intake_;
};

}  // namespace muster
