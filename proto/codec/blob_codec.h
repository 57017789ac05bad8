// Blob chunks between wire messages and values, for both ends. Data is not copied: a decoded chunk
// refers to its message and lives as long as that. InvalidArgument with the field's path.
// Thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "muster/v1/blob.pb.h"
#include "proto/core/digest.h"

namespace muster {

inline constexpr size_t kMaxUrlLength = 4096;  // that a download is sent to

// Bytes [offset, offset + data.size()) of a blob.
struct BlobChunk {
  uint64_t offset = 0;
  std::string_view data;  // refers to the message
  friend bool operator==(const BlobChunk&, const BlobChunk&) = default;
};

// The first message of an upload: what follows, and the first data, which may be empty.
struct UploadStart {
  Digest digest;
  uint64_t total_size = 0;  // at least 1
  BlobChunk chunk;
  friend bool operator==(const UploadStart&, const UploadStart&) = default;
};

struct UploadProgress {
  uint64_t offset = 0;  // bytes that are durable
  bool complete = false;
  friend bool operator==(const UploadProgress&, const UploadProgress&) = default;
};

struct BlobRange {
  Digest digest;
  uint64_t offset = 0;      // to the end
  bool accept_url = false;  // the caller can fetch from a URL instead
  friend bool operator==(const BlobRange&, const BlobRange&) = default;
};

struct DownloadedChunk {
  uint64_t total_size = 0;
  BlobChunk chunk;
  std::string_view url;  // not empty: where the bytes are instead; refers to the message
  friend bool operator==(const DownloadedChunk&, const DownloadedChunk&) = default;
};

absl::StatusOr<UploadStart> DecodeUploadStart(const v1::UploadChunk& wire);
// Any later message of an upload of `total_size` bytes: data, and neither digest nor size. That
// offsets follow each other is for the receiver to check, who knows what it has.
absl::StatusOr<BlobChunk> DecodeUploadChunk(const v1::UploadChunk& wire, uint64_t total_size);
v1::UploadChunk EncodeUploadStart(const UploadStart& start);
v1::UploadChunk EncodeUploadChunk(const BlobChunk& chunk);

absl::StatusOr<Digest> DecodeStatUpload(const v1::StatUploadRequest& wire);
v1::StatUploadRequest EncodeStatUpload(const Digest& digest);
absl::StatusOr<UploadProgress> DecodeStatUploadAnswer(const v1::StatUploadResponse& wire);
v1::StatUploadResponse EncodeStatUploadAnswer(const UploadProgress& progress);
absl::StatusOr<UploadProgress> DecodeUploadAnswer(const v1::UploadResponse& wire);
v1::UploadResponse EncodeUploadAnswer(const UploadProgress& progress);

absl::StatusOr<BlobRange> DecodeDownload(const v1::DownloadRequest& wire);
v1::DownloadRequest EncodeDownload(const BlobRange& range);
absl::StatusOr<DownloadedChunk> DecodeDownloadChunk(const v1::DownloadChunk& wire);
v1::DownloadChunk EncodeDownloadChunk(const DownloadedChunk& chunk);

}  // namespace muster
