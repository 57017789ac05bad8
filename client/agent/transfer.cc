#include "client/agent/transfer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "client/agent/call.h"
#include "client/agent/core.h"
#include "client/agent/text.h"
#include "muster/v1/blob.grpc.pb.h"
#include "proto/codec/blob_codec.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/transport/retry_hint.h"

namespace muster {
namespace {

using text::Cat;

}  // namespace

struct BlobTransfer::Impl {
  explicit Impl(const std::shared_ptr<grpc::ChannelInterface>& channel)
      : stub(v1::BlobService::NewStub(channel)) {}
  std::unique_ptr<v1::BlobService::Stub> stub;
};

BlobTransfer::BlobTransfer(std::shared_ptr<grpc::ChannelInterface> channel)
    : impl_(std::make_unique<Impl>(channel)) {}
BlobTransfer::~BlobTransfer() = default;

absl::Status BlobTransfer::Read(const Digest& digest, uint64_t offset, const Sink& sink,
                                const Bounds& bounds) {
  MUSTER_RETURN_IF_ERROR(bounds.Check());
  Call call(bounds, kTransferDeadline);
  auto stream =
      impl_->stub->Download(call.context(), EncodeDownload({.digest = digest, .offset = offset}));
  v1::DownloadChunk message;
  absl::Status status;
  while (status.ok() && stream->Read(&message)) {
    auto chunk = DecodeDownloadChunk(message);
    if (!chunk.ok()) {
      status = chunk.status();
    } else if (chunk->chunk.offset != offset) {
      status = absl::DataLossError(Cat("the coordinator sent bytes at ", chunk->chunk.offset,
                                       " where ", offset, " was due"));
    } else {
      offset += chunk->chunk.data.size();
      bytes_down_ += chunk->chunk.data.size();
      status = sink(chunk->total_size, chunk->chunk.data);
    }
  }
  if (!status.ok()) call.context()->TryCancel();
  absl::Status finished = FromWire(*call.context(), stream->Finish());
  return status.ok() ? finished : status;
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
