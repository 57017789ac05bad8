#include "client/functions/function_pool.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "client/functions/spawn.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {

using std::chrono::duration_cast;
using std::chrono::microseconds;

namespace {

constexpr int kMaxAttempts = 2;  // a call whose process died is tried once more: inference is pure
constexpr size_t kWarmCalls = 21;  // measured after the first
constexpr auto kStartDeadline = std::chrono::seconds(10);
constexpr auto kEndDeadline = std::chrono::seconds(2);  // for a process to leave by itself
constexpr size_t kMaxReplyBytes = 2 * kMaxInferBodyBytes;
constexpr char kRetryAfterSeconds[] = "1";

}  // namespace

struct FunctionPool::Instance {
  Instance(boost::asio::io_context& io, std::shared_ptr<const Deployment> deployment_in,
           ChildProcess child)
      : deployment(std::move(deployment_in)),
        pid(child.pid),
        connection(io, std::move(child.connection), kMaxReplyBytes),
        timer(io) {}
  ~Instance() {
    if (!reaped) ReapChild(pid);
  }
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const std::shared_ptr<const Deployment> deployment;
  const pid_t pid;
  HttpConnection connection;
  boost::asio::steady_timer timer;  // idle, or ending
  uint64_t cpu_us = 0;              // metered so far
  bool busy = false, warming = false, ending = false, reaped = false;
};

struct FunctionPool::PendingCall {
  PendingCall(boost::asio::io_context& io, HttpRequest request_in, Responder respond_in)
      : request(std::move(request_in)), respond(std::move(respond_in)), deadline(io) {}

  // Once; later answers are dropped.
  void Answer(HttpReply reply) {
    deadline.cancel();
    if (auto answer = std::exchange(respond, nullptr)) answer(std::move(reply));
  }
  bool answered() const { return respond == nullptr; }

  HttpRequest request;
  Responder respond;
  boost::asio::steady_timer deadline;
  InstancePtr instance;  // that works on it
  int attempts = 0;
};

struct FunctionPool::WarmUp {
  InstancePtr instance;
  HttpRequest request;
  DeployCallback done;
  Clock::time_point started;  // of the process, then of each call
  DeployReport report;
  std::vector<double> latencies_us;
};

FunctionPool::FunctionPool(boost::asio::io_context& io, const FunctionHostOptions& options,
                           std::string name)
    : io_(io), options_(options), name_(std::move(name)) {}

FunctionPool::~FunctionPool() = default;

void FunctionPool::Tell(FunctionEvent::Kind kind, const Instance* instance) {
  if (!options_.on_event) return;
  FunctionEvent event{kind, name_};
  if (instance != nullptr) {
    event.version = instance->deployment->version;
    event.pid = instance->pid;
  } else if (active_ != nullptr) {
    event.version = active_->version;
  }
  event.instances = instances_.size();
  event.queued = queue_.size();
  options_.on_event(event);
}

absl::StatusOr<FunctionPool::InstancePtr> FunctionPool::StartInstance(
    std::shared_ptr<const Deployment> deployment) {
  MUSTER_ASSIGN_OR_RETURN(ChildProcess child,
                          SpawnChild(options_.infer_binary,
                                     {"--model", deployment->file.string(), "--name", name_,
                                      "--version", deployment->served.version, "--connection-fd",
                                      StrCat(kChildConnectionFd), "--parent", StrCat(getpid())}));
  ++metering_.cold_starts;
  auto instance = std::make_shared<Instance>(io_, std::move(deployment), std::move(child));
  instances_.insert(instance);
  Tell(FunctionEvent::Kind::kStarted, instance.get());
  return instance;
}

size_t FunctionPool::ServingCount() const {
  return static_cast<size_t>(
      std::count_if(instances_.begin(), instances_.end(), [&](const InstancePtr& instance) {
        return instance->deployment == active_ && !instance->ending && !instance->warming;
      }));
}

FunctionPool::InstancePtr FunctionPool::FindIdle() const {
  for (const InstancePtr& instance : instances_) {
    if (instance->deployment == active_ && !instance->busy && !instance->ending &&
        !instance->warming) {
      return instance;
    }
  }
  return nullptr;
}

void FunctionPool::Call(HttpRequest request, Responder respond) {
  auto call = std::make_shared<PendingCall>(io_, std::move(request), std::move(respond));
  if (active_ == nullptr) return call->Answer(ErrorReply(404, StrCat("no model ", name_)));
  if (queue_.size() >= options_.queue_limit && FindIdle() == nullptr &&
      ServingCount() >= options_.max_instances) {
    HttpReply busy = ErrorReply(429, StrCat("model ", name_, " is busy and ", queue_.size(),
                                            " calls wait; try again in a moment"));
    busy.headers.emplace_back("Retry-After", kRetryAfterSeconds);
    call->Answer(std::move(busy));
    return Tell(FunctionEvent::Kind::kRefused);
  }
  call->deadline.expires_after(options_.call_deadline);
  call->deadline.async_wait([weak = weak_from_this(), call](boost::system::error_code error) {
    auto self = weak.lock();
    if (self && !error && !call->answered()) self->OnDeadline(call);
  });
  queue_.push_back(call);
  Pump();
  if (!queue_.empty()) Tell(FunctionEvent::Kind::kQueued);
}

