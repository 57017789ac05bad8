#include "client/agent/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <set>
#include <span>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "client/agent/text.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/suggest.h"
#include "proto/transport/host_port.h"

namespace muster {
namespace {

using text::Cat;
using text::View;

std::string Join(const std::vector<std::string_view>& words) {
  std::string all;
  for (std::string_view word : words) all += Cat(all.empty() ? "" : ", ", word);
  return all;
}

// A setting's text with where relative paths start.
struct Value {
  std::string text;
  std::filesystem::path folder;
};
using Setter = std::function<absl::Status(ClientConfig&, const Value&)>;

absl::Status Expected(std::string_view what, std::string_view text) {
  return absl::InvalidArgumentError(Cat("expected ", what, ", got '", text, "'"));
}

template <typename T>
absl::StatusOr<T> ParseNumber(std::string_view text, T low, T high) {
  T value{};
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, value);
  bool good = error == std::errc() && stop == end && !text.empty();
  if constexpr (std::is_floating_point_v<T>) good = good && std::isfinite(value);
  if (!good || value < low || value > high) {
    return Expected(Cat("a ", std::is_floating_point_v<T> ? "number" : "whole number", " from ",
                        low, " to ", high),
                    text);
  }
  return value;
}

// "512MiB", "1GiB", "4096".
absl::StatusOr<uint64_t> ParseBytes(std::string_view text, uint64_t low) {
  uint64_t unit = 1;
  std::string_view digits = text;
  for (auto [suffix, factor] : {std::pair<std::string_view, uint64_t>{"KiB", 1u << 10},
                                {"MiB", 1u << 20},
                                {"GiB", 1u << 30}}) {
    if (text.ends_with(suffix)) {
      unit = factor;
      digits.remove_suffix(suffix.size());
    }
  }
  auto number = ParseNumber<uint64_t>(digits, 0, std::numeric_limits<uint64_t>::max() / unit);
  if (!number.ok() || *number * unit < low) {
    return Expected(Cat("at least ", low, " bytes, such as 64MiB"), text);
  }
  return *number * unit;
}

absl::StatusOr<bool> ParseBool(std::string_view text) {
  if (text == "true" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "no" || text == "off") return false;
  return Expected("true or false", text);
}

template <typename Number>
Setter SetNumber(std::function<Number&(ClientConfig&)> field, Number low,
                 Number high = std::numeric_limits<Number>::max()) {
  return [=](ClientConfig& config, const Value& value) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(field(config), ParseNumber<Number>(value.text, low, high));
    return absl::OkStatus();
  };
}
Setter SetMillis(std::function<std::chrono::milliseconds&(ClientConfig&)> field) {
  constexpr int64_t kDay = 24 * 3600 * 1000;
  return [=](ClientConfig& config, const Value& value) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(int64_t millis, ParseNumber<int64_t>(value.text, 1, kDay));
    field(config) = std::chrono::milliseconds(millis);
    return absl::OkStatus();
  };
}
Setter SetBytes(std::function<uint64_t&(ClientConfig&)> field, uint64_t low) {
  return [=](ClientConfig& config, const Value& value) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(field(config), ParseBytes(value.text, low));
    return absl::OkStatus();
  };
}
Setter SetBool(std::function<bool&(ClientConfig&)> field) {
  return [=](ClientConfig& config, const Value& value) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(field(config), ParseBool(value.text));
    return absl::OkStatus();
  };
}
Setter SetPath(std::function<std::filesystem::path&(ClientConfig&)> field) {
  return [=](ClientConfig& config, const Value& value) -> absl::Status {
    if (value.text.empty()) return Expected("a path", value.text);
    field(config) = (value.folder / value.text).lexically_normal();
    return absl::OkStatus();
  };
}
template <typename Enum>
Setter SetEnum(std::function<Enum&(ClientConfig&)> field,
               std::vector<std::pair<std::string_view, Enum>> names) {
  return [=](ClientConfig& config, const Value& value) -> absl::Status {
    std::vector<std::string_view> known;
    for (const auto& [name, member] : names) {
      if (value.text == name) {
        field(config) = member;
        return absl::OkStatus();
      }
      known.push_back(name);
    }
    return absl::InvalidArgumentError(Cat("expected one of ", Join(known), ", got '", value.text,
                                          "'", DidYouMean(value.text, known)));
  };
}

