// Options that every command takes: flags over environment over the config file.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "proto/core/limits.h"
#include "proto/core/time.h"

namespace muster::cli {

struct Arguments;

inline constexpr char kCoordinatorVariable[] = "MUSTER_COORDINATOR";
inline constexpr char kCredentialVariable[] = "MUSTER_CREDENTIAL";
inline constexpr char kWorkerVariable[] = "MUSTER_WORKER";
inline constexpr Duration kMaxRpcTimeout = std::chrono::hours(1);

struct Settings {
  std::string coordinator;           // HOST:PORT; empty: not named
  std::filesystem::path credential;  // folder; empty: not named
  bool json = false;
  bool no_color = false;
  Duration rpc_timeout = limits::kDefaultRpcDeadline;
};

using Environment = std::map<std::string, std::string, std::less<>>;
// $XDG_CONFIG_HOME/muster/config.yaml, or that below ~/.config; empty without either variable.
std::filesystem::path ConfigFile(const Environment& environment);

// An absent config file is no error. Its keys: coordinator, credential (relative to the file),
// rpc_timeout.
absl::StatusOr<Settings> ResolveSettings(const Arguments& arguments,
                                         const Environment& environment);

}  // namespace muster::cli
