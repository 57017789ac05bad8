// What researchers and operators ask for. The first byte chooses the request.
#include "proto/codec/operator_codec.h"
#include "tests/fuzz/codec/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using muster::fuzz::DecodeOnly;
  namespace m = muster;
  std::string_view bytes;
  switch (m::fuzz::Choose(data, size, 15, &bytes)) {
    case 0:
      DecodeOnly<m::v1::SubmitJobRequest>(bytes, m::DecodeSubmitJob);
      break;
    case 1:
      DecodeOnly<m::v1::ListJobsRequest>(bytes, m::DecodeListJobs);
      break;
    case 2:
      DecodeOnly<m::v1::GetJobRequest>(bytes, m::DecodeGetJob);
      break;
    case 3:
      DecodeOnly<m::v1::CancelJobRequest>(bytes, m::DecodeCancelJob);
      break;
    case 4:
      DecodeOnly<m::v1::ListModelsRequest>(bytes, m::DecodeListModels);
      break;
    case 5:
      DecodeOnly<m::v1::GetModelRequest>(bytes, m::DecodeGetModel);
      break;
    case 6:
      DecodeOnly<m::v1::GetUsageRequest>(bytes, m::DecodeGetUsage);
      break;
    case 7:
      DecodeOnly<m::v1::CreateTokenRequest>(bytes, m::DecodeCreateToken);
      break;
    case 8:
      DecodeOnly<m::v1::RevokeTokenRequest>(bytes, m::DecodeRevokeToken);
      break;
    case 9:
      DecodeOnly<m::v1::ListDevicesRequest>(bytes, m::DecodeListDevices);
      break;
    case 10:
      DecodeOnly<m::v1::GetDeviceRequest>(bytes, m::DecodeGetDevice);
      break;
    case 11:
      DecodeOnly<m::v1::RevokeDeviceRequest>(bytes, m::DecodeRevokeDevice);
      break;
    case 12:
      DecodeOnly<m::v1::PromoteRequest>(bytes, m::DecodePromote);
      break;
    case 13:
      DecodeOnly<m::v1::GetPromotionRequest>(bytes, m::DecodeGetPromotion);
      break;
    case 14:
      DecodeOnly<m::v1::RollBackRequest>(bytes, m::DecodeRollBack);
      break;
  }
  return 0;
}
