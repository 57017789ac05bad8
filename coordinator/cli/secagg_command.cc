// secagg plan.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <thread>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/secagg_plan.h"
#include "coordinator/cli/text.h"
#include "proto/core/job_spec.h"
#include "proto/core/strings.h"
#include "proto/core/suggest.h"

namespace muster::cli {
namespace {

constexpr uint32_t kUsualParameters = 1'000'000;

struct Question {
  secagg::Assumptions assumptions;
  uint32_t parameters = kUsualParameters;
  uint32_t ring_bits = 32;
};

absl::StatusOr<double> FractionOption(const Arguments& arguments, std::string_view name,
                                      double otherwise) {
  if (!arguments.Has(name)) return otherwise;
  const std::string text = arguments.Get(name);
  double value = -1;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || !(value >= 0 && value < limits::kMaxClientFraction)) {
    return absl::InvalidArgumentError(StrCat("--", name, " is '", text,
                                             "'; it must be a fraction of the clients, at least 0 "
                                             "and below ",
                                             limits::kMaxClientFraction));
  }
  return value;
}

absl::StatusOr<secagg::Mode> ModeOption(const Arguments& arguments) {
  static constexpr std::array<std::string_view, 2> kModes = {"semi-honest", "malicious"};
  const std::string text = arguments.Get("mode", kModes[0]);
  if (text == kModes[0]) return secagg::Mode::kSemiHonest;
  if (text == kModes[1]) return secagg::Mode::kMalicious;
  return absl::InvalidArgumentError(StrCat("--mode is '", text, "'", DidYouMean(text, kModes),
                                           "; it must be semi-honest or malicious"));
}

absl::StatusOr<Question> QuestionOf(const Arguments& arguments) {
  if (!arguments.Has("clients")) {
    return absl::InvalidArgumentError("say how many clients take part in a round: --clients N");
  }
  MUSTER_ASSIGN_OR_RETURN(const uint32_t clients,
                          CountOption(arguments, "clients", 0, 1, limits::kMaxCohort));
  const AggregationConfig usual;
  secagg::Params params;
  MUSTER_ASSIGN_OR_RETURN(params.drop, FractionOption(arguments, "drop", usual.drop));
  MUSTER_ASSIGN_OR_RETURN(params.corrupt, FractionOption(arguments, "corrupt", usual.corrupt));
  MUSTER_ASSIGN_OR_RETURN(params.mode, ModeOption(arguments));
  Question question{.assumptions = secagg::AssumptionsOf(params, clients)};
  MUSTER_ASSIGN_OR_RETURN(
      question.parameters,
      CountOption(arguments, "parameters", kUsualParameters, 1, limits::kMaxParameters));
  MUSTER_ASSIGN_OR_RETURN(question.ring_bits,
                          CountOption(arguments, "bits", usual.ring_bits, 16, 64));
  if (std::popcount(question.ring_bits) != 1) {
    return absl::InvalidArgumentError(
        StrCat("--bits is ", question.ring_bits, "; it must be 16, 32 or 64"));
  }
  return question;
}

struct Seconds {
  double client = 0;       // on one core like this machine's
  double coordinator = 0;  // on one core
  unsigned cores = 1;
};

Seconds SecondsOf(const SecAggPlan& plan, const MaskSpeed& speed) {
  const double mask = static_cast<double>(plan.vector_bytes) / speed.bytes_per_second;
  return {.client = mask * static_cast<double>(plan.client_masks),
          .coordinator = mask * static_cast<double>(plan.coordinator_masks),
          .cores = std::max(1u, std::thread::hardware_concurrency())};
}

Json Log2(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json JsonOf(const Question& question, const SecAggPlan& plan, const MaskSpeed& speed) {
  const secagg::Assumptions& assumptions = question.assumptions;
  const Seconds seconds = SecondsOf(plan, speed);
  Json phases = Json::array();
  for (const PhaseBytes& phase : plan.phases) {
    phases.push_back({{"phase", phase.phase}, {"bytes_up", phase.up}, {"bytes_down", phase.down}});
  }
  return {{"clients", assumptions.clients},
          {"drop", assumptions.drop},
          {"corrupt", assumptions.corrupt},
          {"mode", assumptions.mode == secagg::Mode::kMalicious ? "malicious" : "semi_honest"},
          {"parameters", question.parameters},
          {"ring_bits", question.ring_bits},
          {"neighbours", plan.graph.neighbours},
          {"threshold", plan.graph.threshold},
          {"log2_insecure", Log2(plan.graph.log2_insecure)},
          {"log2_incorrect", Log2(plan.graph.log2_incorrect)},
          {"vector_bytes", plan.vector_bytes},
          {"magnitude", plan.magnitude},
          {"phases", std::move(phases)},
          {"client_bytes_up", plan.up},
          {"client_bytes_down", plan.down},
          {"coordinator_bytes_in", plan.up * assumptions.clients},
          {"coordinator_bytes_out", plan.down * assumptions.clients},
          {"client_masks", plan.client_masks},
          {"coordinator_masks", plan.coordinator_masks},
          {"kernel", speed.kernel},
          {"keystream_bytes_per_second", speed.bytes_per_second},
          {"client_seconds", seconds.client},
          {"coordinator_core_seconds", seconds.coordinator},
          {"coordinator_seconds", seconds.coordinator / seconds.cores}};
}

std::string Chance(double log2) {
  if (!std::isfinite(log2)) return "impossible";
  // Rounded up: it is a bound.
  return StrCat("a chance below 2^", std::ceil(log2 * 10) / 10);
}

void PrintGraph(const Question& question, const SecAggPlan& plan, std::ostream& out) {
  const secagg::Assumptions& assumptions = question.assumptions;
  const secagg::GraphPlan& graph = plan.graph;
  const bool complete = graph.neighbours + 1 == assumptions.clients;
  out << "clients     " << FormatCount(assumptions.clients) << "; up to "
      << FormatPercent(assumptions.drop) << " may drop out, and up to "
      << FormatPercent(assumptions.corrupt) << ", at least " << secagg::kMinCorrupt
      << " clients, may collude with the coordinator\n"
      << "mode        "
      << (assumptions.mode == secagg::Mode::kMalicious ? "malicious" : "semi-honest") << "\n"
      << "neighbours  " << FormatCount(graph.neighbours)
      << (complete ? ", everybody else" : " for each client") << "\n"
      << "threshold   " << FormatCount(graph.threshold)
      << " of them together open what a client shared with them\n"
      << "exposure    " << Chance(graph.log2_insecure)
      << " that the coordinator learns more than the sum\n"
      << "loss        " << Chance(graph.log2_incorrect) << " that the sum cannot be unmasked\n"
      << "vector      " << FormatBytes(plan.vector_bytes) << ": "
      << FormatCount(question.parameters) << " parameters in a ring of " << question.ring_bits
      << " bits, rounded to 1/" << FormatCount(plan.magnitude) << " of the clip\n";
}

void PrintTimes(const SecAggPlan& plan, const MaskSpeed& speed, std::ostream& out) {
  const Seconds seconds = SecondsOf(plan, speed);
  out << "masking     " << FormatCount(plan.client_masks)
      << " masks on a device: " << FormatNumber(seconds.client)
      << " s on a core like this machine's\n"
      << "unmasking   " << FormatCount(plan.coordinator_masks)
      << " masks on the coordinator, at worst: " << FormatNumber(seconds.coordinator)
      << " s on one core, " << FormatNumber(seconds.coordinator / seconds.cores) << " s on "
      << seconds.cores << "\n"
      << "            (" << speed.kernel << ", "
      << FormatBytes(static_cast<uint64_t>(speed.bytes_per_second))
      << " of masks a second on one core of this machine)\n";
}

absl::StatusOr<ExitCode> Plan(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const Question question, QuestionOf(context.arguments));
  MUSTER_ASSIGN_OR_RETURN(
      const SecAggPlan plan,
      MakeSecAggPlan(question.assumptions, question.parameters, question.ring_bits));
  const MaskSpeed speed = MeasureMasking(question.ring_bits);
  if (context.json()) {
    PrintJson(context, JsonOf(question, plan, speed));
    return kExitDone;
  }
  PrintGraph(question, plan, context.out);
  using enum Table::Align;
  Table table({{"EXCHANGE"}, {"UP", kRight}, {"DOWN", kRight}});
  for (const PhaseBytes& phase : plan.phases) {
    table.Add({std::string(phase.phase), FormatBytes(phase.up), FormatBytes(phase.down)});
  }
  table.Add({"one client, in all", FormatBytes(plan.up), FormatBytes(plan.down)});
  const uint64_t clients = question.assumptions.clients;
  table.Add({"all clients", FormatBytes(plan.up * clients), FormatBytes(plan.down * clients)});
  context.out << "\n" << table.Render(context.color()) << "\n";
  PrintTimes(plan, speed, context.out);
  return kExitDone;
}

constexpr char kPlanDescription[] =
    R"(Tells what secure aggregation needs and costs in one round of N clients, without a coordinator: the neighbours that each client shares secrets with, how many of them together can open one, and the chances, under the assumptions given, that the coordinator learns more than the sum, or that the sum is lost; then the bytes of each exchange and the time that masks take.

Devices draw the same numbers and refuse a coordinator whose graph is weaker. With fewer than 30 clients, everybody is everybody's neighbour. In malicious mode the chance of exposure is held below 2^-80, otherwise below 2^-40; the sum is lost with a chance below 2^-40 as long as no more clients drop out than assumed.

Bytes are those of a round's exchanges alone: the model goes down to each device before. UP is what one client sends and DOWN what it gets; the last line has all clients together. Certificates are taken to be of 600 bytes. Times are the keystream's, at the speed that a core of this machine shows within some 20 ms; training and the network come on top. Unmasking is reckoned for as many dropouts as may be.

With --json: {"clients", "drop", "corrupt", "mode", "parameters", "ring_bits", "neighbours", "threshold", "log2_insecure", "log2_incorrect" (null: impossible), "vector_bytes", "magnitude", "phases": [{"phase", "bytes_up", "bytes_down"}], "client_bytes_up", "client_bytes_down", "coordinator_bytes_in", "coordinator_bytes_out", "client_masks", "coordinator_masks", "kernel", "keystream_bytes_per_second", "client_seconds", "coordinator_core_seconds", "coordinator_seconds"}.)";

}  // namespace

std::vector<Command> SecAggCommands() {
  return {
      {.words = "secagg plan",
       .operands = "",
       .summary = "tell what secure aggregation needs and costs",
       .description = kPlanDescription,
       .options = {{"clients", 0, "N", "clients in a round; required"},
                   {"drop", 0, "FRACTION", "of the clients that may drop out in a round (0.1)"},
                   {"corrupt", 0, "FRACTION",
                    "of the clients that may collude with the coordinator (0.1)"},
                   {"mode", 0, "MODE", "semi-honest or malicious (semi-honest)"},
                   {"parameters", 0, "N", "shared parameters of the model (1000000)"},
                   {"bits", 0, "B", "of the ring that sums are in: 16, 32 or 64 (32)"}},
       .examples = "muster secagg plan --clients 100\n"
                   "muster secagg plan --clients 1000 --drop 0.3 --mode malicious --parameters "
                   "10000000\n"
                   "muster secagg plan --clients 100 --json | jq .client_bytes_up",
       .run = Plan},
  };
}

}  // namespace muster::cli
