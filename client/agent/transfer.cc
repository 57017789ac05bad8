#include "client/agent/transfer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "client/agent/call.h"
#include "client/agent/core.h"
#include "client/agent/text.h"
#include "client/agent/url_fetch.h"
#include "muster/v1/blob.grpc.pb.h"
#include "proto/codec/blob_codec.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/transport/retry_hint.h"

namespace muster {
namespace {

using text::Cat;

constexpr size_t kMaxRemembered = 1000;  // blobs that came corrupted

}  // namespace

struct BlobTransfer::Impl {
  explicit Impl(const std::shared_ptr<grpc::ChannelInterface>& channel)
      : stub(v1::BlobService::NewStub(channel)) {}
  std::unique_ptr<v1::BlobService::Stub> stub;
};

BlobTransfer::BlobTransfer(std::shared_ptr<grpc::ChannelInterface> channel,
                           BlobTransferOptions options)
    : impl_(std::make_unique<Impl>(channel)), options_(std::move(options)) {}
BlobTransfer::~BlobTransfer() = default;

bool BlobTransfer::MayGoDirectly(const Digest& digest) {
  if (!options_.direct) return false;
  std::lock_guard lock(mutex_);
  return !corrupted_.contains(digest) && std::chrono::steady_clock::now() >= direct_after_;
}

void BlobTransfer::CameCorrupted(const Digest& digest) {
  std::lock_guard lock(mutex_);
  if (corrupted_.size() >= kMaxRemembered) corrupted_.clear();
  corrupted_.insert(digest);
}

absl::Status BlobTransfer::Read(const Digest& digest, uint64_t offset, const Sink& sink,
                                const Bounds& bounds) {
  MUSTER_ASSIGN_OR_RETURN(const Elsewhere there,
                          ReadStream(digest, offset, MayGoDirectly(digest), sink, bounds));
  if (there.url.empty()) return absl::OkStatus();
  LogInfo("fetching a blob directly",
          {{"digest", digest.hex()}, {"from", UrlOrigin(there.url)}, {"offset", offset}});
  uint64_t moved = 0;
  absl::Status stored;
  const absl::Status fetched = ReadUrl(
      there, offset,
      [&](uint64_t total, std::string_view data) {
        stored = sink(total, data);
        moved += data.size();
        return stored;
      },
      bounds);
  MUSTER_RETURN_IF_ERROR(stored);
  if (fetched.ok()) return fetched;
  MUSTER_RETURN_IF_ERROR(bounds.Check());
  LogWarning(
      "a direct download failed",
      {{"from", UrlOrigin(there.url)}, {"moved", moved}, {"error", text::View(fetched.message())}});
  // Bytes moved: whoever reads goes on from there, with a fresh URL.
  if (moved > 0) return absl::UnavailableError(fetched.message());
  {
    std::lock_guard lock(mutex_);
    direct_after_ = std::chrono::steady_clock::now() + kDirectPause;
  }
  return ReadStream(digest, offset, false, sink, bounds).status();
}

absl::Status BlobTransfer::ReadUrl(const Elsewhere& there, uint64_t offset, const Sink& sink,
                                   const Bounds& bounds) {
  // How long the blob is, the coordinator said; who serves the URL cannot change it.
  const auto checked = [&](uint64_t total, std::string_view data) -> absl::Status {
    if (total != there.total_size) {
      return absl::FailedPreconditionError(
          Cat("it has a blob of ", total, " bytes where ", there.total_size, " are due"));
    }
    if (data.size() > there.total_size - offset) {
      return absl::FailedPreconditionError("more bytes came than were asked for");
    }
    offset += data.size();
    bytes_down_ += data.size();
    bytes_direct_ += data.size();
    return sink(total, data);
  };
  MUSTER_RETURN_IF_ERROR(FetchUrl(there.url, offset, options_.urls, checked, bounds));
  if (offset < there.total_size) return absl::UnavailableError("the bytes ended early");
  return absl::OkStatus();
}

absl::StatusOr<BlobTransfer::Elsewhere> BlobTransfer::ReadStream(const Digest& digest,
                                                                 uint64_t offset, bool accept_url,
                                                                 const Sink& sink,
                                                                 const Bounds& bounds) {
  MUSTER_RETURN_IF_ERROR(bounds.Check());
  Call call(bounds, kTransferDeadline);
  auto stream = impl_->stub->Download(
      call.context(),
      EncodeDownload({.digest = digest, .offset = offset, .accept_url = accept_url}));
  v1::DownloadChunk message;
  Elsewhere there;
  absl::Status status;
  while (status.ok() && stream->Read(&message)) {
    auto chunk = DecodeDownloadChunk(message);
    if (!chunk.ok()) {
      status = chunk.status();
    } else if (chunk->chunk.offset != offset) {
      status = absl::DataLossError(Cat("the coordinator sent bytes at ", chunk->chunk.offset,
                                       " where ", offset, " was due"));
    } else if (!chunk->url.empty() && !accept_url) {
      status = absl::InternalError("the coordinator sent a URL that nobody asked for");
    } else if (!chunk->url.empty()) {
      there = {std::string(chunk->url), chunk->total_size};
    } else {
      offset += chunk->chunk.data.size();
      bytes_down_ += chunk->chunk.data.size();
      status = sink(chunk->total_size, chunk->chunk.data);
    }
  }
  if (!status.ok()) call.context()->TryCancel();
  absl::Status finished = FromWire(*call.context(), stream->Finish());
  MUSTER_RETURN_IF_ERROR(status);
  MUSTER_RETURN_IF_ERROR(finished);
  return there;
}

absl::Status BlobTransfer::Upload(const Digest& digest, const std::filesystem::path& file,
                                  const Bounds& bounds) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(file, error);
  if (error) return ErrnoStatus(error.value(), "reading", file);
  absl::Status last;
  for (uint32_t idle = 0; idle < kMaxIdleTransfers;) {
    if (idle > 0) {
      MUSTER_RETURN_IF_ERROR(bounds.PauseAfter(last, std::chrono::milliseconds(100 << idle)));
    }
    MUSTER_RETURN_IF_ERROR(bounds.Check());
    uint64_t offset = 0;
    {
      Call call(bounds, limits::kDefaultRpcDeadline);
      v1::StatUploadResponse response;
      last = FromWire(*call.context(),
                      impl_->stub->StatUpload(call.context(), EncodeStatUpload(digest), &response));
      if (last.ok()) {
        MUSTER_ASSIGN_OR_RETURN(const UploadProgress held, DecodeStatUploadAnswer(response));
        if (held.complete) return absl::OkStatus();
        offset = held.offset;
      }
    }
    uint64_t reached = offset;
    if (last.ok()) last = UploadFrom(digest, file, offset, size, bounds, &reached);
    if (last.ok()) return last;
    if (!IsTransient(last.code())) return last;
    idle = reached > offset ? 1 : idle + 1;
  }
  return Annotate(last, "uploading");
}

