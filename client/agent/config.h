// The device's configuration: client.yaml, with the environment and then flags laid over it.
//
// Every setting has one path, such as "data.partition.alpha". The file spells it as nested keys,
// the environment as MUSTER_DATA_PARTITION_ALPHA, the command line as --set
// data.partition.alpha=0.3. An unknown key, a wrong type or an impossible value is an error that
// names the place and the remedy.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "muster/worker/v1/worker.pb.h"
#include "proto/core/limits.h"

namespace muster {

inline constexpr size_t kMaxConfigBytes = 256u << 10;
inline constexpr uint64_t kMinCacheBytes = 1u << 20;

enum class DataFormat { kNone, kIdx, kCsv, kTensors };
enum class PartitionKind { kNone, kIid, kDirichlet, kLabelShards };

// Where this device's examples are. Relative paths are relative to the file's folder.
struct DataConfig {
  DataFormat format = DataFormat::kNone;
  std::filesystem::path images, labels;  // idx
  std::filesystem::path path;            // csv
  std::string label_column;
  bool header = true;
  std::filesystem::path directory;  // tensors
  PartitionKind partition = PartitionKind::kNone;
  double alpha = 0.3;
  uint32_t shards_per_client = 2;
  uint32_t parts = 1, index = 0;
  double held_out_fraction = 0.2;
  uint64_t max_examples = 0;  // 0: all
  uint64_t seed = 1;
};

// What must hold before this device offers itself for work.
struct EligibilityConfig {
  bool require_idle = false;
  bool require_charging = true;
  bool require_unmetered = true;
  bool metered = false;              // the owner says that the network costs money
  double idle_load_per_core = 0.5;   // one-minute load average, per core, up to which it is idle
  std::vector<std::string> command;  // argv; exit code 0 agrees; empty: always agrees
  std::chrono::milliseconds command_timeout{10'000};
};

struct WorkerConfig {
  std::filesystem::path binary;  // empty: muster-worker beside this program
  std::chrono::milliseconds idle_timeout{limits::kDefaultWorkerIdle};
  uint64_t memory_bytes = limits::kDefaultWorkerMemoryBytes;
};

struct ServingConfig {
  std::string address = "127.0.0.1";
  uint16_t port = 0;             // 0: any free one; agent.json says which
  std::filesystem::path binary;  // empty: muster-infer beside this program
  std::chrono::milliseconds idle_timeout{60'000};
  uint32_t min_instances = 0, max_instances = 2;
};

// Large blobs, which the coordinator may send this device to fetch elsewhere by a URL.
struct DownloadsConfig {
  bool direct = true;             // false: everything comes through the coordinator
  std::filesystem::path ca_file;  // PEM, for https; empty: the system's
  bool plain_http = false;        // true: also over networks that everybody can read
};

struct ClientConfig {
  std::string coordinator;  // host:port
  std::filesystem::path state_dir;
  DataConfig data;
  EligibilityConfig eligibility;
  uint64_t cache_bytes = limits::kDefaultCacheBytes;
  DownloadsConfig downloads;
  WorkerConfig worker;
  ServingConfig serving;
};

// Path of a setting to its text.
using Overrides = std::map<std::string, std::string, std::less<>>;
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// The process's own environment.
std::optional<std::string> GetEnvironment(const std::string& name);

// `file` may be empty: then only the environment and `flags` speak. Checks every value, and values
// against each other, but not that files exist.
absl::StatusOr<ClientConfig> LoadConfig(const std::filesystem::path& file,
                                        const Environment& environment, const Overrides& flags);
// The same from text; `name` stands in messages and relative paths are relative to `folder`.
absl::StatusOr<ClientConfig> ParseConfig(std::string_view text, std::string_view name,
                                         const std::filesystem::path& folder,
                                         const Environment& environment, const Overrides& flags);

// All paths, for --help and for suggestions.
std::vector<std::string_view> ConfigPaths();
std::string EnvironmentName(std::string_view path);

// What data readers and muster-worker take. Unset format: no data on this device.
worker::v1::DataSource ToDataSource(const DataConfig& data);

}  // namespace muster
