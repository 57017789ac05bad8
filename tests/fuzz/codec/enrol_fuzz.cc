// Enrolment and renewal, both directions. The first byte chooses the message.
#include "proto/codec/enrol_codec.h"
#include "tests/fuzz/codec/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using muster::fuzz::DecodeAndReturn;
  namespace m = muster;
  std::string_view bytes;
  switch (m::fuzz::Choose(data, size, 4, &bytes)) {
    case 0:
      DecodeAndReturn<m::v1::EnrolRequest>(bytes, m::DecodeEnrolment, m::EncodeEnrolment);
      break;
    case 1:
      DecodeAndReturn<m::v1::EnrolResponse>(bytes, m::DecodeEnrolmentGrant,
                                            m::EncodeEnrolmentGrant);
      break;
    case 2:
      DecodeAndReturn<m::v1::RenewRequest>(bytes, m::DecodeRenewal, m::EncodeRenewal);
      break;
    case 3:
      DecodeAndReturn<m::v1::RenewResponse>(bytes, m::DecodeRenewalGrant, m::EncodeRenewalGrant);
      break;
  }
  return 0;
}
