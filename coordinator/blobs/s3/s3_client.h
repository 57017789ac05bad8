// The operations of S3 that blobs need, each with bounded attempts, growing pauses and jitter.
// Keys are whole keys: Key() puts the prefix in front. Thread-safe.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/blobs/s3/s3_http.h"
#include "coordinator/blobs/s3/s3_options.h"
#include "coordinator/blobs/s3/s3_xml.h"
#include "proto/core/random.h"

namespace muster {

struct S3Slice {
  size_t received = 0;
  uint64_t total = 0;  // bytes of the whole object
};

// A whole object, as a source of a copy: at most limits::kS3MaxCopyBytes.
struct S3Source {
  std::string key;
  uint64_t size = 0;
};

class S3Client {
 public:
  // Checks the options, not the store.
  static absl::StatusOr<std::unique_ptr<S3Client>> Create(S3Options options);

  const S3Options& options() const { return options_; }
  std::string Key(std::string_view relative) const;
  // The store's clock at its last answer; 0 before the first.
  Timestamp server_time() const { return {server_time_us_}; }

  // That the bucket is there and may be listed.
  absl::Status CheckBucket();
  absl::StatusOr<bool> Has(const std::string& key);
  // Returns the ETag.
  absl::StatusOr<std::string> Put(const std::string& key, std::string_view bytes);
  // Fills `out` from `offset`, fewer only at the object's end. Goes on where a broken answer ended.
  absl::StatusOr<S3Slice> Get(const std::string& key, uint64_t offset, std::span<char> out);
  absl::Status Delete(const std::string& key);  // absent is fine
  // The same in one attempt. `over`: the store answered, so nothing of it takes place later;
  // without an answer it may, until kS3DeletingAge later.
  absl::Status DeleteOnce(const std::string& key, bool* over);
  using OnListed = std::function<absl::Status(const S3Listed&)>;
  absl::Status List(const std::string& prefix, const OnListed& on_listed);

  // Multipart uploads. Parts count from 1; all but the last have limits::kS3MinPartBytes or more.
  absl::StatusOr<std::string> BeginUpload(const std::string& key);
  absl::StatusOr<std::string> PutPart(const std::string& key, const std::string& upload_id,
                                      size_t number, std::string_view bytes);
  absl::Status CompleteUpload(const std::string& key, const std::string& upload_id,
                              const std::vector<std::string>& etags);
  absl::Status AbortUpload(const std::string& key, const std::string& upload_id);
  absl::StatusOr<std::vector<S3OpenUpload>> ListUploads(const std::string& prefix);

  // Makes `key` of the sources' bytes in order, in the store itself. All but the last source have
  // limits::kS3MinPartBytes or more.
  absl::Status Compose(const std::vector<S3Source>& sources, const std::string& key);

 private:
  explicit S3Client(S3Options options) : options_(std::move(options)) {}
  // The answer, if it is good; otherwise its Status, after all attempts.
  absl::StatusOr<S3Answer> Do(const S3Call& call);
  S3Answer Once(const S3Call& call);
  void Pause(uint32_t attempt);
  absl::StatusOr<uint64_t> Size(const std::string& key);
  std::string CopySource(const std::string& key) const;
  absl::Status CopyParts(const std::vector<S3Source>& sources, const std::string& key,
                         const std::string& upload_id);
  // An error may hide in an answer with status 200.
  absl::StatusOr<std::string> ResultOf(const S3Call& call);

  const S3Options options_;
  std::unique_ptr<S3Http> http_;
  SystemRandom random_;
  std::atomic<int64_t> server_time_us_{0};
};

}  // namespace muster
