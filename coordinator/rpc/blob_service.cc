#include "coordinator/rpc/blob_service.h"

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "coordinator/drive/offers.h"
#include "proto/codec/blob_codec.h"
#include "proto/core/limits.h"
#include "proto/core/log.h"
#include "proto/core/retry_after.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr char kUpload[] = "muster.v1.BlobService/Upload";
constexpr char kDownload[] = "muster.v1.BlobService/Download";

std::string OwnerOf(const std::optional<Principal>& caller) {
  return StagingOwner(RoleName(caller->role), caller->id);
}

// A stream's share of the budget of transfers: it begins once it has one, in the order of asking. A
// stream that stands still while others wait is cut; its caller resumes where it stood.
class Share {
 public:
  Share(Edge& edge, grpc::CallbackServerContext* context)
      : edge_(edge), context_(context), ticket_(edge.transfers().NewTicket()) {}
  ~Share() { Release(); }

  // At the stream's end; nobody asks it to go any more.
  void Release() { edge_.transfers().Release(ticket_, edge_.drive().clock.Now()); }

  // `begin` runs on the executor; `self` keeps the stream until then.
  template <typename Stream>
  absl::Status Ask(std::shared_ptr<Stream> self, void (Stream::*begin)()) {
    ByteBudget::Callbacks callbacks;
    callbacks.granted = [this, self, begin] {
      edge_.executor().Continue([self, begin] { ((*self).*begin)(); });
    };
    callbacks.evict = [context = context_, weak = std::weak_ptr(self)] {
      if (const auto stream = weak.lock()) context->TryCancel();
    };
    const Timestamp now = edge_.drive().clock.Now();
    if (edge_.transfers().Ask(ticket_, now, std::move(callbacks))) return absl::OkStatus();
    return BusyError("too many transfers wait already", limits::kBusyRetry);
  }
  void Progress() { edge_.transfers().Progress(ticket_, edge_.drive().clock.Now()); }
  // True if the stream waited, which it does no longer: nobody else will end it.
  bool Withdraw() { return edge_.transfers().Withdraw(ticket_); }

 private:
  Edge& edge_;
  grpc::CallbackServerContext* context_;
  const ByteBudget::Ticket ticket_;
};

absl::Status Gone() {
  return absl::CancelledError("the caller went away, or stood still too long");
}

// Chunks in order into the caller's staging area. What arrived before a cut stays, so that the
// caller resumes there.
class UploadReactor : public grpc::ServerReadReactor<v1::UploadChunk>,
                      public std::enable_shared_from_this<UploadReactor> {
 public:
  UploadReactor(Edge& edge, grpc::CallbackServerContext* context, v1::UploadResponse* response)
      : edge_(edge),
        context_(context),
        response_(response),
        timer_(edge.counters(), kUpload),
        share_(edge, context) {}

  void Begin() {
    self_ = shared_from_this();
    absl::Status entered = edge_.Enter(*context_, [self = self_] { self->Admit(); });
    if (!entered.ok()) End(entered);
  }
  void OnReadDone(bool ok) override {
    edge_.executor().Continue([self = self_, ok] { ok ? self->Store() : self->Flush(); });
  }
  void OnCancel() override {
    cancelled_ = true;
    if (share_.Withdraw()) End(Gone());
  }
  void OnDone() override {
    share_.Release();
    self_.reset();
  }

 private:
  void Admit() {
    auto caller = edge_.Admit(*context_, kUpload);
    if (!caller.ok()) return End(caller.status());
    owner_ = OwnerOf(*caller);
    absl::Status asked = share_.Ask(self_, &UploadReactor::Read);
    if (!asked.ok()) return End(asked);
    if (cancelled_ && share_.Withdraw()) End(Gone());
  }

  void Read() { StartRead(&chunk_); }

  void Store() {
    share_.Progress();
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
    if (!started_) {
      return End(cancelled_ ? Gone()
                            : absl::InvalidArgumentError("the upload has no first message"));
    }
    auto staged = edge_.drive().staging.Flush(owner_, digest_);
    if (!staged.ok()) return End(staged.status());
    *response_ = EncodeUploadAnswer({staged->offset, staged->complete});
    End(absl::OkStatus());
  }

  void End(const absl::Status& status) { EndCall(*this, *context_, timer_, status); }

  Edge& edge_;
  grpc::CallbackServerContext* context_;
  v1::UploadResponse* response_;
  const CallTimer timer_;
  Share share_;
  std::shared_ptr<UploadReactor> self_;
  std::atomic<bool> cancelled_{false};
  v1::UploadChunk chunk_;
  std::string owner_;
  Digest digest_;
  uint64_t total_size_ = 0;
  bool started_ = false;
};

