#include "proto/codec/secagg_bytes.h"

#include "proto/codec/json.h"
#include "proto/codec/secagg_codec.h"
#include "proto/core/limits.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

template <typename Wire, typename Decode>
auto ParseWire(std::string_view bytes, std::string_view what, const Decode& decode)
    -> decltype(decode(Wire())) {
  Wire wire;
  if (bytes.size() > limits::kMaxMessageBytes ||
      !wire.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError(StrCat("the stored ", what, " cannot be read"));
  }
  return decode(wire);
}

}  // namespace

std::string SerializeSecAgg(const secagg::Params& params) {
  return SerializeDeterministically(EncodeSecAggParams(params));
}
std::string SerializeSecAgg(const secagg::Advert& advert) {
  return SerializeDeterministically(EncodeAdvert(advert));
}
std::string SerializeSecAgg(const secagg::ShareOffer& offer) {
  return SerializeDeterministically(EncodeShareOffer(offer));
}
std::string SerializeSecAgg(const secagg::MaskedOffer& offer) {
  return SerializeDeterministically(EncodeMaskedOffer(offer));
}
std::string SerializeSecAgg(const secagg::ConsentOffer& offer) {
  return SerializeDeterministically(EncodeConsentOffer(offer));
}
std::string SerializeSecAgg(const secagg::UnmaskOffer& offer) {
  return SerializeDeterministically(EncodeUnmaskOffer(offer));
}

template <>
absl::StatusOr<secagg::Params> ParseSecAgg(std::string_view bytes) {
  return ParseWire<v1::SecAggParams>(bytes, "parameters", DecodeSecAggParams);
}
template <>
absl::StatusOr<secagg::Advert> ParseSecAgg(std::string_view bytes) {
  return ParseWire<v1::SecAggAdvert>(
      bytes, "advert",
      static_cast<absl::StatusOr<secagg::Advert> (*)(const v1::SecAggAdvert&)>(DecodeAdvert));
}
template <>
absl::StatusOr<secagg::ShareOffer> ParseSecAgg(std::string_view bytes) {
  return ParseWire<v1::ShareRequest>(bytes, "shares", DecodeShareOffer);
}
template <>
absl::StatusOr<secagg::MaskedOffer> ParseSecAgg(std::string_view bytes) {
  return ParseWire<v1::SubmitMaskedRequest>(bytes, "masked report", DecodeMaskedOffer);
}
template <>
absl::StatusOr<secagg::ConsentOffer> ParseSecAgg(std::string_view bytes) {
  return ParseWire<v1::AgreeRequest>(bytes, "consent", DecodeConsentOffer);
}
template <>
absl::StatusOr<secagg::UnmaskOffer> ParseSecAgg(std::string_view bytes) {
  return ParseWire<v1::UnmaskSharesRequest>(bytes, "revealed shares", DecodeUnmaskOffer);
}

}  // namespace muster