absl::StatusOr<std::pair<std::string, uint16_t>> ParseHostPort(std::string_view text,
                                                               uint16_t min_port) {
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return Expected("HOST:PORT", text);
  }
  auto port = ParseNumber<uint16_t>(text.substr(colon + 1), min_port, 65535);
  if (!port.ok()) return Expected(Cat("HOST:PORT with a port from ", min_port), text);
  return std::pair{std::string(text.substr(0, colon)), *port};
}

absl::Status SetCoordinator(ClientConfig& config, const Value& value) {
  if (absl::Status addresses = HostPort::ParseList(value.text).status(); !addresses.ok()) {
    return Expected("HOST:PORT with a port from 1, or several IP:PORT with commas between",
                    value.text);
  }
  config.coordinator = value.text;
  return absl::OkStatus();
}

absl::Status SetListen(ClientConfig& config, const Value& value) {
  MUSTER_ASSIGN_OR_RETURN(auto endpoint, ParseHostPort(value.text, 0));
  std::tie(config.serving.address, config.serving.port) = endpoint;
  return absl::OkStatus();
}

// No shell reads the command, so nothing that only a shell understands may stand in it.
absl::Status SetCommand(ClientConfig& config, const Value& value) {
  size_t bad = value.text.find_first_of("|&;<>()$`\\\"'*?[]#~!{}");
  if (bad != std::string::npos) {
    return absl::InvalidArgumentError(
        Cat("'", value.text.substr(bad, 1),
            "' has no meaning here, because no shell runs the command: write it as a list, "
            "[program, argument, ...], or name a script"));
  }
  std::vector<std::string> argv =
      absl::StrSplit(value.text, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (argv.empty()) return Expected("a program and its arguments", value.text);
  config.eligibility.command = std::move(argv);
  return absl::OkStatus();
}

#define FIELD(type, member) [](ClientConfig& c) -> type& { return c.member; }

const std::map<std::string_view, Setter>& Settings() {
  using std::filesystem::path;
  static const auto* settings = new std::map<std::string_view, Setter>{
      {"coordinator", SetCoordinator},
      {"state_dir", SetPath(FIELD(path, state_dir))},
      {"cache_bytes", SetBytes(FIELD(uint64_t, cache_bytes), kMinCacheBytes)},
      {"downloads.direct", SetBool(FIELD(bool, downloads.direct))},
      {"downloads.ca_file", SetPath(FIELD(path, downloads.ca_file))},
      {"downloads.plain_http", SetBool(FIELD(bool, downloads.plain_http))},
      {"data.format",
       SetEnum<DataFormat>(FIELD(DataFormat, data.format), {{"idx", DataFormat::kIdx},
                                                            {"csv", DataFormat::kCsv},
                                                            {"tensors", DataFormat::kTensors}})},
      {"data.images", SetPath(FIELD(path, data.images))},
      {"data.labels", SetPath(FIELD(path, data.labels))},
      {"data.path", SetPath(FIELD(path, data.path))},
      {"data.label_column",
       [](ClientConfig& c, const Value& v) {
         c.data.label_column = v.text;
         return v.text.empty() ? Expected("a column's name or number", v.text) : absl::OkStatus();
       }},
      {"data.header", SetBool(FIELD(bool, data.header))},
      {"data.directory", SetPath(FIELD(path, data.directory))},
      {"data.held_out_fraction",
       SetNumber<double>(FIELD(double, data.held_out_fraction), 0.0, 1.0)},
      {"data.max_examples", SetNumber<uint64_t>(FIELD(uint64_t, data.max_examples), 0)},
      {"data.seed", SetNumber<uint64_t>(FIELD(uint64_t, data.seed), 0)},
      {"data.partition.kind",
       SetEnum<PartitionKind>(FIELD(PartitionKind, data.partition),
                              {{"iid", PartitionKind::kIid},
                               {"dirichlet", PartitionKind::kDirichlet},
                               {"label_shards", PartitionKind::kLabelShards}})},
      {"data.partition.alpha", SetNumber<double>(FIELD(double, data.alpha), 1e-6, 1e6)},
      {"data.partition.shards_per_client",
       SetNumber<uint32_t>(FIELD(uint32_t, data.shards_per_client), 1, 10'000)},
      {"data.partition.parts", SetNumber<uint32_t>(FIELD(uint32_t, data.parts), 1, 1'000'000)},
      {"data.partition.index", SetNumber<uint32_t>(FIELD(uint32_t, data.index), 0, 999'999)},
      {"eligibility.require_idle", SetBool(FIELD(bool, eligibility.require_idle))},
      {"eligibility.require_charging", SetBool(FIELD(bool, eligibility.require_charging))},
      {"eligibility.require_unmetered", SetBool(FIELD(bool, eligibility.require_unmetered))},
      {"eligibility.metered", SetBool(FIELD(bool, eligibility.metered))},
      {"eligibility.idle_load_per_core",
       SetNumber<double>(FIELD(double, eligibility.idle_load_per_core), 0.0, 1000.0)},
      {"eligibility.command", SetCommand},
      {"eligibility.command_timeout_ms",
       SetMillis(FIELD(std::chrono::milliseconds, eligibility.command_timeout))},
      {"worker.binary", SetPath(FIELD(path, worker.binary))},
      {"worker.idle_timeout_ms", SetMillis(FIELD(std::chrono::milliseconds, worker.idle_timeout))},
      {"worker.memory_bytes", SetBytes(FIELD(uint64_t, worker.memory_bytes), 64u << 20)},
      {"serving.listen", SetListen},
      {"serving.binary", SetPath(FIELD(path, serving.binary))},
      {"serving.idle_timeout_ms",
       SetMillis(FIELD(std::chrono::milliseconds, serving.idle_timeout))},
      {"serving.min_instances", SetNumber<uint32_t>(FIELD(uint32_t, serving.min_instances), 0, 64)},
      {"serving.max_instances", SetNumber<uint32_t>(FIELD(uint32_t, serving.max_instances), 1, 64)},
  };
  return *settings;
}
#undef FIELD

// The keys that may stand directly below `prefix` ("" for the top).
std::vector<std::string_view> KeysBelow(std::string_view prefix) {
  std::set<std::string_view> keys;
  for (const auto& [path, setter] : Settings()) {
    if (!path.starts_with(prefix)) continue;
    std::string_view rest = path.substr(prefix.size());
    keys.insert(rest.substr(0, rest.find('.')));
  }
  return {keys.begin(), keys.end()};
}

bool IsSection(std::string_view path) {
  auto next = Settings().lower_bound(Cat(path, "."));
  return next != Settings().end() && next->first.starts_with(Cat(path, "."));
}

class Walker {
 public:
  Walker(std::string_view name, std::filesystem::path folder, ClientConfig& config)
      : name_(name), folder_(std::move(folder)), config_(config) {}

  absl::Status Walk(const YAML::Node& node, const std::string& prefix) {
    if (node.IsNull() && prefix.empty()) return absl::OkStatus();
    if (!node.IsMap()) return At(node, Cat(Where(prefix), " must be a map of keys"));
    for (const auto& pair : node) {
      if (!pair.first.IsScalar()) return At(pair.first, "keys must be plain words");
      const std::string key = pair.first.Scalar();
      const std::string path = prefix + key;
      if (!seen_.insert(path).second) {
        return At(pair.first, Cat("'", path, "' stands here twice: keep one"));
      }
      MUSTER_RETURN_IF_ERROR(Set(pair.first, pair.second, prefix, key));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Set(const YAML::Node& key_node, const YAML::Node& value, const std::string& prefix,
                   const std::string& key) {
    const std::string path = prefix + key;
    if (IsSection(path)) return Walk(value, path + ".");
    auto setting = Settings().find(path);
    if (setting == Settings().end()) {
      auto known = KeysBelow(prefix);
      return At(key_node, Cat("unknown key '", key, "' in ", Where(prefix), DidYouMean(key, known),
                              "; known keys: ", Join(known)));
    }
    if (path == "eligibility.command" && value.IsSequence()) return SetArgv(value);
    if (!value.IsScalar()) return At(value, Cat("'", path, "' must be one plain value"));
    absl::Status status = setting->second(config_, {value.Scalar(), folder_});
    if (!status.ok()) return At(value, Cat(path, ": ", status.message()));
    return absl::OkStatus();
  }

  absl::Status SetArgv(const YAML::Node& list) {
    std::vector<std::string> argv;
    for (const auto& item : list) {
      if (!item.IsScalar()) return At(item, "eligibility.command: every argument is a plain word");
      argv.push_back(item.Scalar());
    }
    if (argv.empty() || argv[0].empty()) {
      return At(list, "eligibility.command: the list is empty; name a program or drop the key");
    }
    config_.eligibility.command = std::move(argv);
    return absl::OkStatus();
  }

  static std::string Where(std::string_view prefix) {
    return prefix.empty() ? "the file" : Cat("'", prefix.substr(0, prefix.size() - 1), "'");
  }
  absl::Status At(const YAML::Node& node, std::string_view message) const {
    return absl::InvalidArgumentError(Cat(name_, ":", node.Mark().line + 1, ": ", message));
  }

  std::string_view name_;
  std::filesystem::path folder_;
  ClientConfig& config_;
  std::set<std::string> seen_;
};

absl::Status Overlay(ClientConfig& config, std::string_view path, const std::string& text,
                     std::string_view origin) {
  auto setting = Settings().find(path);
  if (setting == Settings().end()) {
    auto known = ConfigPaths();
    return absl::InvalidArgumentError(
        Cat(origin, ": unknown setting '", path, "'", DidYouMean(path, known)));
  }
  absl::Status status = setting->second(config, {text, std::filesystem::current_path()});
  return status.ok() ? status : Annotate(status, Cat(origin, ": ", path));
}

absl::Status CheckData(const DataConfig& data) {
  auto missing = [](std::string_view format, std::string_view key) {
    return absl::InvalidArgumentError(
        Cat("data.format is ", format, ", which needs data.", key, ": set it"));
  };
  switch (data.format) {
    case DataFormat::kNone:
      if (data.partition != PartitionKind::kNone || !data.images.empty() || !data.path.empty() ||
          !data.directory.empty()) {
        return absl::InvalidArgumentError(
            "data.format is not set: say idx, csv or tensors, or drop the 'data' section");
      }
      return absl::OkStatus();
    case DataFormat::kIdx:
      if (data.images.empty()) return missing("idx", "images");
      if (data.labels.empty()) return missing("idx", "labels");
      break;
    case DataFormat::kCsv:
      if (data.path.empty()) return missing("csv", "path");
      if (data.label_column.empty()) return missing("csv", "label_column");
      break;
    case DataFormat::kTensors:
      if (data.directory.empty()) return missing("tensors", "directory");
      break;
  }
  if (data.partition != PartitionKind::kNone && data.index >= data.parts) {
    return absl::InvalidArgumentError(Cat("data.partition.index is ", data.index,
                                          " but there are only ", data.parts,
                                          " parts: indices count from 0"));
  }
  if (data.partition == PartitionKind::kNone && data.parts != 1) {
    return absl::InvalidArgumentError(
        "data.partition.parts is set without data.partition.kind: say iid, dirichlet or "
        "label_shards");
  }
  return absl::OkStatus();
}

absl::Status Check(const ClientConfig& config) {
  if (config.state_dir.empty()) {
    return absl::InvalidArgumentError(
        "no state_dir: set it in the file, with --state-dir, or with MUSTER_STATE_DIR");
  }
  if (config.serving.min_instances > config.serving.max_instances) {
    return absl::InvalidArgumentError(Cat("serving.min_instances (", config.serving.min_instances,
                                          ") is above serving.max_instances (",
                                          config.serving.max_instances,
                                          "): lower the one or raise the other"));
  }
  return CheckData(config.data);
}

}  // namespace

std::optional<std::string> GetEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

std::vector<std::string_view> ConfigPaths() {
  std::vector<std::string_view> paths;
  for (const auto& [path, setter] : Settings()) paths.push_back(path);
  return paths;
}

std::string EnvironmentName(std::string_view path) {
  std::string name = Cat("MUSTER_", path);
  std::replace(name.begin(), name.end(), '.', '_');
  absl::AsciiStrToUpper(&name);
  return name;
}

absl::StatusOr<ClientConfig> ParseConfig(std::string_view text, std::string_view name,
                                         const std::filesystem::path& folder,
                                         const Environment& environment, const Overrides& flags) {
  ClientConfig config;
  try {
    YAML::Node root = YAML::Load(std::string(text));
    MUSTER_RETURN_IF_ERROR(Walker(name, folder, config).Walk(root, ""));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        Cat(name, ":", error.mark.line + 1, ": not valid YAML: ", error.msg));
  }
  for (std::string_view path : ConfigPaths()) {
    const std::string variable = EnvironmentName(path);
    if (auto value = environment(variable)) {
      MUSTER_RETURN_IF_ERROR(Overlay(config, path, *value, variable));
    }
  }
  for (const auto& [path, value] : flags) {
    MUSTER_RETURN_IF_ERROR(Overlay(config, path, value, "command line"));
  }
  if (absl::Status status = Check(config); !status.ok()) return Annotate(status, name);
  return config;
}

absl::StatusOr<ClientConfig> LoadConfig(const std::filesystem::path& file,
                                        const Environment& environment, const Overrides& flags) {
  if (file.empty()) return ParseConfig("", "settings", {}, environment, flags);
  auto text = ReadFile(file, kMaxConfigBytes);
  if (!text.ok()) return Annotate(text.status(), Cat("reading ", file.string()));
  std::error_code error;
  std::filesystem::path folder = std::filesystem::absolute(file, error).parent_path();
  return ParseConfig(*text, file.string(), folder, environment, flags);
}

worker::v1::DataSource ToDataSource(const DataConfig& data) {
  worker::v1::DataSource source;
  switch (data.format) {
    case DataFormat::kNone:
      return source;
    case DataFormat::kIdx:
      source.mutable_idx()->set_images(data.images);
      source.mutable_idx()->set_labels(data.labels);
      break;
    case DataFormat::kCsv:
      source.mutable_csv()->set_path(data.path);
      source.mutable_csv()->set_label_column(data.label_column);
      source.mutable_csv()->set_header(data.header);
      break;
    case DataFormat::kTensors:
      source.mutable_tensors()->set_directory(data.directory);
      break;
  }
  if (data.partition != PartitionKind::kNone) {
    auto& partition = *source.mutable_partition();
    if (data.partition == PartitionKind::kIid) partition.mutable_iid();
    if (data.partition == PartitionKind::kDirichlet) {
      partition.mutable_dirichlet()->set_alpha(data.alpha);
    }
    if (data.partition == PartitionKind::kLabelShards) {
      partition.mutable_label_shards()->set_shards_per_client(data.shards_per_client);
    }
    partition.set_parts(data.parts);
    partition.set_index(data.index);
  }
  source.set_held_out_fraction(data.held_out_fraction);
  source.set_max_examples(data.max_examples);
  source.set_seed(data.seed);
  return source;
}

}  // namespace muster
