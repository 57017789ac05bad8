#include "coordinator/blobs/s3/s3_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tests/support/temp_folder.h"

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(S3Url, NamesABucketAndPerhapsAPrefix) {
  const auto location = ParseS3Url("s3://my-bucket/fleet/blobs/");
  ASSERT_TRUE(location.ok()) << location.status();
  EXPECT_EQ(location->bucket, "my-bucket");
  EXPECT_EQ(location->prefix, "fleet/blobs");
  EXPECT_EQ(ParseS3Url("s3://my-bucket")->prefix, "");
  EXPECT_EQ(ParseS3Url("s3://my-bucket/")->prefix, "");
}

TEST(S3Url, WhatIsNoneIsRefusedWithAnExample) {
  for (const char* url : {"", "s3:/b", "http://bucket/x", "s3://", "s3://B/x", "s3://ab", "s3:///x",
                          "s3://bucket-/x", "s3://bucket//x", "s3://bucket/a/../b",
                          "s3://bucket/a b", "s3://bucket/a%20b", "s3://user@bucket/x"}) {
    const absl::Status status = ParseS3Url(url).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << url;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr(url), HasSubstr("s3://BUCKET/PREFIX")));
  }
}

S3Options Options() {
  S3Options options;
  options.location = {.bucket = "bucket"};
  options.credentials.access_key_id = "A";
  options.credentials.secret_access_key = SecretText("S");
  return options;
}

TEST(S3Options, TheEndpointDefaultsToTheRegions) {
  S3Options options = Options();
  options.region = "eu-central-1";
  ASSERT_TRUE(CheckS3Options(options).ok());
  EXPECT_EQ(options.endpoint, "https://s3.eu-central-1.amazonaws.com");
  EXPECT_EQ(options.public_endpoint, options.endpoint);
}

TEST(S3Options, AnEndpointIsAHostAndNoMore) {
  for (const char* endpoint : {"host:9000", "ftp://host", "https://", "https://host/path",
                               "https://user:secret@host", "https://host?x=y", "nonsense://h"}) {
    S3Options options = Options();
    options.endpoint = endpoint;
    const absl::Status status = CheckS3Options(options);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << endpoint << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("https://HOST"));
  }
  S3Options options = Options();
  options.endpoint = "http://127.0.0.1:9000/";
  ASSERT_TRUE(CheckS3Options(options).ok());
  EXPECT_EQ(options.endpoint, "http://127.0.0.1:9000");
}

TEST(S3Options, NonsenseIsRefused) {
  S3Options region = Options();
  region.region = "eu central";
  EXPECT_TRUE(absl::IsInvalidArgument(CheckS3Options(region)));
  S3Options parts = Options();
  parts.part_bytes = 1000;
  EXPECT_TRUE(absl::IsInvalidArgument(CheckS3Options(parts)));
  S3Options nobody = Options();
  nobody.credentials = {};
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckS3Options(nobody)));
}

class S3CredentialsTest : public ::testing::Test {
 protected:
  S3CredentialsTest() {
    for (const char* name :
         {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"}) {
      ::unsetenv(name);
    }
  }
  std::filesystem::path Write(const char* text) {
    const std::filesystem::path path = folder_.path() / "credentials";
    std::ofstream(path) << text;
    return path;
  }
  TempFolder folder_;
};

TEST_F(S3CredentialsTest, ComeFromTheEnvironment) {
  const absl::Status none = LoadS3Credentials("").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(none)) << none;
  EXPECT_THAT(std::string(none.message()), HasSubstr("AWS_ACCESS_KEY_ID"));
  ::setenv("AWS_ACCESS_KEY_ID", "key", 1);
  EXPECT_FALSE(LoadS3Credentials("").ok());
  ::setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
  ::setenv("AWS_SESSION_TOKEN", "token", 1);
  const auto credentials = LoadS3Credentials("");
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  EXPECT_EQ(credentials->access_key_id, "key");
  EXPECT_EQ(credentials->secret_access_key.reveal(), "secret");
  EXPECT_EQ(credentials->session_token.reveal(), "token");
}

TEST_F(S3CredentialsTest, ComeFromAFileAndAProfile) {
  const auto file = Write(
      "[default]\naws_access_key_id = one\naws_secret_access_key = s1\n"
      "[work]\naws_access_key_id=two\naws_secret_access_key=s2\naws_session_token=t2\n");
  EXPECT_EQ(LoadS3Credentials(file)->access_key_id, "one");
  ::setenv("AWS_PROFILE", "work", 1);
  const auto work = LoadS3Credentials(file);
  EXPECT_EQ(work->secret_access_key.reveal(), "s2");
  EXPECT_EQ(work->session_token.reveal(), "t2");
  ::setenv("AWS_PROFILE", "other", 1);
  const absl::Status other = LoadS3Credentials(file).status();
  EXPECT_THAT(std::string(other.message()), HasSubstr("[other]"));
}

TEST_F(S3CredentialsTest, ABrokenFileIsNamedWithoutItsSecrets) {
  const absl::Status status =
      LoadS3Credentials(Write("[default]\naws_secret_access_key s3cr3t\n")).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("line 2"), Not(HasSubstr("s3cr3t"))));
  EXPECT_TRUE(absl::IsNotFound(LoadS3Credentials(folder_.path() / "none").status()));
}

}  // namespace
}  // namespace muster
