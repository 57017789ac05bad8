#include "client/agent/status.h"

#include <signal.h>

#include <nlohmann/json.hpp>

#include "client/agent/journal.h"
#include "client/agent/state_dir.h"
#include "client/agent/text.h"
#include "client/identity/device_identity.h"
#include "proto/core/files.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using nlohmann::json;
using text::Cat;

constexpr size_t kShownInvocations = 20;
constexpr size_t kMaxAgentJsonBytes = 4096;

std::string_view StageName(Stage stage) {
  switch (stage) {
    case Stage::kReceived:
      return "received";
    case Stage::kRunning:
      return "running";
    case Stage::kReady:
      return "ready";
    case Stage::kAnswered:
      return "answered";
  }
  return "unknown";
}

std::string_view PhaseText(ModelPhase phase) {
  switch (phase) {
    case ModelPhase::kApplying:
      return "applying";
    case ModelPhase::kLive:
      return "live";
    case ModelPhase::kFailed:
      return "failed";
  }
  return "unknown";
}

// agent.json stays behind when the agent is killed: its pid tells whether it still runs.
json ReadAgent(const StateDir& dir) {
  json agent = {{"running", false}, {"pid", 0}, {"inference_port", 0}};
  auto bytes = ReadFile(dir.agent_json(), kMaxAgentJsonBytes);
  if (!bytes.ok()) return agent;
  const json stored = json::parse(*bytes, nullptr, /*allow_exceptions=*/false);
  if (!stored.is_object() || !stored.contains("pid") || !stored["pid"].is_number_integer()) {
    return agent;
  }
  const pid_t pid = stored["pid"].get<pid_t>();
  if (pid <= 0 || kill(pid, 0) != 0) return agent;
  agent["running"] = true;
  agent["pid"] = pid;
  if (stored.contains("inference_port")) agent["inference_port"] = stored["inference_port"];
  return agent;
}

absl::StatusOr<json> ReadModels(Journal& journal) {
  json models = json::array();
  MUSTER_ASSIGN_OR_RETURN(const auto good, journal.GoodModels());
  MUSTER_ASSIGN_OR_RETURN(const auto attempted, journal.AttemptedModels());
  for (const auto& attempt : attempted) {
    json model = {{"name", attempt.model.name.value()},
                  {"version", attempt.model.version},
                  {"phase", PhaseText(attempt.status.phase)},
                  {"reason", attempt.status.reason},
                  {"serving_version", 0},
                  {"serving_personalized", false},
                  {"metrics", attempt.status.metrics}};
    for (const GoodModel& one : good) {
      if (one.model.name != attempt.model.name) continue;
      model["serving_version"] = one.model.version;
      model["serving_personalized"] = one.status.serving_personalized;
    }
    models.push_back(std::move(model));
  }
  return models;
}

absl::StatusOr<json> ReadInvocations(Journal& journal) {
  json invocations = json::array();
  MUSTER_ASSIGN_OR_RETURN(const auto recent, journal.Recent(kShownInvocations));
  for (const JournalEntry& entry : recent) {
    invocations.push_back({{"id", entry.invocation.id.value()},
                           {"function", FunctionName(entry.invocation.function)},
                           {"job", entry.invocation.job.value()},
                           {"round", entry.invocation.round},
                           {"stage", StageName(entry.stage)},
                           {"attempts", entry.attempts},
                           {"outcome", entry.outcome}});
  }
  return invocations;
}

std::string Text(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string Human(const json& status) {
  std::string out = Cat("device       ", Text(status["device"]), "\ncertificate  ",
                        status["expired"].get<bool>() ? "EXPIRED " : "until ",
                        Text(status["not_after"]), "\nagent        ");
  const json& agent = status["agent"];
  out += agent["running"].get<bool>()
             ? Cat("running, pid ", Text(agent["pid"]), ", inference on port ",
                   Text(agent["inference_port"]), "\n")
             : "not running\n";
  out += Cat("generation   told ", Text(status["generation_told"]), ", applied ",
             Text(status["generation_applied"]), "\n");
  for (const json& model : status["models"]) {
    out += Cat("model        ", Text(model["name"]), "@", Text(model["version"]), " ",
               Text(model["phase"]), ", serving version ", Text(model["serving_version"]),
               model["serving_personalized"].get<bool>() ? " (personalized)" : "",
               Text(model["reason"]).empty() ? "" : ": ", Text(model["reason"]), "\n");
  }
  for (const json& one : status["invocations"]) {
    out += Cat("invocation   ", Text(one["id"]), " ", Text(one["function"]), " ",
               Text(one["stage"]), " ", Text(one["outcome"]), "\n");
  }
  return out;
}

}  // namespace

absl::StatusOr<StatusText> DescribeStatus(const std::filesystem::path& state_dir) {
  const StateDir dir{state_dir};
  MUSTER_ASSIGN_OR_RETURN(const DeviceIdentity identity, LoadIdentity(state_dir));
  MUSTER_ASSIGN_OR_RETURN(const auto journal, Journal::Open(dir.journal()));
  json status = {{"device", identity.id.value()},
                 {"labels", identity.labels},
                 {"not_after", identity.not_after.ToString()},
                 {"expired", identity.Expired(SystemClock().Now())},
                 {"agent", ReadAgent(dir)}};
  MUSTER_ASSIGN_OR_RETURN(const std::optional<DesiredState> desired, journal->Desired());
  status["generation_told"] = desired ? desired->generation : 0;
  MUSTER_ASSIGN_OR_RETURN(status["generation_applied"], journal->Applied());
  MUSTER_ASSIGN_OR_RETURN(status["models"], ReadModels(*journal));
  MUSTER_ASSIGN_OR_RETURN(status["invocations"], ReadInvocations(*journal));
  return StatusText{status.dump(2, ' ', false, json::error_handler_t::replace), Human(status)};
}

}  // namespace muster