void FunctionPool::Pump() {
  while (!queue_.empty() && active_ != nullptr) {
    InstancePtr instance = FindIdle();
    if (instance == nullptr && ServingCount() < options_.max_instances) {
      auto started = StartInstance(active_);
      if (!started.ok()) {
        LogError("starting an inference function failed",
                 {{"model", name_}, {"error", StdView(started.status().message())}});
        const CallPtr call = queue_.front();
        queue_.pop_front();
        call->Answer(ErrorReply(
            503, StrCat("model ", name_, " cannot start: ", StdView(started.status().message()))));
        continue;
      }
      instance = *std::move(started);
    }
    if (instance == nullptr) return;
    const CallPtr call = queue_.front();
    queue_.pop_front();
    Dispatch(instance, call);
  }
}

void FunctionPool::Dispatch(const InstancePtr& instance, const CallPtr& call) {
  instance->busy = true;
  instance->timer.cancel();
  call->instance = instance;
  ++call->attempts;
  metering_.bytes_in += call->attempts == 1 ? call->request.body.size() : 0;
  HttpRequest request = call->attempts < kMaxAttempts ? call->request : std::move(call->request);
  instance->connection.Call(std::move(request),
                            [weak = weak_from_this(), instance, call,
                             started = Clock::now()](absl::StatusOr<HttpReply> reply) {
                              if (auto self = weak.lock())
                                self->OnReply(instance, call, started, std::move(reply));
                            });
}

void FunctionPool::OnReply(const InstancePtr& instance, const CallPtr& call,
                           Clock::time_point started, absl::StatusOr<HttpReply> reply) {
  call->instance = nullptr;
  instance->busy = false;
  if (!reply.ok()) {
    Reap(instance);
    if (call->answered()) {
      // Its deadline passed.
    } else if (call->attempts < kMaxAttempts) {
      queue_.push_front(call);
    } else {
      call->Answer(
          ErrorReply(502, StrCat("the process of model ", name_, " ended twice during this call")));
    }
    KeepWarm();
    return Pump();
  }
  MeterCpu(*instance, *reply);
  ++metering_.invocations;
  metering_.wall_us +=
      static_cast<uint64_t>(duration_cast<microseconds>(Clock::now() - started).count());
  metering_.bytes_out += reply->body.size();
  HttpReply relayed;
  relayed.status = reply->status;
  relayed.content_type = std::move(reply->content_type);
  relayed.body = std::move(reply->body);
  if (const auto length = FindHeader(reply->headers, kHeaderLengthField)) {
    relayed.headers.emplace_back(kHeaderLengthField, std::string(*length));
  }
  call->Answer(std::move(relayed));
  Rest(instance);
  Pump();
}

void FunctionPool::OnDeadline(const CallPtr& call) {
  std::erase(queue_, call);
  call->Answer(ErrorReply(504, StrCat("model ", name_, " did not answer within ",
                                      options_.call_deadline.count(), " ms")));
  // A process that is stuck on it must go; one that is merely late would answer nobody.
  if (const InstancePtr instance = std::exchange(call->instance, nullptr)) {
    Reap(instance);
    KeepWarm();
    Pump();
  }
}

void FunctionPool::MeterCpu(Instance& instance, const HttpReply& reply) {
  const auto text = FindHeader(reply.headers, kCpuField);
  uint64_t total = 0;
  if (!text) return;
  std::from_chars(text->data(), text->data() + text->size(), total);
  if (total <= instance.cpu_us) return;
  metering_.cpu_us += total - instance.cpu_us;
  instance.cpu_us = total;
}

void FunctionPool::Rest(const InstancePtr& instance) {
  if (instance->reaped) return;
  if (instance->deployment != active_) return End(instance);
  instance->connection.Watch([weak = weak_from_this(), weak_instance = std::weak_ptr(instance)] {
    auto self = weak.lock();
    auto idle = weak_instance.lock();
    if (!self || !idle) return;
    self->Reap(idle);
    self->KeepWarm();
  });
  ArmIdleTimer(instance);
}

void FunctionPool::ArmIdleTimer(const InstancePtr& instance) {
  instance->timer.expires_after(options_.idle_timeout);
  instance->timer.async_wait([weak = weak_from_this(), weak_instance = std::weak_ptr(instance)](
                                 boost::system::error_code error) {
    auto self = weak.lock();
    auto idle = weak_instance.lock();
    if (error || !self || !idle || idle->busy || idle->ending) return;
    if (self->ServingCount() > self->options_.min_instances) return self->End(idle);
    self->ArmIdleTimer(idle);
  });
}

