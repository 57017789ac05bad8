// Chunks and ranges, both directions. The first byte chooses the message.
#include "proto/codec/blob_codec.h"
#include "proto/core/limits.h"
#include "tests/fuzz/codec/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using muster::fuzz::DecodeAndReturn;
  namespace m = muster;
  const auto later = [](const m::v1::UploadChunk& wire) {
    return m::DecodeUploadChunk(wire, m::limits::kMaxBlobBytes);
  };
  std::string_view bytes;
  switch (m::fuzz::Choose(data, size, 7, &bytes)) {
    case 0:
      DecodeAndReturn<m::v1::UploadChunk>(bytes, m::DecodeUploadStart, m::EncodeUploadStart);
      break;
    case 1:
      DecodeAndReturn<m::v1::UploadChunk>(bytes, later, m::EncodeUploadChunk);
      break;
    case 2:
      DecodeAndReturn<m::v1::StatUploadRequest>(bytes, m::DecodeStatUpload, m::EncodeStatUpload);
      break;
    case 3:
      DecodeAndReturn<m::v1::StatUploadResponse>(bytes, m::DecodeStatUploadAnswer,
                                                 m::EncodeStatUploadAnswer);
      break;
    case 4:
      DecodeAndReturn<m::v1::UploadResponse>(bytes, m::DecodeUploadAnswer, m::EncodeUploadAnswer);
      break;
    case 5:
      DecodeAndReturn<m::v1::DownloadRequest>(bytes, m::DecodeDownload, m::EncodeDownload);
      break;
    case 6:
      DecodeAndReturn<m::v1::DownloadChunk>(bytes, m::DecodeDownloadChunk, m::EncodeDownloadChunk);
      break;
  }
  return 0;
}
