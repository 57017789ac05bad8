#include "proto/codec/blob_codec.h"

#include <string>

#include "proto/codec/field.h"
#include "proto/core/limits.h"

namespace muster {
namespace {

using wire::CheckAtMost;
using wire::Field;
using wire::Refuse;

absl::Status CheckTotal(const Field& at, uint64_t total) {
  return wire::CheckRange(at["total_size"], total, 1, limits::kMaxBlobBytes, "bytes");
}

template <typename Message>
absl::StatusOr<BlobChunk> DecodeChunk(const Field& at, const Message& wire, uint64_t total) {
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["offset"], wire.offset(), total, "bytes"));
  if (wire.data().size() > limits::kChunkBytes) {
    return Refuse(at["data"], StrCat(wire.data().size(), " bytes are above the limit of ",
                                     limits::kChunkBytes, "; send smaller chunks"));
  }
  if (wire.data().size() > total - wire.offset()) {
    return Refuse(at["data"], StrCat("ends at byte ", wire.offset() + wire.data().size(),
                                     ", after the blob's end at ", total));
  }
  return BlobChunk{wire.offset(), wire.data()};
}

absl::Status CheckUrl(const Field& at, std::string_view url) {
  if (url.size() > kMaxUrlLength) {
    return Refuse(
        at, StrCat("has ", url.size(), " characters; at most ", kMaxUrlLength, " are allowed"));
  }
  if (!url.starts_with("https://") && !url.starts_with("http://")) {
    return Refuse(at, "is neither http nor https");
  }
  for (const char c : url) {
    if (c <= ' ' || c > '~') return Refuse(at, "has characters that no URL has");
  }
  return absl::OkStatus();
}

template <typename Message>
absl::StatusOr<UploadProgress> DecodeProgress(const Field& at, const Message& wire) {
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["offset"], wire.offset(), limits::kMaxBlobBytes, "bytes"));
  return UploadProgress{wire.offset(), wire.complete()};
}

template <typename Message>
Message EncodeProgress(const UploadProgress& progress) {
  Message wire;
  wire.set_offset(progress.offset);
  wire.set_complete(progress.complete);
  return wire;
}

}  // namespace

absl::StatusOr<UploadStart> DecodeUploadStart(const v1::UploadChunk& wire) {
  const Field at("blob.UploadChunk");
  UploadStart decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.digest, wire::DecodeDigest(at["digest"], wire.digest()));
  MUSTER_RETURN_IF_ERROR(CheckTotal(at, wire.total_size()));
  decoded.total_size = wire.total_size();
  MUSTER_ASSIGN_OR_RETURN(decoded.chunk, DecodeChunk(at, wire, wire.total_size()));
  return decoded;
}

absl::StatusOr<BlobChunk> DecodeUploadChunk(const v1::UploadChunk& wire, uint64_t total_size) {
  const Field at("blob.UploadChunk");
  if (!wire.digest().empty()) {
    return Refuse(at["digest"], "belongs into the first message only; one upload is one blob");
  }
  if (wire.total_size() != 0) {
    return Refuse(at["total_size"], "belongs into the first message only");
  }
  if (wire.data().empty()) return Refuse(at["data"], "is empty");
  return DecodeChunk(at, wire, total_size);
}

v1::UploadChunk EncodeUploadStart(const UploadStart& start) {
  v1::UploadChunk wire = EncodeUploadChunk(start.chunk);
  wire.set_digest(wire::EncodeDigest(start.digest));
  wire.set_total_size(start.total_size);
  return wire;
}

v1::UploadChunk EncodeUploadChunk(const BlobChunk& chunk) {
  v1::UploadChunk wire;
  wire.set_offset(chunk.offset);
  wire.set_data(chunk.data.data(), chunk.data.size());
  return wire;
}

absl::StatusOr<Digest> DecodeStatUpload(const v1::StatUploadRequest& wire) {
  return wire::DecodeDigest(Field("blob.StatUploadRequest")["digest"], wire.digest());
}

v1::StatUploadRequest EncodeStatUpload(const Digest& digest) {
  v1::StatUploadRequest wire;
  wire.set_digest(wire::EncodeDigest(digest));
  return wire;
}

absl::StatusOr<UploadProgress> DecodeStatUploadAnswer(const v1::StatUploadResponse& wire) {
  return DecodeProgress(Field("blob.StatUploadResponse"), wire);
}

v1::StatUploadResponse EncodeStatUploadAnswer(const UploadProgress& progress) {
  return EncodeProgress<v1::StatUploadResponse>(progress);
}

absl::StatusOr<UploadProgress> DecodeUploadAnswer(const v1::UploadResponse& wire) {
  return DecodeProgress(Field("blob.UploadResponse"), wire);
}

v1::UploadResponse EncodeUploadAnswer(const UploadProgress& progress) {
  return EncodeProgress<v1::UploadResponse>(progress);
}

absl::StatusOr<BlobRange> DecodeDownload(const v1::DownloadRequest& wire) {
  const Field at("blob.DownloadRequest");
  BlobRange decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.digest, wire::DecodeDigest(at["digest"], wire.digest()));
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["offset"], wire.offset(), limits::kMaxBlobBytes, "bytes"));
  decoded.offset = wire.offset();
  decoded.accept_url = wire.accept_url();
  return decoded;
}

v1::DownloadRequest EncodeDownload(const BlobRange& range) {
  v1::DownloadRequest wire;
  wire.set_digest(wire::EncodeDigest(range.digest));
  wire.set_offset(range.offset);
  wire.set_accept_url(range.accept_url);
  return wire;
}

absl::StatusOr<DownloadedChunk> DecodeDownloadChunk(const v1::DownloadChunk& wire) {
  const Field at("blob.DownloadChunk");
  DownloadedChunk decoded;
  MUSTER_RETURN_IF_ERROR(CheckTotal(at, wire.total_size()));
  decoded.total_size = wire.total_size();
  MUSTER_ASSIGN_OR_RETURN(decoded.chunk, DecodeChunk(at, wire, wire.total_size()));
  if (wire.url().empty()) return decoded;
  MUSTER_RETURN_IF_ERROR(CheckUrl(at["url"], wire.url()));
  if (!wire.data().empty()) return Refuse(at["data"], "comes with a URL; it is one or the other");
  decoded.url = wire.url();
  return decoded;
}

v1::DownloadChunk EncodeDownloadChunk(const DownloadedChunk& chunk) {
  v1::DownloadChunk wire;
  wire.set_total_size(chunk.total_size);
  wire.set_offset(chunk.chunk.offset);
  wire.set_data(chunk.chunk.data.data(), chunk.chunk.data.size());
  wire.set_url(chunk.url.data(), chunk.url.size());
  return wire;
}

}  // namespace muster
