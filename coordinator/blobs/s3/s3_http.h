// One HTTP exchange with an S3-compatible store: libcurl, its SigV4, kept connections. No retries.
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/blobs/s3/s3_options.h"

namespace muster {

enum class S3Method { kGet, kHead, kPut, kPost, kDelete };

struct S3Call {
  S3Method method = S3Method::kGet;
  std::string key;  // empty: the bucket itself
  std::map<std::string, std::string> query;
  std::vector<std::string> headers;  // "name: value", signed
  std::string_view body;             // of kPut and kPost; not copied
  // Where the body of a good answer goes; empty: into S3Answer::body.
  std::span<char> into;
};

struct S3Answer {
  absl::Status transport;  // Unavailable: worth another try. FailedPrecondition: not
  long status = 0;         // of HTTP; 0 without an answer
  std::string body;        // at most limits::kS3MaxXmlBytes
  size_t received = 0;     // bytes in `into`, of whole or broken answers
  std::string etag, content_range, content_length, date;
  bool good() const { return transport.ok() && status >= 200 && status < 300; }
};

class S3Http {
 public:
  // `options` passed CheckS3Options().
  static absl::StatusOr<std::unique_ptr<S3Http>> Create(const S3Options& options);
  ~S3Http();

  S3Answer Perform(const S3Call& call);

  // "GET https://host/bucket/key", for messages. Never with credentials.
  std::string Describe(const S3Call& call) const;

 private:
  struct Handle;
  explicit S3Http(const S3Options& options);
  std::unique_ptr<Handle> Take();
  void Return(std::unique_ptr<Handle> handle);

  const S3Options& options_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Handle>> idle_;
};

// `text` with every byte but unreserved ones (RFC 3986) as %XX.
std::string S3Escape(std::string_view text);

}  // namespace muster
