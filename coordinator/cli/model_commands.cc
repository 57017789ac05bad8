// models ls, show and pull.
#include "coordinator/cli/commands.h"
#include "coordinator/cli/package_listing.h"
#include "coordinator/cli/text.h"
#include "coordinator/cli/transfer.h"
#include "proto/core/digest.h"
#include "proto/core/files.h"
#include "proto/core/ids.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

constexpr char kPackageFile[] = "package.json";

std::string AccuracyOf(const v1::Model& model) {
  const auto found = model.evaluation().find("accuracy");
  return found == model.evaluation().end() ? "-" : FormatPercent(found->second);
}

absl::StatusOr<ExitCode> List(Context& context) {
  v1::ListModelsRequest request;
  if (!context.arguments.operands.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const ModelName name, ModelName::Parse(context.arguments.operands[0]));
    request.set_name(name.value());
  }
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_ASSIGN_OR_RETURN(const auto models, AllPages<v1::ListModelsResponse>(
                                                 *api, request, [](v1::ListModelsResponse& r) {
                                                   return r.mutable_models();
                                                 }));
  if (context.json()) {
    PrintJson(context, ListView("models", models.models()));
    return kExitDone;
  }
  if (models.models().empty()) {
    context.err << "no models yet; every committed round of `muster run JOB.yaml` makes a version"
                << std::endl;
    return kExitDone;
  }
  Table table({{"MODEL"},
               {"ACCURACY", Table::Align::kRight},
               {"CLIENTS", Table::Align::kRight},
               {"EXAMPLES", Table::Align::kRight},
               {"SIZE", Table::Align::kRight},
               {"JOB"},
               {"ROUND", Table::Align::kRight},
               {"MADE"}});
  const Timestamp now = SystemClock().Now();
  for (const v1::Model& model : models.models()) {
    const v1::Lineage& lineage = model.lineage();
    table.Add({StrCat(model.name(), "@", model.version()), AccuracyOf(model),
               FormatCount(lineage.clients()), FormatCount(lineage.examples()),
               FormatBytes(model.weights_bytes()), lineage.job(), std::to_string(lineage.round()),
               FormatAge(lineage.created_unix_us(), now)});
  }
  context.out << table.Render(context.color());
  return kExitDone;
}

absl::StatusOr<v1::GetModelResponse> Get(Api& api, const std::string& operand) {
  MUSTER_ASSIGN_OR_RETURN(const ModelOperand model, ParseModelOperand(operand));
  v1::GetModelRequest request;
  request.set_name(model.name);
  request.set_version(model.version);
  return api.Call(request);
}

absl::StatusOr<ExitCode> Show(Context& context) {
  MUSTER_RETURN_IF_ERROR(ParseModelOperand(context.arguments.operands[0]).status());
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_ASSIGN_OR_RETURN(const v1::GetModelResponse shown,
                          Get(*api, context.arguments.operands[0]));
  if (context.json()) {
    PrintJson(context, ViewOf(shown));
    return kExitDone;
  }
  const v1::Model& model = shown.model();
  const v1::Lineage& lineage = model.lineage();
  uint64_t parameters = 0;
  for (const v1::LayoutEntry& entry : shown.manifest().layout().entries()) {
    uint64_t size = 1;
    for (uint32_t side : entry.shape()) size *= side;
    parameters += size;
  }
  context.out << "model        " << model.name() << "@" << model.version() << "\n"
              << "network      " << Printable(shown.manifest().architecture().name()) << ", "
              << FormatCount(parameters) << " parameters, " << FormatBytes(model.weights_bytes())
              << "\n"
              << "made by      " << (lineage.job().empty() ? "no job" : lineage.job()) << ", round "
              << lineage.round() << ", " << FormatTime(lineage.created_unix_us()) << "\n"
              << "aggregation  " << Printable(lineage.aggregation()) << " of "
              << FormatCount(lineage.clients()) << " clients' updates, "
              << FormatCount(lineage.examples()) << " examples\n"
              << "accuracy     " << AccuracyOf(model) << "\n"
              << "package      " << HexEncode(model.package()) << "\n"
              << "weights      " << HexEncode(model.weights()) << "\n";
  return kExitDone;
}

struct Pulled {
  std::filesystem::path path;
  Digest digest;
};