void FunctionPool::End(const InstancePtr& instance) {
  if (instance->reaped || instance->ending) return;
  instance->ending = true;
  const auto gone = [weak = weak_from_this(), weak_instance = std::weak_ptr(instance)] {
    auto self = weak.lock();
    auto ended = weak_instance.lock();
    if (self && ended) self->Reap(ended);
  };
  instance->connection.Watch(gone);
  instance->connection.ShutdownWrite();
  instance->timer.expires_after(kEndDeadline);
  instance->timer.async_wait([gone](boost::system::error_code error) {
    if (!error) gone();
  });
}

void FunctionPool::Reap(const InstancePtr& instance) {
  if (std::exchange(instance->reaped, true)) return;
  instance->ending = true;
  instance->timer.cancel();
  const uint64_t cpu_us = ReapChild(instance->pid);
  if (cpu_us > instance->cpu_us) metering_.cpu_us += cpu_us - instance->cpu_us;
  instances_.erase(instance);
  Tell(FunctionEvent::Kind::kEnded, instance.get());
}

void FunctionPool::KeepWarm() {
  while (active_ != nullptr && ServingCount() < options_.min_instances) {
    auto started = StartInstance(active_);
    if (!started.ok()) return;  // the next call says why
    Rest(*started);
  }
}

void FunctionPool::Deploy(std::shared_ptr<const Deployment> deployment, DeployCallback done) {
  auto warm_up = std::make_shared<WarmUp>();
  warm_up->done = std::move(done);
  warm_up->started = Clock::now();
  const std::vector<float> zeros(deployment->served.input_size(), 0.0f);
  warm_up->request = WriteBinaryRequest(deployment->served, zeros, 1);
  auto instance = StartInstance(std::move(deployment));
  if (!instance.ok()) return warm_up->done(instance.status());
  warm_up->instance = *std::move(instance);
  warm_up->instance->warming = true;
  warm_up->instance->timer.expires_after(kStartDeadline);
  warm_up->instance->timer.async_wait(
      [weak = weak_from_this(), warm_up](boost::system::error_code error) {
        auto self = weak.lock();
        if (!self || error) return;
        self->FinishWarmUp(warm_up,
                           absl::FailedPreconditionError("its process did not answer in time"));
      });
  WarmUpStep(warm_up);
}

void FunctionPool::WarmUpStep(const std::shared_ptr<WarmUp>& warm_up) {
  warm_up->instance->connection.Call(
      warm_up->request, [weak = weak_from_this(), warm_up](absl::StatusOr<HttpReply> reply) {
        auto self = weak.lock();
        if (!self || warm_up->done == nullptr) return;
        const auto now = Clock::now();
        const double took_us =
            std::chrono::duration<double, std::micro>(now - warm_up->started).count();
        warm_up->started = now;
        if (!reply.ok()) {
          return self->FinishWarmUp(
              warm_up, absl::FailedPreconditionError("its process ended before it answered"));
        }
        self->MeterCpu(*warm_up->instance, *reply);
        if (reply->status != 200) {
          return self->FinishWarmUp(warm_up, absl::FailedPreconditionError(reply->body));
        }
        if (warm_up->report.cold_start_ms == 0) {
          warm_up->report.cold_start_ms = took_us / 1000;
        } else {
          warm_up->latencies_us.push_back(took_us);
        }
        if (warm_up->latencies_us.size() < kWarmCalls) return self->WarmUpStep(warm_up);
        auto& latencies = warm_up->latencies_us;
        std::nth_element(latencies.begin(), latencies.begin() + kWarmCalls / 2, latencies.end());
        warm_up->report.latency_us = latencies[kWarmCalls / 2];
        self->FinishWarmUp(warm_up, warm_up->report);
      });
}

void FunctionPool::FinishWarmUp(const std::shared_ptr<WarmUp>& warm_up,
                                absl::StatusOr<DeployReport> report) {
  auto done = std::exchange(warm_up->done, nullptr);
  if (done == nullptr) return;
  const InstancePtr instance = std::exchange(warm_up->instance, nullptr);
  instance->timer.cancel();
  instance->warming = false;
  if (!report.ok()) {
    Reap(instance);
    return done(report.status());
  }
  active_ = instance->deployment;
  Rest(instance);
  const auto instances = instances_;
  for (const InstancePtr& old : instances) {
    if (old->deployment != active_ && !old->busy && !old->warming) End(old);
  }
  Tell(FunctionEvent::Kind::kDeployed, instance.get());
  KeepWarm();
  Pump();
  done(report);
}

void FunctionPool::Close() {
  active_ = nullptr;
  for (const CallPtr& call : std::exchange(queue_, {})) {
    call->Answer(ErrorReply(404, StrCat("model ", name_, " has been removed")));
  }
  const auto instances = instances_;
  for (const InstancePtr& instance : instances) {
    if (!instance->busy && !instance->warming) End(instance);
  }
}

void FunctionPool::KillAll() {
  Close();
  const auto instances = instances_;
  for (const InstancePtr& instance : instances) Reap(instance);
}

FunctionMetering FunctionPool::DrainMetering() {
  metering_.model = name_;
  return std::exchange(metering_, {});
}

}  // namespace muster
