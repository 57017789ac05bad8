// What an offer costs and how it is answered, in the services that devices call.
#pragma once

#include "absl/status/statusor.h"
#include "muster/v1/device.pb.h"
#include "proto/codec/field.h"
#include "proto/core/device_messages.h"
#include "proto/core/limits.h"

namespace muster::wire {

absl::StatusOr<Metering> DecodeMetering(const Field& at, const v1::Metering& wire);

inline constexpr EnumPair<v1::Verdict, Verdict> kVerdicts[] = {
    {v1::VERDICT_ACCEPTED, Verdict::kAccepted},
    {v1::VERDICT_DUPLICATE, Verdict::kDuplicate},
    {v1::VERDICT_REFUSED, Verdict::kRefused},
};

// For every message with the fields `verdict` and `reason`.
template <typename Response>
absl::StatusOr<OfferAnswer> DecodeAnswer(const Field& at, const Response& wire) {
  OfferAnswer decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.verdict, DecodeEnum(at["verdict"], kVerdicts, wire.verdict()));
  MUSTER_RETURN_IF_ERROR(CheckText(at["reason"], wire.reason(), limits::kMaxTextLength));
  decoded.reason = wire.reason();
  return decoded;
}

template <typename Response>
Response EncodeAnswer(const OfferAnswer& answer) {
  Response wire;
  wire.set_verdict(EncodeEnum(kVerdicts, answer.verdict));
  wire.set_reason(ClampText(answer.reason, limits::kMaxTextLength));
  return wire;
}

}  // namespace muster::wire
