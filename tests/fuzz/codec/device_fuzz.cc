// What devices say, and what they are answered. The first byte chooses the message.
#include "proto/codec/device_codec.h"
#include "tests/fuzz/codec/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using muster::fuzz::DecodeAndReturn;
  namespace m = muster;
  std::string_view bytes;
  switch (m::fuzz::Choose(data, size, 7, &bytes)) {
    case 0:
      DecodeAndReturn<m::v1::CheckInRequest>(bytes, m::DecodeCheckIn, m::EncodeCheckIn);
      break;
    case 1:
      DecodeAndReturn<m::v1::SubmitUpdateRequest>(bytes, m::DecodeUpdateOffer,
                                                  m::EncodeUpdateOffer);
      break;
    case 2:
      DecodeAndReturn<m::v1::SubmitResultRequest>(bytes, m::DecodeResultOffer,
                                                  m::EncodeResultOffer);
      break;
    case 3:
      DecodeAndReturn<m::v1::ReportStateRequest>(bytes, m::DecodeStateReport, m::EncodeStateReport);
      break;
    case 4:
      DecodeAndReturn<m::v1::CheckInResponse>(bytes, m::DecodeCheckInAnswer,
                                              m::EncodeCheckInAnswer);
      break;
    case 5:
      DecodeAndReturn<m::v1::SubmitUpdateResponse>(bytes, m::DecodeUpdateAnswer,
                                                   m::EncodeUpdateAnswer);
      break;
    case 6:
      DecodeAndReturn<m::v1::SubmitResultResponse>(bytes, m::DecodeResultAnswer,
                                                   m::EncodeResultAnswer);
      break;
  }
  return 0;
}
