// What a host keeps of a secure aggregation session, as bytes: the same messages as on the wire,
// serialized deterministically. Reading is as strict as decoding; InvalidArgument otherwise.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "proto/core/secagg_messages.h"

namespace muster {

std::string SerializeSecAgg(const secagg::Params& params);
std::string SerializeSecAgg(const secagg::Advert& advert);
std::string SerializeSecAgg(const secagg::ShareOffer& offer);
std::string SerializeSecAgg(const secagg::MaskedOffer& offer);
std::string SerializeSecAgg(const secagg::ConsentOffer& offer);
std::string SerializeSecAgg(const secagg::UnmaskOffer& offer);

// For exactly the types above.
template <typename T>
absl::StatusOr<T> ParseSecAgg(std::string_view bytes);

}  // namespace muster