absl::Status BlobTransfer::UploadFrom(const Digest& digest, const std::filesystem::path& file,
                                      uint64_t offset, uint64_t size, const Bounds& bounds,
                                      uint64_t* reached) {
  if (offset > size) {
    return absl::FailedPreconditionError(
        Cat("the coordinator holds ", offset, " bytes of an upload of ", size));
  }
  UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "opening", file);
  Call call(bounds, kTransferDeadline);
  v1::UploadResponse response;
  auto stream = impl_->stub->Upload(call.context(), &response);
  std::string buffer(limits::kChunkBytes, '\0');
  bool open = true, first = true;
  while (open && (offset < size || first)) {
    const ssize_t got = pread(fd.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (got < 0 || (got == 0 && offset < size)) {
      call.context()->TryCancel();
      stream->Finish();
      return ErrnoStatus(got < 0 ? errno : EIO, "reading", file);
    }
    const BlobChunk chunk{offset, std::string_view(buffer.data(), static_cast<size_t>(got))};
    open =
        stream->Write(first ? EncodeUploadStart({digest, size, chunk}) : EncodeUploadChunk(chunk));
    first = false;
    offset += static_cast<uint64_t>(got);
    if (open) bytes_up_ += static_cast<uint64_t>(got);
  }
  stream->WritesDone();
  MUSTER_RETURN_IF_ERROR(FromWire(*call.context(), stream->Finish()));
  MUSTER_ASSIGN_OR_RETURN(const UploadProgress progress, DecodeUploadAnswer(response));
  *reached = progress.offset;
  if (!progress.complete) {
    return absl::UnavailableError(
        Cat("the coordinator holds ", progress.offset, " of ", size, " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace muster
