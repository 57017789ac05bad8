#include "client/agent/agent.h"

#include <fcntl.h>
#include <grpcpp/client_context.h>
#include <malloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <utility>

#include "client/agent/blob_cache.h"
#include "client/agent/bounds.h"
#include "client/agent/eligibility.h"
#include "client/agent/hosted_serving.h"
#include "client/agent/journal.h"
#include "client/agent/packages.h"
#include "client/agent/reconciler.h"
#include "client/agent/runner.h"
#include "client/agent/secagg_identity.h"
#include "client/agent/secure_update.h"
#include "client/agent/state_dir.h"
#include "client/agent/task_thread.h"
#include "client/agent/text.h"
#include "client/functions/function_host.h"
#include "client/identity/channel.h"
#include "client/identity/device_identity.h"
#include "client/identity/trust_check.h"
#include "client/sandbox/worker_pool.h"
#include "proto/codec/device_codec.h"
#include "proto/core/files.h"
#include "proto/core/log.h"
#include "proto/core/retry_after.h"
#include "proto/core/status.h"
#include "proto/transport/retry_hint.h"

namespace muster {
namespace {

using text::Cat;
using text::View;

// After a durable write failed, the same step is tried again this much later.
constexpr Duration kStorageRetry = std::chrono::seconds(1);
constexpr auto kCheckInSlack = std::chrono::seconds(10);  // beyond the time it may be held
constexpr std::chrono::milliseconds kExplainTimeout{2000};

std::filesystem::path Beside(const std::filesystem::path& configured, std::string_view name) {
  if (!configured.empty()) return configured;
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / name;
}

absl::StatusOr<UniqueFd> LockStateDir(const StateDir& dir) {
  UniqueFd fd(open(dir.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return ErrnoStatus(errno, "opening", dir.lock());
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::AlreadyExistsError(Cat("another muster-client runs on ", dir.root.string(),
                                        ": end it, or give this one a state_dir of its own"));
  }
  return fd;
}

}  // namespace

struct Agent::Impl {
  ClientConfig config;
  Pace pace;
  StateDir dir;
  UniqueFd lock, wake;
  DeviceIdentity identity;
  std::unique_ptr<Journal> journal;
  std::unique_ptr<BlobCache> cache;
  std::unique_ptr<WorkerPool> workers;
  std::unique_ptr<HostedServing> serving;
  std::unique_ptr<PackageLoader> packages;
  std::unique_ptr<SecureUpdate> secure;
  std::unique_ptr<Runner> runner;
  std::unique_ptr<Reconciler> reconciler;
  std::unique_ptr<DataProbe> data;
  SystemClock clock;
  SystemRandom random;
  std::mutex uplink_mutex;
  Uplink uplink_now;
  bool trust_explained = false;  // on the line

  std::mutex events_mutex;
  std::deque<AgentEvent> events;
  AgentState state;
  TaskThread line, lane;

  absl::Status Open();
  absl::Status OpenParts();
  absl::Status Recover();
  absl::Status Connect();
  absl::Status WriteAgentJson();
  Uplink uplink() {
    std::lock_guard guard(uplink_mutex);
    return uplink_now;
  }

  void Post(AgentEvent event) {
    {
      std::lock_guard guard(events_mutex);
      events.push_back(std::move(event));
    }
    eventfd_write(wake.get(), 1);
  }
  std::deque<AgentEvent> TakeEvents() {
    std::lock_guard guard(events_mutex);
    return std::exchange(events, {});
  }

  absl::Status Take(const AgentEvent& event);
  absl::Status Adopt(AgentTransition transition);
  absl::Status Persist(const AgentEffect& effect);
  void Perform(const AgentEffect& effect);
  absl::Status Loop(int stop_fd);

