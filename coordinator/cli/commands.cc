#include "coordinator/cli/commands.h"

#include <charconv>

#include "coordinator/cli/duration.h"
#include "coordinator/cli/text.h"
#include "proto/core/ids.h"
#include "proto/core/strings.h"

namespace muster::cli {

void PrintJson(Context& context, const Json& json) {
  context.out << json.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
}

absl::StatusOr<ModelOperand> ParseModelOperand(const std::string& text) {
  if (text.find('@') == std::string::npos) {
    MUSTER_ASSIGN_OR_RETURN(const ModelName name, ModelName::Parse(text));
    return ModelOperand{name.value(), 0};
  }
  MUSTER_ASSIGN_OR_RETURN(const ModelVersion model, ModelVersion::Parse(text));
  return ModelOperand{model.name.value(), model.version};
}

absl::StatusOr<uint32_t> CountOption(const Arguments& arguments, std::string_view name,
                                     uint32_t otherwise, uint32_t low, uint32_t high) {
  if (!arguments.Has(name)) return otherwise;
  const std::string text = arguments.Get(name);
  uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < low || value > high) {
    return absl::InvalidArgumentError(
        StrCat("--", name, " is '", text, "'; it must be a whole number from ", low, " to ", high));
  }
  return value;
}

absl::StatusOr<Duration> TimeOption(const Arguments& arguments, std::string_view name,
                                    Duration otherwise) {
  if (!arguments.Has(name)) return otherwise;
  auto time = ParseDuration(arguments.Get(name));
  if (!time.ok()) return Annotate(time.status(), StrCat("--", name));
  return time;
}

void Meter::operator()(uint64_t done, uint64_t total) {
  if (context_.json() || !context_.err_is_terminal) return;
  context_.err << "\r\033[K" << what_ << " " << FormatBytes(done) << " of " << FormatBytes(total)
               << std::flush;
}

void Meter::Finish(uint64_t total) {
  if (context_.json()) return;
  context_.err << (context_.err_is_terminal ? "\r\033[K" : "") << what_ << " " << FormatBytes(total)
               << std::endl;
}

std::vector<Command> AllCommands() {
  std::vector<Command> all;
  for (auto part :
       {RunCommands, JobCommands, ModelCommands, PromoteCommands, FleetCommands, TokenCommands,
        CredentialCommands, AuditCommands, SecAggCommands, GeneralCommands}) {
    for (Command& command : part()) all.push_back(std::move(command));
  }
  return all;
}

}  // namespace muster::cli
