// promote, promote status and promote rollback.
#include <chrono>
#include <thread>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/duration.h"
#include "coordinator/cli/rollout_view.h"
#include "coordinator/cli/text.h"
#include "proto/core/ids.h"
#include "proto/core/labels.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

constexpr std::chrono::milliseconds kLookAgain{250};
constexpr Duration kDefaultWait = std::chrono::minutes(5);

std::string PhaseOf(const v1::Promotion& promotion) {
  return ShortName(*v1::PromotionPhase_descriptor(), promotion.phase());
}

void Print(Context& context, const v1::Promotion& promotion) {
  const std::string phase = PhaseOf(promotion);
  context.out << "promotion    " << promotion.id() << "\n"
              << "model        " << promotion.name() << "@" << promotion.version()
              << (promotion.personalize() ? ", personalized on each device" : "") << "\n"
              << "cohort       "
              << (promotion.cohort().empty() ? "every device" : promotion.cohort()) << "\n"
              << "phase        " << Paint(phase, ColorOf(phase), context.color()) << "\n"
              << "since        " << FormatTime(promotion.created_unix_us()) << "\n"
              << "before       "
              << (promotion.previous_version() == 0
                      ? "nothing"
                      : StrCat(promotion.name(), "@", promotion.previous_version()))
              << "\n"
              << "devices      " << CountsOf(promotion) << "\n";
  if (promotion.devices().empty()) return;
  Table table({{"DEVICE"}, {"STATE"}, {"SERVES", Table::Align::kRight}, {"REASON"}});
  for (const v1::PromotionDevice& device : promotion.devices()) {
    const std::string state = StateOf(device);
    table.Add({device.device(),
               {state, ColorOf(state)},
               device.status().serving_version() == 0
                   ? "-"
                   : StrCat("@", device.status().serving_version()),
               device.status().reason()});
  }
  context.out << "\n" << table.Render(context.color());
}

absl::StatusOr<v1::Promotion> Look(Api& api, const std::string& name, const std::string& id) {
  v1::GetPromotionRequest request;
  request.set_name(id.empty() ? name : "");
  request.set_id(id);
  MUSTER_ASSIGN_OR_RETURN(v1::GetPromotionResponse response, api.Call(request));
  return std::move(*response.mutable_promotion());
}

// The last look, once the promotion is decided or the time is over. A coordinator that is away for
// the moment is asked again.
absl::StatusOr<v1::Promotion> WaitFor(Context& context, Api& api, v1::Promotion promotion,
                                      Duration timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  std::string told;
  while (DecisionOf(promotion) == RolloutDecision::kPending &&
         std::chrono::steady_clock::now() < end) {
    if (const std::string counts = CountsOf(promotion); counts != told && !context.json()) {
      context.err << counts << std::endl;
      told = counts;
    }
    std::this_thread::sleep_for(kLookAgain);
    auto look = Look(api, "", promotion.id());
    if (look.ok()) {
      promotion = *std::move(look);
    } else if (!IsTransient(look.status())) {
      return look.status();
    }
  }
  return promotion;
}

absl::StatusOr<v1::PromoteRequest> OrderOf(const Arguments& arguments) {
  auto model = ModelVersion::Parse(arguments.operands[0]);
  if (!model.ok()) {
    return absl::InvalidArgumentError(StrCat(StdView(model.status().message()),
                                             "; `muster models ls` lists what can be promoted"));
  }
  if (!arguments.Has("cohort")) {
    return absl::InvalidArgumentError(
        "promote needs --cohort SELECTOR, such as --cohort site=a; --cohort '' is every device");
  }
  auto cohort = Selector::Parse(arguments.Get("cohort"));
  if (!cohort.ok()) return Annotate(cohort.status(), "--cohort");
  v1::PromoteRequest request;
  request.set_name(model->name.value());
  request.set_version(model->version);
  request.set_cohort(cohort->ToString());
  request.set_no_personalize(arguments.Has("no-personalize"));
  return request;
}

