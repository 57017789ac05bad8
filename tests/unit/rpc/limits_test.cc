// What the real server refuses when it is asked for too much, and what it says then.
#include <gmock/gmock.h>

#include <condition_variable>
#include <mutex>

#include "coordinator/listen/bind.h"
#include "muster/v1/blob.grpc.pb.h"
#include "muster/v1/enrolment.grpc.pb.h"
#include "muster/v1/operator.grpc.pb.h"
#include "proto/codec/blob_codec.h"
#include "proto/core/retry_after.h"
#include "tests/unit/rpc/wire_fixture.h"

namespace muster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// One upload, driven message by message.
class Uploading {
 public:
  Uploading(const std::shared_ptr<grpc::Channel>& channel, const std::string& bytes)
      : stub_(v1::BlobService::NewStub(channel)), bytes_(bytes), digest_(Sha256(bytes)) {
    context_.set_deadline(std::chrono::system_clock::now() + seconds(60));
    stream_ = stub_->Upload(&context_, &response_);
  }
  // Up to `end`. What waits for its turn is held up in the connection, so this returns.
  void Send(size_t begin, size_t end) {
    const BlobChunk chunk{begin, std::string_view(bytes_).substr(begin, end - begin)};
    stream_->Write(begin == 0 ? EncodeUploadStart({digest_, bytes_.size(), chunk})
                              : EncodeUploadChunk(chunk));
  }
  absl::Status Finish() {
    stream_->WritesDone();
    return FromWire(context_, stream_->Finish());
  }
  void Cancel() {
    context_.TryCancel();
    stream_->Finish();
  }
  const v1::UploadResponse& response() const { return response_; }

 private:
  std::unique_ptr<v1::BlobService::Stub> stub_;
  grpc::ClientContext context_;
  const std::string bytes_;
  const Digest digest_;
  v1::UploadResponse response_;
  std::unique_ptr<grpc::ClientWriter<v1::UploadChunk>> stream_;
};

class LimitsTest : public WireTest {
 protected:
  absl::Status ListJobs(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(20));
    v1::ListJobsResponse response;
    return FromWire(context,
                    v1::OperatorService::NewStub(channel)->ListJobs(&context, {}, &response));
  }
  absl::Status Enrol() {
    grpc::ClientContext context;
    v1::EnrolResponse response;
    return FromWire(
        context, v1::EnrolmentService::NewStub(As(std::nullopt))->Enrol(&context, {}, &response));
  }
  template <typename Condition>
  static void WaitUntil(Condition condition) {
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    while (!condition()) never.wait_for(lock, milliseconds(2));
  }
  static ByteBudget::Limits OneTransfer(size_t waiting) {
    return {.bytes = 1, .share = 1, .waiting = waiting, .stall = seconds(60)};
  }
};

TEST_F(LimitsTest, AnIdentityAboveItsRateIsToldWhenToComeBackAndOthersAreNot) {
  Serve({.callers = {.calls = {.per_second = 0.5, .burst = 2}}});
  const auto busy = As(Role::kOperator, "busy");
  EXPECT_TRUE(ListJobs(busy).ok());
  EXPECT_TRUE(ListJobs(busy).ok());
  const absl::Status refused = ListJobs(busy);
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(RetryAfter(refused), Duration(seconds(2)));
  EXPECT_THAT(refused.message(), testing::HasSubstr("try again in 2 s"));
  EXPECT_TRUE(ListJobs(As(Role::kOperator, "other")).ok());
  EXPECT_EQ(edge_->callers().identities().refused(), 1u);

  clock_.Advance(seconds(2));
  EXPECT_TRUE(ListJobs(busy).ok());
}

TEST_F(LimitsTest, EnrollingIsLimitedByAddress) {
  Serve({.callers = {.enrolments = {.per_second = 1, .burst = 2}}});
  EXPECT_TRUE(absl::IsInvalidArgument(Enrol()));  // an empty request; it was let in
  EXPECT_TRUE(absl::IsInvalidArgument(Enrol()));
  const absl::Status refused = Enrol();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(RetryAfter(refused), Duration(seconds(1)));
  EXPECT_TRUE(ListJobs(As(Role::kOperator)).ok()) << "identities have buckets of their own";
}

TEST_F(LimitsTest, AFullQueueRefusesWithAHint) {
  Serve({}, 1000, /*queue_limit=*/0);
  const absl::Status refused = ListJobs(As(Role::kOperator));
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(RetryAfter(refused), Duration(limits::kBusyRetry));
  EXPECT_EQ(executor_->refused(), 1u);
}