absl::StatusOr<Pulled> Pull(Context& context, Api& api, const std::filesystem::path& path,
                            const Digest& digest) {
  Meter meter(context, StrCat("downloading ", path.filename().string()));
  MUSTER_RETURN_IF_ERROR(DownloadFile(api, digest, path, std::ref(meter)));
  std::error_code error;
  meter.Finish(std::filesystem::file_size(path, error));
  return Pulled{path, digest};
}

absl::StatusOr<std::vector<Pulled>> PullAll(Context& context, Api& api, const v1::Model& model) {
  const std::filesystem::path folder =
      context.arguments.Get("out", StrCat(model.name(), "@", model.version()));
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return ErrnoStatus(error.value(), "making the folder", folder);
  MUSTER_ASSIGN_OR_RETURN(const Digest digest, Digest::FromBytes(model.package()));
  std::vector<Pulled> pulled;
  MUSTER_ASSIGN_OR_RETURN(pulled.emplace_back(), Pull(context, api, folder / kPackageFile, digest));
  MUSTER_ASSIGN_OR_RETURN(const std::string bytes,
                          ReadFile(folder / kPackageFile, kMaxPackageBytes));
  MUSTER_ASSIGN_OR_RETURN(const Package package,
                          ReadPackage(bytes, context.arguments.Get("package-key")));
  for (const Resource& resource : package.resources) {
    const std::filesystem::path path = folder / resource.name;
    std::filesystem::create_directories(path.parent_path(), error);
    if (error) return ErrnoStatus(error.value(), "making the folder", path.parent_path());
    MUSTER_ASSIGN_OR_RETURN(pulled.emplace_back(), Pull(context, api, path, resource.digest));
  }
  return pulled;
}

absl::StatusOr<ExitCode> PullModel(Context& context) {
  MUSTER_RETURN_IF_ERROR(ParseModelOperand(context.arguments.operands[0]).status());
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_ASSIGN_OR_RETURN(const v1::GetModelResponse shown,
                          Get(*api, context.arguments.operands[0]));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<Pulled> pulled, PullAll(context, *api, shown.model()));
  Json files = Json::array();
  for (const Pulled& file : pulled) {
    if (!context.json()) context.out << file.path.string() << "\n";
    files.push_back({{"path", file.path.string()}, {"digest", file.digest.hex()}});
  }
  if (context.json()) {
    PrintJson(context, {{"model", ViewOf(shown.model())}, {"files", std::move(files)}});
  }
  return kExitDone;
}

constexpr char kPullDescription[] =
    R"(Downloads a version's signed package and everything that it names: manifest.json (what the model is and where it comes from), weights.f32 (float32, little endian, in the manifest's layout), and module.pt for a TorchScript model. Files go to --out, where package.json is the package itself, in the format of OpenSSF Model Signing.

Every file is checked against its digest. What is there already is kept, and what was cut is gone on with, so that the command may be repeated. With --package-key the package's signature is verified as well: `openssl ec -in STATE-DIR/package-key.pem -pubout` on the coordinator prints that key.)";

}  // namespace

std::vector<Command> ModelCommands() {
  return {
      {.words = "models ls",
       .operands = "[NAME]",
       .operands_max = 1,
       .summary = "list model versions",
       .description = "Lists models with their versions, the newest version first. With --json: "
                      "{\"models\": [...]}.",
       .options = {},
       .examples = "muster models ls\nmuster models ls fashion",
       .run = List},
      {.words = "models show",
       .operands = "NAME[@VERSION]",
       .operands_min = 1,
       .operands_max = 1,
       .summary = "show a model version and where it comes from",
       .description = "Shows a version, or the newest one: its network, the job and the round that "
                      "made it, its metrics and digests. With --json: {\"model\", \"manifest\"}.",
       .options = {},
       .examples = "muster models show fashion@21",
       .run = Show},
      {.words = "models pull",
       .operands = "NAME[@VERSION]",
       .operands_min = 1,
       .operands_max = 1,
       .summary = "download a model version",
       .description = kPullDescription,
       .options = {{"out", 'o', "DIR", "folder to make (NAME@VERSION)"},
                   {"package-key", 0, "FILE", "PEM public key; verify the signature with it"}},
       .examples = "muster models pull fashion@21 --out fashion-21",
       .run = PullModel},
  };
}

}  // namespace muster::cli
