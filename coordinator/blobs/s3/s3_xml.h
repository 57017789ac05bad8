// The XML of S3's answers, as far as it is used here. Outside bytes: DataLoss for whatever is no
// such answer. Limits: limits::kS3MaxXmlBytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/core/time.h"

namespace muster {

struct S3Error {
  std::string code;     // "NoSuchKey"; empty: the body says none
  std::string message;  // bounded, printable
  std::string region;   // where the bucket is, if the error says so
};
// Never fails: a body that is no S3 error is an error without a code.
S3Error ParseS3Error(std::string_view body);

struct S3Listed {
  std::string key;
  std::string etag;
  uint64_t size = 0;
  Timestamp modified;
};
struct S3Listing {
  std::vector<S3Listed> objects;
  std::string next;  // continuation token; empty: this was the last page
};
absl::StatusOr<S3Listing> ParseS3Listing(std::string_view body);

struct S3OpenUpload {
  std::string key;
  std::string upload_id;
  Timestamp begun;
};
struct S3OpenUploads {
  std::vector<S3OpenUpload> uploads;
  std::string next_key, next_upload_id;  // empty: this was the last page
};
absl::StatusOr<S3OpenUploads> ParseS3OpenUploads(std::string_view body);

// The UploadId of an InitiateMultipartUploadResult.
absl::StatusOr<std::string> ParseS3UploadId(std::string_view body);
// The ETag of a CopyObjectResult, CopyPartResult or CompleteMultipartUploadResult. Such an answer
// may be an error though its HTTP status is 200: then NotFound, for the caller to look at the
// error.
absl::StatusOr<std::string> ParseS3ResultEtag(std::string_view body);

// The body of CompleteMultipartUpload.
std::string WriteS3Parts(const std::vector<std::string>& etags);

}  // namespace muster