TEST_F(LimitsTest, AConnectionAboveTheLimitIsTurnedAway) {
  Serve({}, /*max_connections=*/1);
  const auto first = As(Role::kOperator, "first");
  EXPECT_TRUE(ListJobs(first).ok());
  EXPECT_TRUE(absl::IsUnavailable(ListJobs(As(Role::kOperator, "second"))));
  EXPECT_TRUE(ListJobs(first).ok());
  EXPECT_EQ(server_->acceptor().open(), 1u);
}

TEST_F(LimitsTest, TransfersWaitForTheirShareAndGetItInOrder) {
  Serve({.transfers = OneTransfer(10)});
  Uploading first(As(Role::kOperator, "first"), "first bytes");
  first.Send(0, 5);
  WaitUntil([&] { return edge_->transfers().bytes_held() == 1; });
  Uploading second(As(Role::kOperator, "second"), "second bytes");
  second.Send(0, 12);
  WaitUntil([&] { return edge_->transfers().waiting() == 1; });

  first.Send(5, 11);
  EXPECT_TRUE(first.Finish().ok());
  EXPECT_TRUE(first.response().complete());
  EXPECT_TRUE(second.Finish().ok());
  EXPECT_TRUE(second.response().complete());
  WaitUntil([&] { return edge_->transfers().bytes_held() == 0; });
}

TEST_F(LimitsTest, ATransferThatFindsTheLineFullIsToldToComeBack) {
  Serve({.transfers = OneTransfer(0)});
  Uploading first(As(Role::kOperator, "first"), "first bytes");
  first.Send(0, 5);
  WaitUntil([&] { return edge_->transfers().bytes_held() == 1; });
  Uploading second(As(Role::kOperator, "second"), "second bytes");
  const absl::Status refused = second.Finish();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(RetryAfter(refused), Duration(limits::kBusyRetry));
  first.Cancel();
}

TEST_F(LimitsTest, ACallerThatLeavesWhileItWaitsLeavesTheLine) {
  Serve({.transfers = OneTransfer(10)});
  Uploading first(As(Role::kOperator, "first"), "first bytes");
  first.Send(0, 5);
  WaitUntil([&] { return edge_->transfers().bytes_held() == 1; });
  Uploading second(As(Role::kOperator, "second"), "second bytes");
  second.Send(0, 12);
  WaitUntil([&] { return edge_->transfers().waiting() == 1; });
  second.Cancel();
  WaitUntil([&] { return edge_->transfers().waiting() == 0; });
  first.Send(5, 11);
  EXPECT_TRUE(first.Finish().ok());
  WaitUntil([&] { return counters_.open() == 0; });
}

TEST_F(LimitsTest, AStreamThatStandsStillIsCutWhenAnotherWaitsAndMayComeAgain) {
  Serve({.transfers = OneTransfer(10)});
  const auto slow = As(Role::kOperator, "slow");
  Uploading stalled(slow, "slow bytes");
  WaitUntil([&] { return edge_->transfers().bytes_held() == 1; });
  clock_.Advance(seconds(61));
  Uploading next(As(Role::kOperator, "next"), "next bytes");
  next.Send(0, 10);
  EXPECT_TRUE(next.Finish().ok());
  EXPECT_TRUE(absl::IsCancelled(stalled.Finish()));
  EXPECT_EQ(edge_->transfers().evicted(), 1u);

  Uploading again(slow, "slow bytes");
  again.Send(0, 10);
  EXPECT_TRUE(again.Finish().ok());
  EXPECT_TRUE(again.response().complete());
}

TEST_F(LimitsTest, DownloadsShareTheSameBudget) {
  Serve({.transfers = OneTransfer(0)});
  const Digest digest = PutBlob(*blobs_, "some bytes").value();
  Uploading first(As(Role::kOperator, "first"), "first bytes");
  first.Send(0, 5);
  WaitUntil([&] { return edge_->transfers().bytes_held() == 1; });
  auto stub = v1::BlobService::NewStub(As(Role::kOperator, "reader"));
  const auto download = [&] {
    grpc::ClientContext context;
    auto stream = stub->Download(&context, EncodeDownload({.digest = digest, .offset = 0}));
    v1::DownloadChunk chunk;
    while (stream->Read(&chunk)) {
    }
    return FromWire(context, stream->Finish());
  };
  EXPECT_TRUE(absl::IsResourceExhausted(download()));
  first.Cancel();
  WaitUntil([&] { return edge_->transfers().bytes_held() == 0; });
  EXPECT_TRUE(download().ok());
}

TEST_F(LimitsTest, AServerOnAnInheritedSocketAnswersThereOverTls) {
  auto sockets = BindListeners("127.0.0.1:0").value();
  const int port = PortOf(sockets[0].get());
  Serve({}, 1000, 100, std::move(sockets));
  EXPECT_EQ(server_->port(), port);
  EXPECT_TRUE(ListJobs(As(Role::kOperator)).ok());
}

}  // namespace
}  // namespace muster
