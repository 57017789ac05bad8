#include "coordinator/blobs/s3/s3_error.h"

#include <algorithm>
#include <array>

#include "coordinator/blobs/s3/s3_xml.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

struct Meaning {
  std::string_view code;
  absl::StatusCode status;
  std::string_view next;  // what to do
};

using enum absl::StatusCode;

constexpr std::array kMeanings = {
    Meaning{"NoSuchKey", kNotFound, "it was never stored, or it was deleted"},
    Meaning{"NoSuchUpload", kNotFound, "it was ended or swept; begin again"},
    Meaning{"NoSuchBucket", kFailedPrecondition,
            "create the bucket, or correct --blobs s3://BUCKET/PREFIX"},
    Meaning{"InvalidAccessKeyId", kPermissionDenied,
            "the store does not know this access key; correct AWS_ACCESS_KEY_ID"},
    // As the Versity gateway says it, with status 404.
    Meaning{"XAdminUserNotFound", kPermissionDenied,
            "the store does not know this access key; correct AWS_ACCESS_KEY_ID"},
    Meaning{"SignatureDoesNotMatch", kPermissionDenied,
            "the secret does not belong to the access key, or --s3-region is wrong; correct "
            "AWS_SECRET_ACCESS_KEY"},
    Meaning{"AccessDenied", kPermissionDenied,
            "allow these credentials to get, put, delete and list in this bucket"},
    Meaning{"ExpiredToken", kPermissionDenied,
            "the session token has expired; start again with fresh credentials"},
    Meaning{"InvalidToken", kPermissionDenied, "correct AWS_SESSION_TOKEN"},
    Meaning{"RequestTimeTooSkewed", kFailedPrecondition,
            "this machine's clock differs from the store's; set it (NTP)"},
    Meaning{"AuthorizationHeaderMalformed", kFailedPrecondition, "correct --s3-region"},
    Meaning{"PermanentRedirect", kFailedPrecondition,
            "the bucket is elsewhere; correct --s3-endpoint and --s3-region"},
    Meaning{"EntityTooLarge", kResourceExhausted, "the store takes no object of this size"},
    Meaning{"QuotaExceeded", kResourceExhausted, "make room in the store, or raise its quota"},
    Meaning{"RequestTimeout", kUnavailable, "the network is slow, or the store is"},
    Meaning{"SlowDown", kUnavailable, "the store asks for fewer requests"},
    Meaning{"OperationAborted", kUnavailable, "another request was changing the same"},
    Meaning{"BadDigest", kUnavailable, "the bytes were changed on their way"},
    Meaning{"XAmzContentSHA256Mismatch", kUnavailable, "the bytes were changed on their way"},
};

// For answers without a body: HEAD, and gateways in between.
absl::StatusCode FromHttp(long status) {
  switch (status) {
    case 401:
    case 403:
      return kPermissionDenied;
    case 404:
      return kNotFound;
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return kUnavailable;
    case 507:
      return kResourceExhausted;
    default:
      return kFailedPrecondition;
  }
}

std::string_view NextStep(absl::StatusCode code) {
  switch (code) {
    case kPermissionDenied:
      return "check the credentials and what they are allowed to do";
    case kNotFound:
      return "it was never stored, or it was deleted";
    case kUnavailable:
      return "the store has trouble; its own logs say why";
    case kResourceExhausted:
      return "make room in the store";
    default:
      return "check --s3-endpoint and --s3-region";
  }
}

}  // namespace

absl::Status S3Status(const S3Answer& answer, std::string_view call, const S3Options& options) {
  if (!answer.transport.ok()) return answer.transport;
  const S3Error error = ParseS3Error(answer.body);
  const auto meaning = std::find_if(kMeanings.begin(), kMeanings.end(),
                                    [&error](const Meaning& m) { return m.code == error.code; });
  const bool known = meaning != kMeanings.end();
  absl::StatusCode code = known ? meaning->status : FromHttp(answer.status);
  // Something is not there, but it is not the object: nobody may take that for an absent blob.
  if (!known && code == kNotFound && !error.code.empty()) code = kFailedPrecondition;
  std::string text = StrCat(call, " answered ", answer.status);
  if (!error.code.empty()) StrAppend(&text, " ", error.code);
  if (!error.message.empty()) StrAppend(&text, " (", error.message, ")");
  StrAppend(&text, "; ", known ? meaning->next : NextStep(code));
  if (!error.region.empty() && error.region != options.region) {
    StrAppend(&text, "; the bucket is in region ", error.region);
  }
  if (error.code == "RequestTimeTooSkewed" && !answer.date.empty()) {
    StrAppend(&text, "; the store says it is ", answer.date);
  }
  return absl::Status(code, text);
}

}  // namespace muster
