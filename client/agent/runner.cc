#include "client/agent/runner.h"

#include <grpcpp/client_context.h>

#include <cmath>
#include <set>
#include <utility>

#include "client/agent/core.h"
#include "client/agent/text.h"
#include "proto/codec/device_codec.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/transport/retry_hint.h"

namespace muster {
namespace {

using text::Cat;
using text::View;

constexpr char kPersonalFile[] = "personal.f32";

Bounds::Clock::time_point ToClock(Timestamp time) {
  return Bounds::Clock::time_point(
      std::chrono::duration_cast<Bounds::Clock::duration>(Duration(time.unix_us)));
}

// Worth another try with the same invocation; all else becomes its failure.
bool BreaksOff(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsUnavailable(status) || absl::IsAborted(status) ||
         IsRefusal(status.code());
}

}  // namespace

worker::v1::WorkerRequest MakeWorkerRequest(const StateDir& dir, const FunctionSettings& settings,
                                            const LoadedPackage& package,
                                            const std::string& invocation, const Bounds& bounds) {
  worker::v1::WorkerRequest request;
  request.set_invocation(invocation);
  request.set_manifest_path(package.manifest_file.path());
  request.set_weights_path(package.weights.path());
  if (package.module) request.set_module_path(package.module->path());
  // Parameters of another layout would be garbage in this one.
  const std::filesystem::path personal = dir.personal(package.manifest.name);
  std::error_code missing;
  const uint64_t bytes = std::filesystem::file_size(personal, missing);
  if (!missing && bytes == package.manifest.layout.total_size() * sizeof(float) &&
      HasPersonal(package.manifest.layout)) {
    request.set_personal_path(personal);
  }
  *request.mutable_data() = settings.data;
  request.set_output_dir(dir.work(invocation));
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(bounds.deadline - Bounds::Clock::now());
  request.set_deadline_ms(static_cast<uint64_t>(std::max<int64_t>(1, left.count())));
  request.set_memory_bytes(settings.memory_bytes);
  return request;
}

absl::Status WorkerStatus(const worker::v1::WorkerReply& reply) {
  using worker::v1::WorkerOutcome;
  switch (reply.outcome()) {
    case WorkerOutcome::WORKER_OUTCOME_DONE:
      return absl::OkStatus();
    case WorkerOutcome::WORKER_OUTCOME_DEADLINE:
      return absl::DeadlineExceededError(Cat("the function did not end in time ", reply.reason()));
    case WorkerOutcome::WORKER_OUTCOME_OUT_OF_MEMORY:
      return absl::FailedPreconditionError(
          Cat("the function needs more memory than worker.memory_bytes allows ", reply.reason()));
    case WorkerOutcome::WORKER_OUTCOME_KILLED:
      return absl::FailedPreconditionError(Cat("the function was killed: ", reply.reason()));
    default:
      return absl::FailedPreconditionError(Cat("the function failed: ", reply.reason()));
  }
}

absl::Status MakeWorkFolder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  std::filesystem::create_directories(folder, error);
  return error ? ErrnoStatus(error.value(), "creating", folder) : absl::OkStatus();
}

absl::Status InstallPersonalFile(const std::filesystem::path& from, const StateDir& dir,
                                 const ModelName& model) {
  std::error_code error;
  if (!std::filesystem::exists(from, error)) return absl::OkStatus();
  const std::filesystem::path to = dir.personal(model);
  std::filesystem::create_directories(to.parent_path(), error);
  std::filesystem::rename(from, to, error);
  if (error) return ErrnoStatus(error.value(), "keeping personal parameters in", to);
  return FsyncDirectory(to.parent_path());
}

bool HasPersonal(const ParameterLayout& layout) {
  for (const LayoutEntry& entry : layout.entries()) {
    if (entry.group == ParameterGroup::kPersonal) return true;
  }
  return false;
}

Metrics ReadMetrics(const worker::v1::WorkerReply& reply) {
  Metrics metrics;
  for (const auto& [name, value] : reply.metrics()) {
    if (std::isfinite(value)) metrics.emplace(name, value);
  }
  return metrics;
}

absl::Status Runner::Recover() {
  MUSTER_ASSIGN_OR_RETURN(const std::vector<JournalEntry> unfinished, journal_.Unfinished());
  std::set<std::string> wanted;
  for (const JournalEntry& entry : unfinished) {
    if (entry.stage != Stage::kReady) continue;
    wanted.insert(entry.invocation.id.value());
    MUSTER_RETURN_IF_ERROR(InstallPersonal(entry));
  }
  std::error_code error;
  std::vector<std::filesystem::path> stale;
  for (const auto& folder : std::filesystem::directory_iterator(dir_.work(), error)) {
    if (!wanted.contains(folder.path().filename())) stale.push_back(folder.path());
  }
  for (const auto& folder : stale) std::filesystem::remove_all(folder, error);
  return absl::OkStatus();
}