class DownloadReactor : public grpc::ServerWriteReactor<v1::DownloadChunk>,
                        public std::enable_shared_from_this<DownloadReactor> {
 public:
  DownloadReactor(Edge& edge, const DirectDownloads& direct, grpc::CallbackServerContext* context,
                  const v1::DownloadRequest* request)
      : edge_(edge),
        direct_(direct),
        context_(context),
        request_(request),
        timer_(edge.counters(), kDownload),
        share_(edge, context) {}

  void Begin() {
    self_ = shared_from_this();
    absl::Status entered = edge_.Enter(*context_, [self = self_] { self->Open(); });
    if (!entered.ok()) End(entered);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return End(Gone());
    share_.Progress();
    edge_.executor().Continue([self = self_] { self->Next(); });
  }
  void OnCancel() override {
    cancelled_ = true;
    if (share_.Withdraw()) End(Gone());
  }
  void OnDone() override {
    share_.Release();
    self_.reset();
  }

 private:
  void Open() {
    if (absl::Status status = TryOpen(); !status.ok()) return End(status);
    // The bytes flow elsewhere: no share of what flows here.
    if (!message_.url().empty()) return StartWrite(&message_);
    absl::Status asked = share_.Ask(self_, &DownloadReactor::Next);
    if (!asked.ok()) return End(asked);
    if (cancelled_ && share_.Withdraw()) End(Gone());
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
    if (range.accept_url && offset_ < reader_->size()) FindUrl(range.digest);
    return absl::OkStatus();
  }

  // A large blob's own URL, where the store has one: then its bytes need not pass through here.
  void FindUrl(const Digest& digest) {
    if (direct_.above_bytes == 0 || reader_->size() <= direct_.above_bytes) return;
    const auto url = PresignBlob(edge_.drive().blobs, digest, direct_.lifetime);
    if (!url.ok()) {
      return LogWarning("no URL for a direct download: the coordinator sends the blob itself",
                        {{"digest", digest.hex()}, {"error", std::string(url.status().message())}});
    }
    if (!url->has_value()) return;
    message_ =
        EncodeDownloadChunk({.total_size = reader_->size(), .chunk = {offset_, {}}, .url = **url});
    offset_ = reader_->size();  // nothing follows
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

  void End(const absl::Status& status) { EndCall(*this, *context_, timer_, status); }

  Edge& edge_;
  const DirectDownloads direct_;
  grpc::CallbackServerContext* context_;
  const v1::DownloadRequest* request_;
  const CallTimer timer_;
  Share share_;
  std::shared_ptr<DownloadReactor> self_;
  std::atomic<bool> cancelled_{false};
  std::unique_ptr<BlobReader> reader_;
  uint64_t offset_ = 0;
  std::vector<char> buffer_;
  v1::DownloadChunk message_;
};

template <typename Stream>
auto* Begin(std::shared_ptr<Stream> stream) {
  stream->Begin();
  return stream.get();
}

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
  return Begin(std::make_shared<UploadReactor>(edge_, context, response));
}

grpc::ServerWriteReactor<v1::DownloadChunk>* BlobServiceImpl::Download(
    grpc::CallbackServerContext* context, const v1::DownloadRequest* request) {
  return Begin(std::make_shared<DownloadReactor>(edge_, direct_, context, request));
}

}  // namespace muster
