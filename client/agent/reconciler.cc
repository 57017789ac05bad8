#include "client/agent/reconciler.h"

#include <grpcpp/client_context.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "client/agent/core.h"
#include "client/agent/text.h"
#include "proto/codec/device_codec.h"
#include "proto/core/files.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/transport/retry_hint.h"

namespace muster {
namespace {

using text::Cat;
using text::View;

constexpr char kModelFile[] = "model.mq8";

std::string InvocationOf(const DesiredModel& model) {
  return Cat(model.personalize ? "personalize." : "quantize.", model.package.hex().substr(0, 32));
}

const GoodModel* FindGood(const std::vector<GoodModel>& models, const ModelName& name) {
  auto good = std::find_if(models.begin(), models.end(),
                           [&](const GoodModel& g) { return g.model.name == name; });
  return good == models.end() ? nullptr : &*good;
}

bool MayWorkLater(const absl::Status& status) {
  return IsTransient(status.code()) || IsRefusal(status.code());
}

}  // namespace

std::string Reconciler::FileOf(const DesiredModel& model) const {
  // A version without personalization is a thing of its own, beside the one that has it.
  const std::string folder = Cat(model.version, model.personalize ? "" : "-global");
  return Cat("models/", model.name.value(), "/", folder, "/", kModelFile);
}

absl::Status Reconciler::Restore() {
  MUSTER_ASSIGN_OR_RETURN(const std::vector<GoodModel> models, journal_.GoodModels());
  for (const GoodModel& good : models) {
    auto report = serving_.Deploy(good.model.name, good.model.version, dir_.root / good.file);
    if (!report.ok()) {
      LogError("a last good model cannot be served; it is made again when the coordinator answers",
               {{"model", good.model.name.value()},
                {"version", good.model.version},
                {"error", View(report.status().message())}});
      continue;
    }
    serving_names_.insert(good.model.name.value());
    LogInfo("serving the last good version",
            {{"model", good.model.name.value()}, {"version", good.model.version}});
  }
  return PinGoodModels();
}

absl::Status Reconciler::PinGoodModels() {
  MUSTER_ASSIGN_OR_RETURN(const std::vector<GoodModel> models, journal_.GoodModels());
  std::set<Digest> pinned;
  for (const GoodModel& good : models) pinned.insert(good.model.package);
  cache_.Pin(std::move(pinned));
  return absl::OkStatus();
}

absl::StatusOr<bool> Reconciler::Apply(const DesiredState& desired, const Uplink& uplink,
                                       const Bounds& bounds) {
  if (failed_generation_ != desired.generation) failed_.clear();
  failed_generation_ = desired.generation;
  MUSTER_RETURN_IF_ERROR(RemoveUndesired(desired));
  bool retry = false;
  for (const DesiredModel& model : desired.models) {
    if (failed_.contains(model.name.value())) continue;
    const absl::Status status = Install(model, uplink, bounds);
    if (status.ok()) continue;
    if (absl::IsCancelled(status) && bounds.stop.stop_requested()) return true;
    const bool later = MayWorkLater(status);
    retry = retry || later;
    if (!later) failed_.insert(model.name.value());
    LogWarning(later ? "a model version could not be applied now: it is tried again"
                     : "a model version failed; the last good one, if any, goes on serving",
               {{"model", model.name.value()},
                {"version", model.version},
                {"reason", View(status.message())}});
    ModelStatus outcome;
    outcome.name = model.name;
    outcome.version = model.version;
    outcome.phase = later ? ModelPhase::kApplying : ModelPhase::kFailed;
    outcome.reason = std::string(status.message());
    MUSTER_ASSIGN_OR_RETURN(const auto made, Made(model));
    if (made && later) outcome.metrics = made->metrics;
    MUSTER_RETURN_IF_ERROR(journal_.SetAttempted({model, outcome}));
  }
  if (!retry) MUSTER_RETURN_IF_ERROR(journal_.SetApplied(desired.generation));
  return retry;
}

absl::Status Reconciler::RemoveUndesired(const DesiredState& desired) {
  auto wanted = [&](const ModelName& name) {
    return std::any_of(desired.models.begin(), desired.models.end(),
                       [&](const DesiredModel& m) { return m.name == name; });
  };
  MUSTER_ASSIGN_OR_RETURN(const std::vector<GoodModel> models, journal_.GoodModels());
  MUSTER_ASSIGN_OR_RETURN(const auto attempted, journal_.AttemptedModels());
  std::set<ModelName> gone;
  for (const GoodModel& good : models) gone.insert(good.model.name);
  for (const auto& attempt : attempted) gone.insert(attempt.model.name);
  for (const ModelName& name : gone) {
    if (wanted(name)) continue;
    if (serving_names_.erase(name.value()) > 0) {
      const absl::Status removed = serving_.Remove(name);
      if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
    }
    MUSTER_RETURN_IF_ERROR(journal_.RemoveModel(name));
    std::error_code ignored;
    std::filesystem::remove_all(dir_.models(name), ignored);
    LogInfo("a model is not desired any more and was removed", {{"model", name.value()}});
  }
  return PinGoodModels();
}

absl::Status Reconciler::Install(const DesiredModel& model, const Uplink& uplink, Bounds bounds) {
  MUSTER_ASSIGN_OR_RETURN(const std::vector<GoodModel> models, journal_.GoodModels());
  const GoodModel* good = FindGood(models, model.name);
  if (good != nullptr && good->model == model && serving_names_.contains(model.name.value())) {
    return journal_.SetAttempted({model, good->status});
  }
  bounds.deadline = std::min(bounds.deadline, Bounds::Clock::now() + kReconcileDeadline);
  const uint64_t down_before = uplink.blobs->bytes_down();
  auto loaded = packages_.Load(model.package, *uplink.blobs, bounds);
  Metering fetched;
  fetched.bytes_down = uplink.blobs->bytes_down() - down_before;
  if (fetched.bytes_down > 0) MUSTER_RETURN_IF_ERROR(journal_.AddMetering(fetched));
  MUSTER_RETURN_IF_ERROR(loaded.status());
  if (loaded->manifest.name != model.name || loaded->manifest.version != model.version) {
    return absl::FailedPreconditionError(
        Cat("the package holds ", loaded->manifest.name.value(), "@", loaded->manifest.version,
            " where ", model.name.value(), "@", model.version, " was promoted"));
  }
  MUSTER_ASSIGN_OR_RETURN(std::optional<ModelStatus> status, Made(model));
  if (!status) {
    MUSTER_ASSIGN_OR_RETURN(status, Personalize(model, *loaded, uplink, bounds));
  }
  const std::string file = FileOf(model);
  MUSTER_ASSIGN_OR_RETURN(const ServingReport report,
                          serving_.Deploy(model.name, model.version, dir_.root / file));
  serving_names_.insert(model.name.value());
  status->phase = ModelPhase::kLive;
  status->reason.clear();
  status->serving_version = model.version;
  status->metrics["cold_start_ms"] = report.cold_start_ms;
  status->metrics["latency_us"] = report.latency_us;
  MUSTER_RETURN_IF_ERROR(
      journal_.CommitModel({model, loaded->manifest.security_version, file, *status}));
  MUSTER_RETURN_IF_ERROR(journal_.SetAttempted({model, *status}));
  RemoveOldVersions(model);
  LogInfo("a model version is live", {{"model", model.name.value()},
                                      {"version", model.version},
                                      {"personalized", status->serving_personalized}});
  return PinGoodModels();
}

// The status of a version whose file was made before and needs only to be deployed.
absl::StatusOr<std::optional<ModelStatus>> Reconciler::Made(const DesiredModel& model) {
  std::error_code error;
  if (!std::filesystem::exists(dir_.root / FileOf(model), error)) return std::nullopt;
  MUSTER_ASSIGN_OR_RETURN(const auto attempted, journal_.AttemptedModels());
  for (const auto& attempt : attempted) {
    if (attempt.model == model && !attempt.status.metrics.empty()) return attempt.status;
  }
  return std::nullopt;
}

absl::StatusOr<ModelStatus> Reconciler::Personalize(const DesiredModel& model,
                                                    const LoadedPackage& package,
                                                    const Uplink& uplink, const Bounds& bounds) {
  (void)uplink;
  const std::string invocation = InvocationOf(model);
  MUSTER_RETURN_IF_ERROR(MakeWorkFolder(dir_.work(invocation)));
  worker::v1::WorkerRequest request =
      MakeWorkerRequest(dir_, settings_, package, invocation, bounds);
  request.set_function(v1::FUNCTION_KIND_PERSONALIZE);
  request.set_round(package.manifest.lineage.round);
  // Each device its own, and the same after a restart.
  request.set_seed(DeriveSeed(model.version, Cat(device_.value(), "/", model.package.hex())));
  request.set_skip_fine_tune(!model.personalize);
  MUSTER_ASSIGN_OR_RETURN(const worker::v1::WorkerReply reply, run_(request, bounds));
  if (bounds.stop.stop_requested()) return absl::CancelledError("the agent is stopping");
  MUSTER_ASSIGN_OR_RETURN(const Metering metering, DecodeMetering(reply.metering()));
  MUSTER_RETURN_IF_ERROR(journal_.AddMetering(metering));
  if (absl::Status ended = WorkerStatus(reply); !ended.ok()) {
    return absl::FailedPreconditionError(ended.message());
  }
  ModelStatus status;
  status.name = model.name;
  status.version = model.version;
  status.phase = ModelPhase::kApplying;
  status.metrics = ReadMetrics(reply);
  auto gate = status.metrics.find("gate_passed");
  status.serving_personalized = model.personalize && package.manifest.personalize.enabled &&
                                gate != status.metrics.end() && gate->second != 0.0;
  MUSTER_RETURN_IF_ERROR(DecodeModelStatus(EncodeModelStatus(status)).status());
  MUSTER_RETURN_IF_ERROR(Store(model, invocation, package));
  MUSTER_RETURN_IF_ERROR(journal_.SetAttempted({model, status}));
  std::error_code ignored;
  std::filesystem::remove_all(dir_.work(invocation), ignored);
  return status;
}

// Moves what the worker made to where it is served from.
absl::Status Reconciler::Store(const DesiredModel& model, const std::string& invocation,
                               const LoadedPackage& package) {
  const std::filesystem::path from = dir_.work(invocation);
  const std::filesystem::path to = dir_.root / FileOf(model);
  std::error_code error;
  if (!std::filesystem::exists(from / kModelFile, error)) {
    return absl::FailedPreconditionError(
        Cat("the function left no ", kModelFile, ": this network cannot be served in int8"));
  }
  MUSTER_RETURN_IF_ERROR(FsyncFile(from / kModelFile));
  std::filesystem::create_directories(to.parent_path(), error);
  if (!error) std::filesystem::rename(from / kModelFile, to, error);
  if (error) return ErrnoStatus(error.value(), "storing the model", to);
  // The function's process must be able to read it under whatever umask made it.
  chmod(to.c_str(), 0600);
  for (auto folder = to.parent_path(); folder != dir_.root.parent_path();
       folder = folder.parent_path()) {
    MUSTER_RETURN_IF_ERROR(FsyncDirectory(folder));
    if (folder == dir_.root) break;
  }
  if (!HasPersonal(package.manifest.layout)) return absl::OkStatus();
  return InstallPersonalFile(from / "personal.f32", dir_, model.name);
}

void Reconciler::RemoveOldVersions(const DesiredModel& model) {
  const std::filesystem::path keep = (dir_.root / FileOf(model)).parent_path();
  std::error_code error;
  std::vector<std::filesystem::path> old;
  for (const auto& folder : std::filesystem::directory_iterator(dir_.models(model.name), error)) {
    if (folder.path() != keep) old.push_back(folder.path());
  }
  for (const auto& folder : old) std::filesystem::remove_all(folder, error);
}

absl::StatusOr<bool> Reconciler::CollectMetering() {
  const Metering served = serving_.DrainMetering();
  if (served == Metering{}) return false;
  MUSTER_RETURN_IF_ERROR(journal_.AddMetering(served));
  return true;
}

absl::StatusOr<StateReport> Reconciler::MakeReport() {
  StateReport report;
  MUSTER_ASSIGN_OR_RETURN(const std::optional<DesiredState> desired, journal_.Desired());
  if (desired) report.generation = desired->generation;
  MUSTER_ASSIGN_OR_RETURN(const std::vector<GoodModel> models, journal_.GoodModels());
  MUSTER_ASSIGN_OR_RETURN(const auto attempted, journal_.AttemptedModels());
  for (const auto& attempt : attempted) {
    ModelStatus status = attempt.status;
    const GoodModel* good = FindGood(models, status.name);
    status.serving_version = good == nullptr ? 0 : good->model.version;
    status.serving_personalized = good != nullptr && good->status.serving_personalized;
    report.models.push_back(std::move(status));
  }
  return report;
}

absl::StatusOr<bool> Reconciler::Report(const Uplink& uplink, const Bounds& bounds,
                                        RandomSource& random) {
  MUSTER_RETURN_IF_ERROR(CollectMetering().status());
  MUSTER_ASSIGN_OR_RETURN(const StateReport fresh, MakeReport());
  MUSTER_ASSIGN_OR_RETURN(const StateReport report,
                          journal_.PrepareReport(fresh, Cat("r.", random.Hex(16))));
  grpc::ClientContext context;
  context.set_deadline(bounds.CallDeadline());
  v1::ReportStateResponse response;
  const absl::Status sent =
      FromWire(context, uplink.device->ReportState(&context, EncodeStateReport(report), &response));
  // What is refused for what it says would be refused again.
  if (!sent.ok() && (IsTransient(sent.code()) || IsRefusal(sent.code()))) return sent;
  if (!sent.ok()) {
    LogError("the coordinator refused a report: it is dropped", {{"error", View(sent.message())}});
  }
  MUSTER_RETURN_IF_ERROR(journal_.ReportTaken(report.report_id));
  return report.generation != fresh.generation || report.models != fresh.models;
}

}  // namespace muster