absl::Status Runner::InstallPersonal(const JournalEntry& entry) {
  if (entry.personal_of.empty()) return absl::OkStatus();
  return InstallPersonalFile(dir_.work(entry.invocation.id.value()) / kPersonalFile, dir_,
                             ModelName::Trusted(entry.personal_of));
}

absl::Status Runner::Execute(const Invocation& invocation, const Uplink& uplink, Bounds bounds) {
  MUSTER_ASSIGN_OR_RETURN(const std::optional<JournalEntry> entry, journal_.Find(invocation.id));
  if (entry && entry->stage >= Stage::kReady) return absl::OkStatus();
  bounds.deadline = std::min(bounds.deadline, ToClock(invocation.deadline));
  std::string personal_of;
  absl::StatusOr<Answer> answer = Compute(invocation, uplink, bounds, &personal_of);
  if (!answer.ok()) {
    if (BreaksOff(answer.status()) && !absl::IsDeadlineExceeded(bounds.Check())) {
      return answer.status();
    }
    LogWarning("an invocation failed", {{"invocation", invocation.id.value()},
                                        {"reason", View(answer.status().message())}});
    return StoreFailure(invocation.id, std::string(answer.status().message()));
  }
  return journal_.StoreAnswer(invocation.id, *answer, personal_of);
}

absl::StatusOr<Answer> Runner::Compute(const Invocation& invocation, const Uplink& uplink,
                                       const Bounds& bounds, std::string* personal_of) {
  if (invocation.function != FunctionKind::kTrain &&
      invocation.function != FunctionKind::kEvaluate) {
    return absl::InvalidArgumentError(
        Cat("this agent runs no ", FunctionName(invocation.function), " invocations"));
  }
  const uint64_t down_before = uplink.blobs->bytes_down();
  MUSTER_ASSIGN_OR_RETURN(const LoadedPackage package,
                          packages_.Load(invocation.package, *uplink.blobs, bounds));
  MUSTER_ASSIGN_OR_RETURN(const uint32_t attempt, journal_.StartAttempt(invocation.id));
  if (attempt > kMaxAttempts) {
    return absl::FailedPreconditionError(
        Cat("the device stopped ", kMaxAttempts, " times while it ran this function"));
  }
  MUSTER_RETURN_IF_ERROR(MakeWorkFolder(dir_.work(invocation.id.value())));
  worker::v1::WorkerRequest request =
      MakeWorkerRequest(dir_, settings_, package, invocation.id.value(), bounds);
  request.set_function(EncodeInvocation(invocation).function());
  request.set_round(invocation.round);
  request.set_seed(invocation.seed);
  MUSTER_ASSIGN_OR_RETURN(const worker::v1::WorkerReply reply, run_(request, bounds));
  if (bounds.stop.stop_requested()) return absl::CancelledError("the agent is stopping");
  MUSTER_RETURN_IF_ERROR(WorkerStatus(reply));
  return ReadReply(invocation, package, reply, uplink.blobs->bytes_down() - down_before,
                   personal_of);
}

absl::StatusOr<Answer> Runner::ReadReply(const Invocation& invocation, const LoadedPackage& package,
                                         const worker::v1::WorkerReply& reply, uint64_t bytes_down,
                                         std::string* personal_of) {
  MUSTER_ASSIGN_OR_RETURN(Metering metering, DecodeMetering(reply.metering()));
  metering.bytes_down = bytes_down;
  if (invocation.function == FunctionKind::kEvaluate) {
    const ResultOffer offer{invocation.id, reply.examples(), ReadMetrics(reply), metering, ""};
    // What the coordinator would refuse must not be stored.
    MUSTER_RETURN_IF_ERROR(DecodeResultOffer(EncodeResultOffer(offer)).status());
    return Answer(offer);
  }
  const std::filesystem::path folder = dir_.work(invocation.id.value());
  std::error_code error;
  const std::filesystem::path update = dir_.update(invocation.id.value());
  const uint64_t bytes = std::filesystem::file_size(update, error);
  const uint64_t expected = package.manifest.layout.shared_size() * sizeof(float);
  if (error || bytes != expected) {
    return absl::InternalError(Cat("the function left an update of ", error ? 0 : bytes,
                                   " bytes where the layout needs ", expected));
  }
  MUSTER_RETURN_IF_ERROR(FsyncFile(update));
  if (HasPersonal(package.manifest.layout)) {
    MUSTER_RETURN_IF_ERROR(FsyncFile(folder / kPersonalFile));
    *personal_of = package.manifest.name.value();
  }
  MUSTER_RETURN_IF_ERROR(FsyncDirectory(folder));
  MUSTER_RETURN_IF_ERROR(FsyncDirectory(dir_.work()));
  MUSTER_ASSIGN_OR_RETURN(const Digest digest, Sha256File(update));
  metering.bytes_up = bytes;
  const UpdateOffer offer{invocation.id, digest, reply.examples(), ReadMetrics(reply), metering};
  MUSTER_RETURN_IF_ERROR(DecodeUpdateOffer(EncodeUpdateOffer(offer)).status());
  return Answer(offer);
}

