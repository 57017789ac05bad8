// Where an S3-compatible store is, and with which credentials. Nothing here talks to the network.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordinator/blobs/s3/s3_limits.h"
#include "proto/core/time.h"

namespace muster {

// A secret of any length: move-only, wiped when it goes, unprintable.
class SecretText {
 public:
  SecretText() = default;
  explicit SecretText(std::string text) : text_(std::move(text)) {}
  ~SecretText();
  SecretText(SecretText&& other) noexcept { *this = std::move(other); }
  SecretText& operator=(SecretText&& other) noexcept;

  bool empty() const { return text_.empty(); }
  const std::string& reveal() const { return text_; }

 private:
  void Wipe();
  std::string text_;
};

struct S3Credentials {
  std::string access_key_id;
  SecretText secret_access_key;
  SecretText session_token;  // empty: none
};

// s3://BUCKET/PREFIX. Keys below the prefix use letters, digits and "-._/" only, so that no URL
// ever needs escaping.
struct S3Location {
  std::string bucket;
  std::string prefix;  // without slashes at its ends; may be empty
};

// InvalidArgument that says what is wrong and shows a right one.
absl::StatusOr<S3Location> ParseS3Url(std::string_view url);

struct S3Options {
  S3Location location;
  std::string endpoint;         // https://HOST[:PORT]; empty: AWS, by region
  std::string public_endpoint;  // as devices reach it, for presigned URLs; empty: `endpoint`
  std::string region = "us-east-1";
  std::filesystem::path ca_file;  // PEM; empty: the system's
  S3Credentials credentials;

  Duration connect_timeout = limits::kS3ConnectTimeout;
  Duration stall_timeout = limits::kS3StallTimeout;  // no byte for this long ends a request
  uint32_t attempts = limits::kS3Attempts;           // of each request
  size_t part_bytes = limits::kS3PartBytes;          // at least limits::kS3MinPartBytes
  uint64_t object_bytes = limits::kS3MaxCopyBytes;   // of one temporary object; whole parts
  Duration leftover_age = limits::kS3LeftoverAge;    // when half-made objects are swept
  uint64_t staging_memory = limits::kS3StagingMemoryBytes;
  std::function<void(Duration)> pause;  // between attempts; empty: sleeps
};

// Fills in defaults and checks: region, endpoints (http or https, a host, no path).
absl::Status CheckS3Options(S3Options& options);

// From `file` (the AWS form: a [default] section with aws_access_key_id, aws_secret_access_key and
// perhaps aws_session_token; another section by AWS_PROFILE), or, where `file` is empty, from
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. FailedPrecondition if there are
// none.
absl::StatusOr<S3Credentials> LoadS3Credentials(const std::filesystem::path& file);

}  // namespace muster
