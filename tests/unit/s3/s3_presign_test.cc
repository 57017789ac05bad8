#include "coordinator/blobs/s3/s3_presign.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/blobs/s3/s3_limits.h"
#include "proto/core/digest.h"

namespace muster {
namespace {

using namespace std::chrono_literals;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

S3Credentials ExampleCredentials() {
  S3Credentials credentials;
  credentials.access_key_id = "AKIAIOSFODNN7EXAMPLE";
  credentials.secret_access_key = SecretText("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
  return credentials;
}

constexpr Timestamp kExampleTime{1'369'353'600'000'000};  // 2013-05-24T00:00:00Z

// AWS, Signature Version 4, "Authenticating requests: using query parameters".
TEST(Presign, AgreesWithThePublishedExample) {
  const auto url = PresignGet("https://examplebucket.s3.amazonaws.com", "/test.txt", "us-east-1",
                              ExampleCredentials(), 24h, kExampleTime);
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(*url,
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
            "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
            "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
            "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

// AWS, "Examples of how to derive a signing key".
TEST(Presign, DerivesThePublishedSigningKey) {
  const SecretText secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
  const SigningKey key = DeriveSigningKey(secret, "20120215", "us-east-1", "iam");
  EXPECT_EQ(HexEncode({reinterpret_cast<const char*>(key.span().data()), key.span().size()}),
            "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
}

TEST(Presign, ASessionTokenIsSignedAndEscaped) {
  S3Credentials credentials = ExampleCredentials();
  credentials.session_token = SecretText("a/b+c=");
  const auto url = PresignGet("http://h:9000", "/b/k", "r", credentials, 1s, kExampleTime);
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_THAT(*url, StartsWith("http://h:9000/b/k?"));
  EXPECT_THAT(*url, HasSubstr("&X-Amz-Security-Token=a%2Fb%2Bc%3D&X-Amz-SignedHeaders=host&"));
}

TEST(Presign, LifetimesBeyondS3sAreRefused) {
  for (const Duration lifetime :
       {Duration::zero(), Duration(999ms), Duration(kMaxPresignLifetime) + Duration(1s)}) {
    const auto url =
        PresignGet("http://h", "/b/k", "r", ExampleCredentials(), lifetime, kExampleTime);
    EXPECT_TRUE(absl::IsInvalidArgument(url.status())) << url.status();
  }
}

}  // namespace
}  // namespace muster