absl::StatusOr<ExitCode> Promote(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const v1::PromoteRequest request, OrderOf(context.arguments));
  MUSTER_ASSIGN_OR_RETURN(const Duration timeout,
                          TimeOption(context.arguments, "timeout", kDefaultWait));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_ASSIGN_OR_RETURN(v1::PromoteResponse response, api->Call(request));
  if (response.already() && !context.json()) {
    context.err << "this promotion stands already; nothing was changed" << std::endl;
  }
  if (context.arguments.Has("wait")) {
    MUSTER_ASSIGN_OR_RETURN(*response.mutable_promotion(),
                            WaitFor(context, *api, response.promotion(), timeout));
  }
  if (context.json()) {
    PrintJson(context, ViewOf(response));
  } else {
    Print(context, response.promotion());
  }
  if (!context.arguments.Has("wait")) return kExitDone;
  const v1::Promotion& promotion = response.promotion();
  if (DecisionOf(promotion) == RolloutDecision::kLive) return kExitDone;
  if (!context.json()) {
    context.err << "muster: " << promotion.name() << "@" << promotion.version() << " "
                << WhyNotLive(promotion, timeout) << "; `muster promote rollback --id "
                << promotion.id() << "` returns to what was there before" << std::endl;
  }
  return kExitPromotion;
}

// The promotion that [NAME] or --id names.
absl::StatusOr<std::pair<std::string, std::string>> WhichOf(const Arguments& arguments) {
  const std::string id = arguments.Get("id");
  const std::string name = arguments.operands.empty() ? "" : arguments.operands[0];
  if (id.empty() == name.empty()) {
    return absl::InvalidArgumentError(
        "name one promotion: by its model's NAME, for the newest of it, or by --id");
  }
  if (!name.empty()) MUSTER_RETURN_IF_ERROR(ModelName::Parse(name).status());
  if (!id.empty()) MUSTER_RETURN_IF_ERROR(PromotionId::Parse(id).status());
  return std::pair(name, id);
}

absl::StatusOr<ExitCode> Status(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const auto which, WhichOf(context.arguments));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_ASSIGN_OR_RETURN(const v1::Promotion promotion, Look(*api, which.first, which.second));
  if (context.json()) {
    PrintJson(context, {{"promotion", ViewOf(promotion)}});
  } else {
    Print(context, promotion);
  }
  return kExitDone;
}

absl::StatusOr<ExitCode> RollBack(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const auto which, WhichOf(context.arguments));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  v1::RollBackRequest request;
  request.set_name(which.first);
  request.set_id(which.second);
  MUSTER_ASSIGN_OR_RETURN(const v1::RollBackResponse response, api->Call(request));
  if (context.json()) {
    PrintJson(context, ViewOf(response));
  } else {
    Print(context, response.promotion());
  }
  return kExitDone;
}

constexpr char kPromoteDescription[] =
    R"(Makes a model version the one that the devices of a cohort serve. This is desired state: devices fetch it, check its signature, personalize it on their own data unless told not to, quantize it, compare it with the fleet's model, and serve it; until then, and if that fails, they serve the last good version. Repeating the command changes nothing.

With --wait it ends when every device that the promotion covers serves the version, and fails with 6 if a device failed and none is pending, if no device is covered, if another promotion took its place, or if the time is over. Nothing is rolled back by itself: scripts/promote does that.

With --json: {"promotion", "already"}.)";

}  // namespace

std::vector<Command> PromoteCommands() {
  const OptionSpec id = {"id", 0, "ID", "a promotion's id, instead of NAME"};
  return {
      {.words = "promote",
       .operands = "NAME@VERSION",
       .operands_min = 1,
       .operands_max = 1,
       .summary = "let a cohort serve a model version",
       .description = kPromoteDescription,
       .options = {{"cohort", 0, "SELECTOR",
                    "which devices, such as site=a,role!=evaluator; '' "
                    "is every device"},
                   {"no-personalize", 0, "", "serve the fleet's model as it is, quantized"},
                   {"wait", 'w', "", "until it is live, or has failed"},
                   {"timeout", 0, "TIME", "longest wait (5m)"}},
       .examples = "muster promote fashion@21 --cohort 'role!=evaluator' --wait\n"
                   "muster promote fashion@21 --cohort '' --no-personalize",
       .run = Promote},
      {.words = "promote status",
       .operands = "[NAME]",
       .operands_max = 1,
       .summary = "show a promotion, device by device",
       .description = "Shows the newest promotion of a model, or the one that --id names. With "
                      "--json: {\"promotion\": {..., \"devices\": [{\"device\", \"seen\", "
                      "\"status\"}]}}.",
       .options = {id},
       .examples = "muster promote status fashion\nmuster promote status --id p-1c2d3e4f",
       .run = Status},
      {.words = "promote rollback",
       .operands = "[NAME]",
       .operands_max = 1,
       .summary = "return to what was promoted before",
       .description = "Takes a promotion back: its devices return to the version that it replaced, "
                      "or serve none if there was none. Repeating it changes nothing.",
       .options = {id},
       .examples = "muster promote rollback fashion",
       .run = RollBack},
  };
}

}  // namespace muster::cli
