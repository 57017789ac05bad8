// The secure aggregation service between wire messages and values, for both ends. Shapes and bounds
// only: exact sizes of keys, digests, shares and boxes; indices ascending and each once; named
// limits. Signatures, proofs and what fits a session are the protocol's (aggregation/secagg).
// InvalidArgument with the field's path. Thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "muster/v1/secagg.pb.h"
#include "proto/core/secagg_messages.h"

namespace muster {

// What devices say.
absl::StatusOr<secagg::JoinAsk> DecodeJoin(const v1::JoinRequest& wire);
v1::JoinRequest EncodeJoin(const secagg::JoinAsk& ask);

absl::StatusOr<secagg::AdvertOffer> DecodeAdvertOffer(const v1::AdvertiseRequest& wire);
v1::AdvertiseRequest EncodeAdvertOffer(const secagg::AdvertOffer& offer);

absl::StatusOr<secagg::ShareOffer> DecodeShareOffer(const v1::ShareRequest& wire);
v1::ShareRequest EncodeShareOffer(const secagg::ShareOffer& offer);

absl::StatusOr<secagg::MaskedOffer> DecodeMaskedOffer(const v1::SubmitMaskedRequest& wire);
v1::SubmitMaskedRequest EncodeMaskedOffer(const secagg::MaskedOffer& offer);

absl::StatusOr<secagg::ConsentOffer> DecodeConsentOffer(const v1::AgreeRequest& wire);
v1::AgreeRequest EncodeConsentOffer(const secagg::ConsentOffer& offer);

// Refuses two shares of one client, whichever they are: nobody may hold both openings of a mask.
absl::StatusOr<secagg::UnmaskOffer> DecodeUnmaskOffer(const v1::UnmaskSharesRequest& wire);
v1::UnmaskSharesRequest EncodeUnmaskOffer(const secagg::UnmaskOffer& offer);

// Encoding cuts a reason to limits::kMaxTextLength and replaces what is no text; the same holds for
// the reasons below.
absl::StatusOr<secagg::Refusal> DecodeRefusal(const v1::RefuseRequest& wire);
v1::RefuseRequest EncodeRefusal(const secagg::Refusal& refusal);

absl::StatusOr<secagg::AwaitAsk> DecodeAwait(const v1::AwaitRequest& wire);
v1::AwaitRequest EncodeAwait(const secagg::AwaitAsk& ask);

// What the coordinator answers.
absl::StatusOr<OfferAnswer> DecodeSecAggAnswer(const v1::SecAggAnswer& wire);
v1::SecAggAnswer EncodeSecAggAnswer(const OfferAnswer& answer);

absl::StatusOr<secagg::JoinAnswer> DecodeJoinAnswer(const v1::JoinResponse& wire);
v1::JoinResponse EncodeJoinAnswer(const secagg::JoinAnswer& answer);

absl::StatusOr<secagg::Awaited> DecodeAwaited(const v1::AwaitResponse& wire);
v1::AwaitResponse EncodeAwaited(const secagg::Awaited& awaited);

// The parts that hosts also keep in their stores.
absl::StatusOr<secagg::Params> DecodeSecAggParams(const v1::SecAggParams& wire);
v1::SecAggParams EncodeSecAggParams(const secagg::Params& params);
absl::StatusOr<secagg::Advert> DecodeAdvert(const v1::SecAggAdvert& wire);
v1::SecAggAdvert EncodeAdvert(const secagg::Advert& advert);

}  // namespace muster
