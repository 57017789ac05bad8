#include "coordinator/blobs/s3/s3_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/core/strings.h"

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

absl::Status Status(long http, const std::string& code, const std::string& more = "") {
  S3Answer answer{.status = http};
  if (!code.empty()) {
    answer.body = StrCat("<Error><Code>", code, "</Code><Message>why</Message>", more, "</Error>");
  }
  answer.date = "Tue, 06 Jan 2026 10:00:00 GMT";
  S3Options options;
  options.region = "us-east-1";
  return S3Status(answer, "GET http://h/b/k", options);
}

TEST(S3Error, SaysWhatWhereAndWhatNext) {
  const absl::Status bucket = Status(404, "NoSuchBucket");
  EXPECT_TRUE(absl::IsFailedPrecondition(bucket)) << bucket;
  EXPECT_THAT(std::string(bucket.message()),
              AllOf(HasSubstr("GET http://h/b/k"), HasSubstr("404 NoSuchBucket"), HasSubstr("why"),
                    HasSubstr("create the bucket")));
  EXPECT_TRUE(absl::IsNotFound(Status(404, "NoSuchKey")));
  EXPECT_TRUE(absl::IsNotFound(Status(404, "")));  // as HEAD is answered
  EXPECT_TRUE(absl::IsFailedPrecondition(Status(404, "NoSuchAnythingElse")));
  EXPECT_TRUE(absl::IsPermissionDenied(Status(403, "AccessDenied")));
  EXPECT_TRUE(absl::IsPermissionDenied(Status(400, "ExpiredToken")));
}

TEST(S3Error, AWrongClockIsShownTheStoresTime) {
  const absl::Status skew = Status(403, "RequestTimeTooSkewed");
  EXPECT_TRUE(absl::IsFailedPrecondition(skew)) << skew;
  EXPECT_THAT(std::string(skew.message()),
              AllOf(HasSubstr("NTP"), HasSubstr("Tue, 06 Jan 2026 10:00:00 GMT")));
}

TEST(S3Error, TheBucketsRegionIsShown) {
  const absl::Status status =
      Status(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>");
  EXPECT_THAT(std::string(status.message()), HasSubstr("eu-west-1"));
}

TEST(S3Error, OnlyWhatMayPassIsUnavailable) {
  for (const long http : {408, 429, 500, 502, 503, 504}) {
    EXPECT_TRUE(absl::IsUnavailable(Status(http, ""))) << http;
  }
  EXPECT_TRUE(absl::IsUnavailable(Status(400, "RequestTimeout")));
  EXPECT_TRUE(absl::IsUnavailable(Status(503, "SlowDown")));
  for (const long http : {301, 400, 401, 403, 404, 405, 409, 412, 507}) {
    EXPECT_FALSE(absl::IsUnavailable(Status(http, ""))) << http;
  }
}

}  // namespace
}  // namespace muster
