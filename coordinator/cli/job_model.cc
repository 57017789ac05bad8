#include "coordinator/cli/job_model.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "models/zoo/zoo.h"
#include "proto/core/digest.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

static_assert(std::endian::native == std::endian::little, "weights travel little-endian");

constexpr char kUnlistedArchitecture[] = "torchscript";

absl::Status Wrong(const JobFile& file, std::string_view path, std::string_view problem) {
  return absl::InvalidArgumentError(StrCat(file.Locate(path), ": ", problem));
}

absl::Status MakeZooModel(const JobFile& file, PreparedJob& job) {
  auto architecture = MakeZooArchitecture(file.model.zoo, file.model.options);
  if (!architecture.ok()) {
    return Wrong(file, "model", StdView(architecture.status().message()));
  }
  job.spec.architecture = *std::move(architecture);
  MUSTER_ASSIGN_OR_RETURN(job.spec.layout, LayoutOf(job.spec.architecture));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<float> weights,
                          InitialWeights(job.spec.architecture, job.spec.layout, job.spec.seed));
  job.weights.assign(reinterpret_cast<const char*>(weights.data()), weights.size() * sizeof(float));
  return absl::OkStatus();
}

absl::Status CheckTorchScript(const JobFile& file, const Inspection& module) {
  const uint32_t outputs = file.model.options.outputs;
  if (outputs != 0 && outputs != module.outputs) {
    return Wrong(file, "model.outputs",
                 StrCat("is ", outputs, ", but the module gives ", module.outputs));
  }
  if (module.weights.size() != module.layout.total_size() * sizeof(float)) {
    return absl::InternalError("muster-worker wrote weights that do not fit the module's layout");
  }
  if (file.spec.personalize.enabled && file.spec.personalize.scope == PersonalizeScope::kHead &&
      !module.architecture) {
    return Wrong(file, "personalize.scope",
                 "head: which layer is the head is not to be seen in this module; use all, or "
                 "write the module as a plain sequence of layers");
  }
  for (const auto& [path, loss] : {std::pair{"train.loss", file.spec.train.loss},
                                   {"evaluate.loss", file.spec.evaluate.loss},
                                   {"personalize.train.loss", file.spec.personalize.train.loss}}) {
    if (loss == LossKind::kModule && !module.has_loss) {
      return Wrong(file, path,
                   "module: this module has no method loss(self, x, y); write one with "
                   "@torch.jit.export, or name a loss such as cross_entropy");
    }
  }
  return absl::OkStatus();
}

absl::Status TakeTorchScript(const JobFile& file, const Inspector& inspect, PreparedJob& job) {
  auto bytes = ReadFile(file.model.torchscript, kMaxModuleBytes);
  if (absl::IsNotFound(bytes.status())) {
    return absl::NotFoundError(StrCat(file.Locate("model.torchscript"), ": ",
                                      file.model.torchscript.string(),
                                      " does not exist; relative paths start at the job file's "
                                      "folder"));
  }
  if (!bytes.ok()) return Annotate(bytes.status(), file.Locate("model.torchscript"));
  auto module = inspect(file.model.torchscript, file.model.options.input_shape);
  if (!module.ok()) return Annotate(module.status(), file.Locate("model.torchscript"));
  MUSTER_RETURN_IF_ERROR(CheckTorchScript(file, *module));
  job.module = *std::move(bytes);
  job.spec.module = Sha256(job.module);
  job.spec.architecture =
      module->architecture.value_or(Architecture{.name = kUnlistedArchitecture,
                                                 .input_shape = file.model.options.input_shape,
                                                 .outputs = module->outputs});
  job.spec.layout = module->layout;
  job.weights = std::move(module->weights);
  return absl::OkStatus();
}

absl::Status CheckPatterns(const JobFile& file, const ParameterLayout& layout) {
  const auto check = [&](std::string_view path,
                         const std::vector<std::string>& patterns) -> absl::Status {
    for (size_t i = 0; i < patterns.size(); ++i) {
      const auto matches = [&](const LayoutEntry& e) {
        return MatchesPattern(patterns[i], e.name);
      };
      if (std::any_of(layout.entries().begin(), layout.entries().end(), matches)) continue;
      const absl::Status why = AssignGroups(layout, {.personal = {patterns[i]}}).status();
      return Wrong(file, StrCat(path, "[", i, "]"), StdView(why.message()));
    }
    return absl::OkStatus();
  };
  MUSTER_RETURN_IF_ERROR(check("parameters.personal", file.groups.personal));
  return check("parameters.frozen", file.groups.frozen);
}

// Rules between fields speak in the spec's names; the file's are these.
std::string FilePath(std::string path) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kNames = {{
      {"server_optimizer.", "server."},
      {"personalize.calibration_examples", "personalize.calibration.examples"},
      {"personalize.calibration_percentile", "personalize.calibration.percentile"},
      {"personalize.loss", "personalize.train.loss"},
  }};
  for (const auto& [spec, file] : kNames) {
    if (path.starts_with(spec)) return StrCat(file, std::string_view(path).substr(spec.size()));
  }
  return path;
}

absl::Status CheckWhole(const JobFile& file, const JobSpec& spec) {
  const absl::Status status = ValidateJobSpec(spec);
  if (status.ok()) return status;
  const std::string_view message = StdView(status.message());
  const std::string path = FilePath(std::string(message.substr(0, message.find(' '))));
  const auto place = file.places.find(path);
  const std::string where =
      place != file.places.end() ? place->second.ToString() : file.places.at("").source;
  return absl::InvalidArgumentError(StrCat(where, ": ", message));
}

}  // namespace

absl::StatusOr<PreparedJob> PrepareJob(const JobFile& file, const Inspector& inspect) {
  PreparedJob job{.spec = file.spec};
  MUSTER_RETURN_IF_ERROR(file.model.torchscript.empty() ? MakeZooModel(file, job)
                                                        : TakeTorchScript(file, inspect, job));
  MUSTER_RETURN_IF_ERROR(CheckPatterns(file, job.spec.layout));
  auto grouped = AssignGroups(job.spec.layout, file.groups);
  if (!grouped.ok()) return Wrong(file, "parameters", StdView(grouped.status().message()));
  job.spec.layout = *std::move(grouped);
  job.spec.initial_weights = Sha256(job.weights);
  MUSTER_RETURN_IF_ERROR(CheckWhole(file, job.spec));
  return job;
}

}  // namespace muster::cli
