#include "coordinator/cli/settings.h"

#include "coordinator/cli/command.h"
#include "coordinator/cli/duration.h"
#include "coordinator/cli/section.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

constexpr Duration kMinRpcTimeout = std::chrono::milliseconds(1);

std::string Find(const Environment& environment, std::string_view name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

absl::Status ReadConfig(const std::filesystem::path& path, Settings& settings) {
  if (path.empty()) return absl::OkStatus();
  auto yaml = ReadFile(path, limits::kMaxJobFileBytes);
  if (absl::IsNotFound(yaml.status())) return absl::OkStatus();
  if (!yaml.ok()) return Annotate(yaml.status(), "the config file");
  MUSTER_ASSIGN_OR_RETURN(const Tree tree, ParseTree(*yaml, path.string()));
  Problems problems;
  Places places;
  Section root(&tree, "", problems, places);
  root.Text("coordinator", settings.coordinator);
  std::string credential;
  if (root.Text("credential", credential)) {
    settings.credential = (path.parent_path() / credential).lexically_normal();
  }
  root.Time("rpc_timeout", kMinRpcTimeout, kMaxRpcTimeout, settings.rpc_timeout);
  root.Finish();
  return problems.ToStatus();
}

}  // namespace

std::filesystem::path ConfigFile(const Environment& environment) {
  if (const std::string home = Find(environment, "XDG_CONFIG_HOME"); !home.empty()) {
    return std::filesystem::path(home) / "muster" / "config.yaml";
  }
  if (const std::string home = Find(environment, "HOME"); !home.empty()) {
    return std::filesystem::path(home) / ".config" / "muster" / "config.yaml";
  }
  return {};
}

absl::StatusOr<Settings> ResolveSettings(const Arguments& arguments,
                                         const Environment& environment) {
  Settings settings;
  MUSTER_RETURN_IF_ERROR(ReadConfig(ConfigFile(environment), settings));
  if (const std::string named = Find(environment, kCoordinatorVariable); !named.empty()) {
    settings.coordinator = named;
  }
  if (const std::string named = Find(environment, kCredentialVariable); !named.empty()) {
    settings.credential = named;
  }
  settings.no_color = arguments.Has("no-color") || !Find(environment, "NO_COLOR").empty();
  settings.json = arguments.Has("json");
  if (arguments.Has("coordinator")) settings.coordinator = arguments.Get("coordinator");
  if (arguments.Has("credential")) settings.credential = arguments.Get("credential");
  if (arguments.Has("rpc-timeout")) {
    auto timeout = ParseDuration(arguments.Get("rpc-timeout"));
    if (!timeout.ok()) return Annotate(timeout.status(), "--rpc-timeout");
    settings.rpc_timeout = *timeout;
  }
  if (settings.rpc_timeout < kMinRpcTimeout || settings.rpc_timeout > kMaxRpcTimeout) {
    return absl::InvalidArgumentError(
        StrCat("--rpc-timeout must be from 1ms to ", FormatDuration(kMaxRpcTimeout)));
  }
  return settings;
}

}  // namespace muster::cli
