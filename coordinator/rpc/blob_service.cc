#include "coordinator/rpc/blob_service.h"

#include <utility>
#include <vector>

#include "coordinator/drive/offers.h"
#include "proto/codec/blob_codec.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr char kUpload[] = "muster.v1.BlobService/Upload";
constexpr char kDownload[] = "muster.v1.BlobService/Download";

std::string OwnerOf(const std::optional<Principal>& caller) {
  return StagingOwner(RoleName(caller->role), caller->id);
}

// Chunks in order into the caller's staging area. What arrived before a cut stays, so that the
// caller resumes there.
class UploadReactor : public grpc::ServerReadReactor<v1::UploadChunk> {
 public:
  UploadReactor(Edge& edge, grpc::CallbackServerContext* context, v1::UploadResponse* response)
      : edge_(edge), context_(context), response_(response), timer_(edge.counters(), kUpload) {
    if (!edge_.executor().Post([this] { Admit(); })) Finish(BusyStatus());
  }

  void OnReadDone(bool ok) override {
    edge_.executor().PostAlways([this, ok] { ok ? Store() : Flush(); });
  }
  void OnDone() override { delete this; }

 private:
  void Admit() {
    auto caller = edge_.Admit(*context_, kUpload);
    if (!caller.ok()) return End(caller.status());
    owner_ = OwnerOf(*caller);
    StartRead(&chunk_);
  }

  void Store() {
    if (absl::Status status = Append(); !status.ok()) return End(status);
    StartRead(&chunk_);
  }

  absl::Status Append() {
    if (!started_) {
      MUSTER_ASSIGN_OR_RETURN(const UploadStart start, DecodeUploadStart(chunk_));
      digest_ = start.digest;
      total_size_ = start.total_size;
      started_ = true;
      if (start.chunk.data.empty()) return absl::OkStatus();
      return Write(start.chunk);
    }
    MUSTER_ASSIGN_OR_RETURN(const BlobChunk chunk, DecodeUploadChunk(chunk_, total_size_));
    return Write(chunk);
  }

  absl::Status Write(const BlobChunk& chunk) {
    return edge_.drive().staging.Append(owner_, digest_, total_size_, chunk.offset, chunk.data);
  }

  void Flush() {
    if (!started_) return End(absl::InvalidArgumentError("the upload has no first message"));
    auto staged = edge_.drive().staging.Flush(owner_, digest_);
    if (!staged.ok()) return End(staged.status());
    *response_ = EncodeUploadAnswer({staged->offset, staged->complete});
    End(absl::OkStatus());
  }

  void End(const absl::Status& status) {
    timer_.Ended(status.code());
    Finish(ToGrpcStatus(status));
  }

  Edge& edge_;
  grpc::CallbackServerContext* context_;
  v1::UploadResponse* response_;
  const CallTimer timer_;
  v1::UploadChunk chunk_;
  std::string owner_;
  Digest digest_;
  uint64_t total_size_ = 0;
  bool started_ = false;
};

class DownloadReactor : public grpc::ServerWriteReactor<v1::DownloadChunk> {
 public:
  DownloadReactor(Edge& edge, grpc::CallbackServerContext* context,
                  const v1::DownloadRequest* request)
      : edge_(edge), context_(context), request_(request), timer_(edge.counters(), kDownload) {
    if (!edge_.executor().Post([this] { Open(); })) Finish(BusyStatus());
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return End(absl::CancelledError("the caller went away"));
    edge_.executor().PostAlways([this] { Next(); });
  }
  void OnDone() override { delete this; }

 private:
  void Open() {
    if (absl::Status status = TryOpen(); !status.ok()) return End(status);
    Next();
  }

  absl::Status TryOpen() {
    MUSTER_RETURN_IF_ERROR(edge_.Admit(*context_, kDownload).status());
    MUSTER_ASSIGN_OR_RETURN(const BlobRange range, DecodeDownload(*request_));
    MUSTER_ASSIGN_OR_RETURN(reader_, edge_.drive().blobs.Open(range.digest));
    offset_ = range.offset;
    if (offset_ > reader_->size()) {
      return absl::OutOfRangeError(StrCat("offset ", offset_, " is past the end of blob ",
                                          range.digest.hex(), " (", reader_->size(),
                                          " bytes); begin again at 0"));
    }
    return absl::OkStatus();
  }

  void Next() {
    if (offset_ == reader_->size()) return End(absl::OkStatus());
    buffer_.resize(std::min<uint64_t>(limits::kChunkBytes, reader_->size() - offset_));
    auto got = reader_->ReadAt(offset_, buffer_);
    if (!got.ok()) return End(got.status());
    if (*got == 0) return End(absl::DataLossError("a stored blob ends early"));
    message_ = EncodeDownloadChunk(
        {.total_size = reader_->size(), .chunk = {offset_, {buffer_.data(), *got}}});
    offset_ += *got;
    StartWrite(&message_);
  }

  void End(const absl::Status& status) {
    timer_.Ended(status.code());
    Finish(ToGrpcStatus(status));
  }

  Edge& edge_;
  grpc::CallbackServerContext* context_;
  const v1::DownloadRequest* request_;
  const CallTimer timer_;
  std::unique_ptr<BlobReader> reader_;
  uint64_t offset_ = 0;
  std::vector<char> buffer_;
  v1::DownloadChunk message_;
};

}  // namespace

grpc::ServerUnaryReactor* BlobServiceImpl::StatUpload(grpc::CallbackServerContext* context,
                                                      const v1::StatUploadRequest* request,
                                                      v1::StatUploadResponse* response) {
  return Unary(edge_, context, "muster.v1.BlobService/StatUpload",
               [this, request, response](const std::optional<Principal>& caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const Digest digest, DecodeStatUpload(*request));
                 MUSTER_ASSIGN_OR_RETURN(StagedUpload staged,
                                         edge_.drive().staging.Stat(OwnerOf(caller), digest));
                 // What is stored need not be sent again. Devices are not told: it would show them
                 // whether another device's update is the same as theirs.
                 if (!staged.complete && caller->role != Role::kDevice) {
                   MUSTER_ASSIGN_OR_RETURN(staged.complete, edge_.drive().blobs.Has(digest));
                 }
                 *response = EncodeStatUploadAnswer({staged.offset, staged.complete});
                 return absl::OkStatus();
               });
}

grpc::ServerReadReactor<v1::UploadChunk>* BlobServiceImpl::Upload(
    grpc::CallbackServerContext* context, v1::UploadResponse* response) {
  return new UploadReactor(edge_, context, response);
}

grpc::ServerWriteReactor<v1::DownloadChunk>* BlobServiceImpl::Download(
    grpc::CallbackServerContext* context, const v1::DownloadRequest* request) {
  return new DownloadReactor(edge_, context, request);
}

}  // namespace muster