  AgentEvent DoCheckIn(const AskCoordinator& ask, const Bounds& bounds);
  void TakeTrust(const TrustUpdate& update);
  absl::Status ExplainFailure(const absl::Status& status);
  AgentEvent DoExecute(const Invocation& invocation, const Bounds& bounds);
  AgentEvent DoSend(const InvocationId& id, const Bounds& bounds);
  AgentEvent DoReconcile(const DesiredState& desired, const Bounds& bounds);
  AgentEvent DoReport(const Bounds& bounds);
  AgentEvent DoRenew();
  AgentEvent DoReload();
};

namespace {

Validity ValidityOf(const DeviceIdentity& identity) {
  return {identity.not_before, identity.not_after};
}

// The pause that the coordinator asks for.
Duration Asked(const absl::Status& status) { return RetryAfter(status).value_or(Duration::zero()); }

bool IsDurable(const AgentEffect& effect) {
  return std::holds_alternative<RememberInvocation>(effect) ||
         std::holds_alternative<RememberDesired>(effect) ||
         std::holds_alternative<StoreFailure>(effect) ||
         std::holds_alternative<ForgetInvocation>(effect);
}

}  // namespace

absl::Status Agent::Impl::Open() {
  MUSTER_ASSIGN_OR_RETURN(identity, LoadIdentity(dir.root));
  if (config.coordinator.empty()) {
    return absl::InvalidArgumentError(
        "no coordinator: set it in the file, with --coordinator, or with MUSTER_COORDINATOR");
  }
  MUSTER_ASSIGN_OR_RETURN(lock, LockStateDir(dir));
  wake = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return ErrnoStatus(errno, "making an eventfd for", dir.root);
  std::error_code error;
  std::filesystem::create_directories(dir.work(), error);
  if (error) return ErrnoStatus(error.value(), "creating", dir.work());
  MUSTER_RETURN_IF_ERROR(OpenParts());
  // Serving comes first: it needs nobody else.
  MUSTER_RETURN_IF_ERROR(reconciler->Restore());
  MUSTER_RETURN_IF_ERROR(WriteAgentJson());
  MUSTER_RETURN_IF_ERROR(runner->Recover());
  MUSTER_RETURN_IF_ERROR(Connect());
  return Recover();
}

absl::Status Agent::Impl::OpenParts() {
  MUSTER_ASSIGN_OR_RETURN(journal, Journal::Open(dir.journal()));
  MUSTER_ASSIGN_OR_RETURN(cache, BlobCache::Open(dir.cache(), config.cache_bytes));
  MUSTER_ASSIGN_OR_RETURN(
      std::unique_ptr<FunctionHost> host,
      FunctionHost::Start({.listen_address = config.serving.address,
                           .port = config.serving.port,
                           .infer_binary = Beside(config.serving.binary, "muster-infer"),
                           .idle_timeout = config.serving.idle_timeout,
                           .min_instances = config.serving.min_instances,
                           .max_instances = config.serving.max_instances}));
  serving = std::make_unique<HostedServing>(std::move(host));
  workers = std::make_unique<WorkerPool>(
      WorkerPoolOptions{.worker_binary = Beside(config.worker.binary, "muster-worker"),
                        .idle_timeout = config.worker.idle_timeout});
  RunWorker run = [this](const worker::v1::WorkerRequest& request, const Bounds& bounds) {
    std::stop_callback cancel(bounds.stop, [&] { workers->Cancel(request.invocation()); });
    return workers->Run(request);
  };
  MUSTER_ASSIGN_OR_RETURN(PackageVerifier verifier,
                          PackageVerifier::FromPublicKeyPem(identity.package_key_pem));
  packages = std::make_unique<PackageLoader>(std::move(verifier), *cache, *journal);
  const FunctionSettings settings{ToDataSource(config.data), config.worker.memory_bytes};
  secure = std::make_unique<SecureUpdate>(dir, *journal, random, clock);
  runner = std::make_unique<Runner>(dir, settings, *journal, *packages, run, *secure);
  reconciler = std::make_unique<Reconciler>(dir, identity.id, settings, *journal, *cache, *packages,
                                            run, *serving);
  data = std::make_unique<DataProbe>(config.data);
  return absl::OkStatus();
}

absl::Status Agent::Impl::Recover() {
  Recovered recovered;
  recovered.identity = ValidityOf(identity);
  MUSTER_ASSIGN_OR_RETURN(const std::vector<JournalEntry> unfinished, journal->Unfinished());
  for (const JournalEntry& entry : unfinished) {
    recovered.unfinished.push_back({entry.invocation, entry.stage});
  }
  MUSTER_ASSIGN_OR_RETURN(const std::optional<DesiredState> desired, journal->Desired());
  MUSTER_ASSIGN_OR_RETURN(const uint64_t applied, journal->Applied());
  if (desired) {
    recovered.told_generation = desired->generation;
    if (applied < desired->generation) recovered.desired = desired;
    recovered.report_due = true;
  }
  MUSTER_ASSIGN_OR_RETURN(const std::vector<GoodModel> good, journal->GoodModels());
  // What should be served but could not be restored is made again.
  if (desired && !recovered.desired && good.size() != desired->models.size()) {
    recovered.desired = desired;
  }
  return Adopt(StartAgent(pace, recovered, clock.Now(), random));
}

absl::Status Agent::Impl::Connect() {
  auto channel = ConnectCoordinator(config.coordinator, identity);
  if (!channel.ok()) {
    // An expired certificate: the device serves on, and the step function says so.
    if (identity.Expired(clock.Now())) return absl::OkStatus();
    return channel.status();
  }
  MUSTER_ASSIGN_OR_RETURN(auto signer, SecAggIdentity::From(identity, clock));
  std::lock_guard guard(uplink_mutex);
  uplink_now = MakeUplink(
      *std::move(channel), std::move(signer),
      {.direct = config.downloads.direct,
       .urls = {.ca_file = config.downloads.ca_file, .plain_http = config.downloads.plain_http}});
  return absl::OkStatus();
}

absl::Status Agent::Impl::WriteAgentJson() {
  const nlohmann::json json = {{"pid", getpid()}, {"inference_port", serving->port()}};
  return WriteFileDurably(dir.agent_json(), json.dump() + "\n");
}

// One step: durable effects first; the new state counts only after them.
absl::Status Agent::Impl::Take(const AgentEvent& event) {
  return Adopt(Step(pace, state, event, clock.Now(), random));
}

absl::Status Agent::Impl::Adopt(AgentTransition transition) {
  for (const AgentEffect& effect : transition.effects) {
    if (IsDurable(effect)) MUSTER_RETURN_IF_ERROR(Persist(effect));
  }
  state = std::move(transition.next);
  for (const AgentEffect& effect : transition.effects) Perform(effect);
  return absl::OkStatus();
}

absl::Status Agent::Impl::Persist(const AgentEffect& effect) {
  if (const auto* remember = std::get_if<RememberInvocation>(&effect)) {
    return journal->Receive(remember->invocation);
  }
  if (const auto* remember = std::get_if<RememberDesired>(&effect)) {
    return journal->SetDesired(remember->desired);
  }
  if (const auto* failure = std::get_if<StoreFailure>(&effect)) {
    return runner->StoreFailure(failure->id, failure->reason);
  }
  const auto& forget = std::get<ForgetInvocation>(effect);
  return runner->Forget(forget.id, forget.reason);
}

void Agent::Impl::Perform(const AgentEffect& effect) {
  auto start = [this](TaskThread& thread, auto task) {
    thread.Run([this, task = std::move(task)](std::stop_token stop) {
      AgentEvent event = task(Bounds{.stop = stop});
      malloc_trim(0);  // an idle agent is small
      Post(std::move(event));
    });
  };
  if (const auto* ask = std::get_if<AskCoordinator>(&effect)) {
    start(line, [this, ask = *ask](const Bounds& b) { return DoCheckIn(ask, b); });
  } else if (const auto* execute = std::get_if<Execute>(&effect)) {
    start(lane, [this, i = execute->invocation](const Bounds& b) { return DoExecute(i, b); });
  } else if (const auto* send = std::get_if<SendAnswer>(&effect)) {
    start(lane, [this, id = send->id](const Bounds& b) { return DoSend(id, b); });
  } else if (const auto* reconcile = std::get_if<Reconcile>(&effect)) {
    start(lane, [this, d = reconcile->desired](const Bounds& b) { return DoReconcile(d, b); });
  } else if (std::holds_alternative<SendReport>(effect)) {
    start(lane, [this](const Bounds& b) { return DoReport(b); });
  } else if (std::holds_alternative<Renew>(effect)) {
    start(line, [this](const Bounds&) { return DoRenew(); });
  } else if (std::holds_alternative<Reload>(effect)) {
    start(line, [this](const Bounds&) { return DoReload(); });
  } else if (std::holds_alternative<CollectMetering>(effect)) {
    auto collected = reconciler->CollectMetering();
    if (collected.ok() && *collected) Post(ReportWanted{});
  } else if (const auto* say = std::get_if<Say>(&effect)) {
    Log(say->level, say->text);
  }
}

absl::Status Agent::Impl::Loop(int stop_fd) {
  std::deque<AgentEvent> todo;
  Timestamp not_before{};
  for (;;) {
    for (AgentEvent& event : TakeEvents()) todo.push_back(std::move(event));
    const Timestamp now = clock.Now();
    while (now >= not_before && !todo.empty()) {
      if (absl::Status status = Take(todo.front()); !status.ok()) {
        LogError("the journal cannot be written", {{"error", View(status.message())}});
        not_before = now + kStorageRetry;
        break;
      }
      todo.pop_front();
    }
    if (todo.empty() && clock.Now() >= NextWake(pace, state)) todo.push_back(Woken{});
    const Timestamp until = todo.empty() ? NextWake(pace, state) : not_before;
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(
        std::clamp(until - clock.Now(), Duration(0), Duration(std::chrono::hours(1))));
    pollfd watched[] = {{stop_fd, POLLIN, 0}, {wake.get(), POLLIN, 0}};
    const int ready = poll(watched, 2, static_cast<int>(wait.count()));
    if (ready < 0 && errno != EINTR) return ErrnoStatus(errno, "polling in", dir.root);
    if (ready > 0 && watched[0].revents != 0) return absl::OkStatus();
    eventfd_t ignored;
    if (ready > 0 && watched[1].revents != 0) eventfd_read(wake.get(), &ignored);
  }
}

AgentEvent Agent::Impl::DoCheckIn(const AskCoordinator& ask, const Bounds& bounds) {
  auto failed = [](const absl::Status& status) {
    return CheckInFailed{status.code(), std::string(status.message()), Asked(status)};
  };
  muster::CheckIn message;
  message.eligibility = MeasureEligibility(config.eligibility, Surroundings{}, *data, clock.Now());
  message.known_generation = ask.known_generation;
  message.wait = ask.wait;
  message.agent_version = kAgentVersion;
  message.trust_generation = identity.trust_generation;
  const Uplink link = uplink();
  if (link.device == nullptr) return failed(absl::UnavailableError("no channel"));
  grpc::ClientContext context;
  context.set_deadline(Bounds::Clock::now() + ask.wait + kCheckInSlack);
  std::stop_callback cancel(bounds.stop, [&] { context.TryCancel(); });
  v1::CheckInResponse response;
  const absl::Status status =
      FromWire(context, link.device->CheckIn(&context, EncodeCheckIn(message), &response));
  if (!status.ok()) return failed(ExplainFailure(status));
  trust_explained = false;
  auto answer = DecodeCheckInAnswer(response);
  if (!answer.ok()) return failed(answer.status());
  // Before anything is done that others do with certificates of a new CA.
  if (answer->trust) TakeTrust(*answer->trust);
  CheckInAnswered event{{}, std::move(answer->desired), answer->next_check_in, answer->in_round};
  for (Invocation& invocation : answer->invocations) {
    auto entry = journal->Find(invocation.id);
    if (!entry.ok()) return failed(absl::ResourceExhaustedError(entry.status().message()));
    std::optional<Stage> stage;
    if (*entry) stage = (*entry)->stage;
    event.invocations.push_back({std::move(invocation), stage});
  }
  return event;
}

// What cannot be kept now is told again at the next check-in.
void Agent::Impl::TakeTrust(const TrustUpdate& update) {
  auto adopted = AdoptTrust(dir.root, identity, update);
  if (!adopted.ok()) {
    return LogError(
        "the CAs that the coordinator announced were not taken",
        {{"generation", update.generation}, {"error", View(adopted.status().message())}});
  }
  if (adopted->trust_generation == identity.trust_generation) return;
  identity = *std::move(adopted);
  const absl::Status connected = Connect();
  LogInfo("trusting what the coordinator announced",
          {{"generation", update.generation}, {"connected", connected.ok()}});
}

// A handshake that fails has no words of its own.
absl::Status Agent::Impl::ExplainFailure(const absl::Status& status) {
  if (!absl::IsUnavailable(status)) return status;
  const std::string why = ExplainTrust(config.coordinator, identity, clock.Now(), kExplainTimeout);
  if (why.empty()) return status;
  if (!std::exchange(trust_explained, true)) LogError("no trust", {{"error", why}});
  return absl::UnavailableError(why);
}

AgentEvent Agent::Impl::DoExecute(const Invocation& invocation, const Bounds& bounds) {
  LogInfo("running an invocation", {{"invocation", invocation.id.value()},
                                    {"function", FunctionName(invocation.function)},
                                    {"round", invocation.round}});
  const absl::Status status = runner->Execute(invocation, uplink(), bounds);
  if (status.ok()) return InvocationReady{invocation.id};
  return ExecutionBroke{invocation.id, std::string(status.message())};
}

AgentEvent Agent::Impl::DoSend(const InvocationId& id, const Bounds& bounds) {
  const absl::Status status = runner->SendAnswer(id, uplink(), bounds);
  if (status.ok()) return AnswerTaken{id};
  return AnswerFailed{id, status.code(), std::string(status.message()), Asked(status)};
}

AgentEvent Agent::Impl::DoReconcile(const DesiredState& desired, const Bounds& bounds) {
  auto retry = reconciler->Apply(desired, uplink(), bounds);
  if (!retry.ok()) {
    LogError("reconciling broke off", {{"error", View(retry.status().message())}});
  }
  return ReconcileEnded{desired.generation, !retry.ok() || *retry};
}

AgentEvent Agent::Impl::DoReport(const Bounds& bounds) {
  auto more = reconciler->Report(uplink(), bounds, random);
  if (more.ok()) return ReportSent{*more};
  return ReportFailed{more.status().code(), std::string(more.status().message()),
                      Asked(more.status())};
}

AgentEvent Agent::Impl::DoRenew() {
  auto renewed = RenewIdentity(dir.root, config.coordinator);
  absl::Status status = renewed.status();
  if (renewed.ok()) {
    identity = *std::move(renewed);
    status = Connect();
  }
  if (status.ok()) return IdentityLoaded{ValidityOf(identity)};
  return RenewalFailed{status.code(), std::string(status.message()), Asked(status)};
}

AgentEvent Agent::Impl::DoReload() {
  auto loaded = LoadIdentity(dir.root);
  absl::Status status = loaded.status();
  if (loaded.ok()) {
    identity = *std::move(loaded);
    status = Connect();
  }
  if (status.ok()) return IdentityLoaded{ValidityOf(identity)};
  return RenewalFailed{status.code(), std::string(status.message()), Asked(status)};
}

Agent::Agent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Agent::~Agent() = default;

absl::StatusOr<std::unique_ptr<Agent>> Agent::Start(const ClientConfig& config, const Pace& pace) {
  auto impl = std::make_unique<Impl>();
  impl->config = config;
  impl->pace = pace;
  impl->dir.root = config.state_dir;
  MUSTER_RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<Agent>(new Agent(std::move(impl)));
}

uint16_t Agent::inference_port() const { return impl_->serving->port(); }

absl::Status Agent::Run(int stop_fd) {
  malloc_trim(0);
  const absl::Status status = impl_->Loop(stop_fd);
  impl_->line.Stop();
  impl_->lane.Stop();
  auto collected = impl_->reconciler->CollectMetering();
  if (!collected.ok()) {
    LogWarning("the last metering was not stored", {{"error", View(collected.status().message())}});
  }
  return status;
}

}  // namespace muster
