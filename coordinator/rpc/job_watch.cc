#include "coordinator/rpc/job_watch.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "coordinator/rpc/views.h"
#include "proto/codec/operator_codec.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {
namespace {

constexpr char kWatchJob[] = "muster.v1.OperatorService/WatchJob";
// Changes that another replica made are seen by looking again.
constexpr Duration kLookAgain = std::chrono::milliseconds(500);
// Rounds before the newest whose evaluation may still come; earlier ones are not sent again.
constexpr uint32_t kStillChanging = 64;

class JobWatch : public grpc::ServerWriteReactor<v1::GetJobResponse>,
                 public std::enable_shared_from_this<JobWatch> {
 public:
  JobWatch(Edge& edge, grpc::CallbackServerContext* context, const v1::GetJobRequest* request)
      : edge_(edge), context_(context), request_(request), timer_(edge.counters(), kWatchJob) {}

  void Begin() {
    self_ = shared_from_this();
    absl::Status entered = edge_.Enter(*context_, [self = self_] { self->Admit(); });
    if (!entered.ok()) End(entered);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return End(absl::CancelledError("the caller went away"));
    edge_.executor().Continue([self = self_] { self->AfterWrite(); });
  }
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override { self_.reset(); }

 private:
  void Admit() {
    auto caller = edge_.Admit(*context_, kWatchJob);
    if (!caller.ok()) return End(caller.status());
    auto query = DecodeGetJob(*request_);
    if (!query.ok()) return End(query.status());
    job_ = query->job;
    from_round_ = query->from_round;
    Look();
  }

  void Look() {
    if (cancelled_) return End(absl::CancelledError("the caller went away"));
    if (stopping_) return End(absl::UnavailableError("the coordinator is stopping; watch again"));
    version_ = edge_.drive().wakeups.version(JobKey(job_));
    v1::GetJobResponse now;
    absl::Status status = edge_.drive().store.Read([&](const StoreReader& reader) -> absl::Status {
      MUSTER_ASSIGN_OR_RETURN(now, DescribeJob(reader, job_, from_round_));
      return absl::OkStatus();
    });
    if (!status.ok()) return End(status);
    std::string bytes = now.SerializeAsString();
    if (bytes == last_) return Wait();
    last_ = std::move(bytes);
    message_ = std::move(now);
    StartWrite(&message_);
  }

  void AfterWrite() {
    const auto& rounds = message_.rounds();
    if (!rounds.empty()) {
      const uint32_t newest = rounds[rounds.size() - 1].number();
      if (newest > kStillChanging) from_round_ = std::max(from_round_, newest - kStillChanging);
    }
    const bool more = static_cast<size_t>(rounds.size()) == limits::kMaxPageSize;
    if (more) return Look();
    const v1::JobPhase phase = message_.job().phase();
    const bool running = phase == v1::JOB_PHASE_RUNNING || phase == v1::JOB_PHASE_FINISHING;
    if (!running) return End(absl::OkStatus());
    Wait();
  }

  void Wait() {
    edge_.drive().wakeups.WaitFor(JobKey(job_), version_, kLookAgain,
                                  [self = shared_from_this()](WakeUps::Reason reason) {
                                    if (reason == WakeUps::Reason::kShutdown)
                                      self->stopping_ = true;
                                    self->edge_.executor().Wake([self] { self->Look(); });
                                  });
  }

  void End(const absl::Status& status) { EndCall(*this, *context_, timer_, status); }

  Edge& edge_;
  grpc::CallbackServerContext* context_;
  const v1::GetJobRequest* request_;
  const CallTimer timer_;
  std::shared_ptr<JobWatch> self_;
  JobId job_;
  uint32_t from_round_ = 0;
  uint64_t version_ = 0;
  std::string last_;
  v1::GetJobResponse message_;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> stopping_{false};
};

}  // namespace

grpc::ServerWriteReactor<v1::GetJobResponse>* MakeJobWatch(Edge& edge,
                                                           grpc::CallbackServerContext* context,
                                                           const v1::GetJobRequest* request) {
  auto watch = std::make_shared<JobWatch>(edge, context, request);
  watch->Begin();
  return watch.get();
}

}  // namespace muster
