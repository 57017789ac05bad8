// What devices and the coordinator say in secure aggregation. The first byte chooses the message.
#include "proto/codec/secagg_codec.h"
#include "tests/fuzz/codec/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using muster::fuzz::DecodeAndReturn;
  namespace m = muster;
  std::string_view bytes;
  switch (m::fuzz::Choose(data, size, 11, &bytes)) {
    case 0:
      DecodeAndReturn<m::v1::JoinRequest>(bytes, m::DecodeJoin, m::EncodeJoin);
      break;
    case 1:
      DecodeAndReturn<m::v1::AdvertiseRequest>(bytes, m::DecodeAdvertOffer, m::EncodeAdvertOffer);
      break;
    case 2:
      DecodeAndReturn<m::v1::ShareRequest>(bytes, m::DecodeShareOffer, m::EncodeShareOffer);
      break;
    case 3:
      DecodeAndReturn<m::v1::SubmitMaskedRequest>(bytes, m::DecodeMaskedOffer,
                                                  m::EncodeMaskedOffer);
      break;
    case 4:
      DecodeAndReturn<m::v1::AgreeRequest>(bytes, m::DecodeConsentOffer, m::EncodeConsentOffer);
      break;
    case 5:
      DecodeAndReturn<m::v1::UnmaskSharesRequest>(bytes, m::DecodeUnmaskOffer,
                                                  m::EncodeUnmaskOffer);
      break;
    case 6:
      DecodeAndReturn<m::v1::RefuseRequest>(bytes, m::DecodeRefusal, m::EncodeRefusal);
      break;
    case 7:
      DecodeAndReturn<m::v1::AwaitRequest>(bytes, m::DecodeAwait, m::EncodeAwait);
      break;
    case 8:
      DecodeAndReturn<m::v1::SecAggAnswer>(bytes, m::DecodeSecAggAnswer, m::EncodeSecAggAnswer);
      break;
    case 9:
      DecodeAndReturn<m::v1::JoinResponse>(bytes, m::DecodeJoinAnswer, m::EncodeJoinAnswer);
      break;
    case 10:
      DecodeAndReturn<m::v1::AwaitResponse>(bytes, m::DecodeAwaited, m::EncodeAwaited);
      break;
  }
  return 0;
}