absl::Status Runner::StoreFailure(const InvocationId& id, const std::string& reason) {
  ResultOffer failure;
  failure.invocation = id;
  failure.failure = reason.empty() ? "failed without a reason" : reason;
  return journal_.StoreAnswer(id, failure);
}

absl::Status Runner::SendAnswer(const InvocationId& id, const Uplink& uplink,
                                const Bounds& bounds) {
  MUSTER_ASSIGN_OR_RETURN(const std::optional<JournalEntry> entry, journal_.Find(id));
  if (!entry || !entry->answer) return journal_.MarkAnswered(id, "nothing to send");
  MUSTER_RETURN_IF_ERROR(InstallPersonal(*entry));
  absl::StatusOr<OfferAnswer> answer;
  if (const auto* update = std::get_if<UpdateOffer>(&*entry->answer)) {
    if (entry->invocation.secure) return SendSecure(*entry, uplink, bounds);
    // After it was taken once its file is gone here, and the coordinator needs no second one.
    const bool upload = entry->stage != Stage::kAnswered;
    answer = SendUpdate(*update, upload, uplink, bounds);
    if (upload &&
        (absl::IsFailedPrecondition(answer.status()) || absl::IsNotFound(answer.status()))) {
      answer = SendUpdate(*update, upload, uplink, bounds);  // the staging was swept meanwhile
    }
  } else {
    answer = SendResult(std::get<ResultOffer>(*entry->answer), uplink, bounds);
  }
  if (!answer.ok()) return answer.status();
  std::string outcome = "accepted";
  if (answer->verdict == Verdict::kDuplicate) outcome = "accepted before";
  if (answer->verdict == Verdict::kRefused) {
    outcome = Cat("refused: ", answer->reason);
    LogWarning("the coordinator refused an answer",
               {{"invocation", id.value()}, {"reason", answer->reason}});
  } else {
    LogInfo("answer taken", {{"invocation", id.value()}, {"verdict", outcome}});
  }
  MUSTER_RETURN_IF_ERROR(journal_.MarkAnswered(id, outcome));
  RemoveWork(id);
  return absl::OkStatus();
}

absl::Status Runner::SendSecure(const JournalEntry& entry, const Uplink& uplink,
                                const Bounds& bounds) {
  const InvocationId& id = entry.invocation.id;
  MUSTER_ASSIGN_OR_RETURN(const std::string outcome, secure_.Run(entry, uplink, bounds));
  LogInfo("secure aggregation ended", {{"invocation", id.value()}, {"outcome", outcome}});
  MUSTER_RETURN_IF_ERROR(journal_.MarkAnswered(id, outcome));
  RemoveWork(id);
  return absl::OkStatus();
}

absl::StatusOr<OfferAnswer> Runner::SendUpdate(const UpdateOffer& offer, bool upload,
                                               const Uplink& uplink, const Bounds& bounds) {
  if (upload) {
    MUSTER_RETURN_IF_ERROR(
        uplink.blobs->Upload(offer.update, dir_.update(offer.invocation.value()), bounds));
  }
  grpc::ClientContext context;
  context.set_deadline(bounds.CallDeadline());
  v1::SubmitUpdateResponse response;
  MUSTER_RETURN_IF_ERROR(FromWire(
      context, uplink.device->SubmitUpdate(&context, EncodeUpdateOffer(offer), &response)));
  return DecodeUpdateAnswer(response);
}

absl::StatusOr<OfferAnswer> Runner::SendResult(const ResultOffer& offer, const Uplink& uplink,
                                               const Bounds& bounds) {
  grpc::ClientContext context;
  context.set_deadline(bounds.CallDeadline());
  v1::SubmitResultResponse response;
  MUSTER_RETURN_IF_ERROR(FromWire(
      context, uplink.device->SubmitResult(&context, EncodeResultOffer(offer), &response)));
  return DecodeResultAnswer(response);
}

absl::Status Runner::Forget(const InvocationId& id, const std::string& reason) {
  MUSTER_RETURN_IF_ERROR(journal_.MarkAnswered(id, Cat("dropped: ", reason)));
  RemoveWork(id);
  return absl::OkStatus();
}

void Runner::RemoveWork(const InvocationId& id) {
  std::error_code ignored;
  std::filesystem::remove_all(dir_.work(id.value()), ignored);
}

}  // namespace muster
