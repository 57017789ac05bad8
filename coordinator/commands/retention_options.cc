#include "coordinator/commands/retention_options.h"

#include "proto/core/status.h"

namespace muster::commands {
namespace {

namespace po = boost::program_options;
using std::chrono::hours;

constexpr uint32_t kHoursADay = 24;
constexpr uint32_t kMaxDays = 36'500;

absl::StatusOr<Duration> DaysFrom(const CommandLine& line, const char* name) {
  const auto days = line.Get<uint32_t>(name);
  if (days > kMaxDays) {
    return absl::InvalidArgumentError(std::string("--") + name + ": at most 36500 days");
  }
  return Duration(hours(days * kHoursADay));
}

}  // namespace

void AddRetentionOptions(po::options_description& options) {
  options.add_options()("keep-versions", po::value<uint32_t>()->default_value(0)->value_name("N"),
                        "newest versions of each model that stay; 0: all")(
      "keep-history-days", po::value<uint32_t>()->default_value(0)->value_name("DAYS"),
      "how long invocations and usage of ended jobs stay; 0: for good")(
      "keep-uploads-hours", po::value<uint32_t>()->default_value(8 * 24)->value_name("HOURS"),
      "how long an upload stays that nobody touches")(
      "keep-audit-days", po::value<uint32_t>()->default_value(0)->value_name("DAYS"),
      "how long changes stay in the audit log; 0: for good")(
      "keep-refusals", po::value<uint64_t>()->default_value(100'000)->value_name("N"),
      "newest rows of refusals that stay in the audit log")(
      "grace-hours", po::value<uint32_t>()->default_value(24)->value_name("HOURS"),
      "how long a blob stays that nothing refers to");
}

absl::StatusOr<GarbagePolicy> RetentionFrom(const CommandLine& line) {
  GarbagePolicy policy{.keep_versions = line.Get<uint32_t>("keep-versions"),
                       .keep_uploads = hours(line.Get<uint32_t>("keep-uploads-hours")),
                       .grace = hours(line.Get<uint32_t>("grace-hours")),
                       .keep_refusals = line.Get<uint64_t>("keep-refusals")};
  MUSTER_ASSIGN_OR_RETURN(policy.keep_history, DaysFrom(line, "keep-history-days"));
  MUSTER_ASSIGN_OR_RETURN(policy.keep_changes, DaysFrom(line, "keep-audit-days"));
  MUSTER_RETURN_IF_ERROR(CheckPolicy(policy));
  return policy;
}

}  // namespace muster::commands
