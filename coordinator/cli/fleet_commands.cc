// fleet ls, show and revoke.
#include "coordinator/cli/commands.h"
#include "coordinator/cli/text.h"
#include "proto/core/ids.h"
#include "proto/core/labels.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

std::string LabelsOf(const v1::Device& device) {
  return FormatLabels(Labels(device.labels().begin(), device.labels().end()));
}

std::string ServingOf(const v1::Device& device) {
  std::vector<std::string> serving;
  for (const v1::ModelStatus& model : device.models()) {
    if (model.serving_version() == 0) continue;
    serving.push_back(StrCat(model.name(), "@", model.serving_version(),
                             model.serving_personalized() ? " (own)" : ""));
  }
  return serving.empty() ? "-" : StrJoin(serving, ", ");
}

absl::StatusOr<ExitCode> List(Context& context) {
  const std::string selector =
      context.arguments.operands.empty() ? "" : context.arguments.operands[0];
  MUSTER_RETURN_IF_ERROR(Selector::Parse(selector).status());
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  v1::ListDevicesRequest request;
  request.set_selector(selector);
  MUSTER_ASSIGN_OR_RETURN(const auto devices, AllPages<v1::ListDevicesResponse>(
                                                  *api, request, [](v1::ListDevicesResponse& r) {
                                                    return r.mutable_devices();
                                                  }));
  if (context.json()) {
    PrintJson(context, ListView("devices", devices.devices()));
    return kExitDone;
  }
  if (devices.devices().empty()) {
    context.err << (selector.empty()
                        ? "no device has enrolled yet; `muster tokens create` makes a join token"
                        : "no device matches")
                << std::endl;
    return kExitDone;
  }
  Table table({{"DEVICE"},
               {"LABELS"},
               {"SEEN"},
               {"EXAMPLES", Table::Align::kRight},
               {"SERVES"},
               {"STATE"}});
  const Timestamp now = SystemClock().Now();
  for (const v1::Device& device : devices.devices()) {
    const bool enrolled = !device.revoked();
    table.Add({device.id(),
               LabelsOf(device),
               FormatAge(device.last_seen_unix_us(), now),
               FormatCount(device.eligibility().train_examples()),
               ServingOf(device),
               {enrolled ? "enrolled" : "revoked", enrolled ? Color::kNone : Color::kRed}});
  }
  context.out << table.Render(context.color());
  return kExitDone;
}

void PrintModel(Context& context, const v1::ModelStatus& model) {
  const std::string phase = ShortName(*v1::ModelPhase_descriptor(), model.phase());
  context.out << "model        " << model.name() << "@" << model.version() << " "
              << Paint(phase, ColorOf(phase), context.color()) << ", serves version "
              << model.serving_version() << (model.serving_personalized() ? ", personalized" : "")
              << "\n";
  if (!model.reason().empty()) context.out << "  reason     " << Printable(model.reason()) << "\n";
  std::map<std::string, double> sorted(model.metrics().begin(), model.metrics().end());
  for (const auto& [name, value] : sorted) {
    context.out << "  " << Printable(name) << " " << FormatNumber(value) << "\n";
  }
}

void PrintDevice(Context& context, const v1::Device& device) {
  const v1::Eligibility& can = device.eligibility();
  const auto word = [](bool yes) { return yes ? "yes" : "no"; };
  context.out << "device       " << device.id() << (device.revoked() ? " (revoked)" : "") << "\n"
              << "labels       " << Printable(LabelsOf(device)) << "\n"
              << "agent        " << Printable(device.agent_version()) << "\n"
              << "enrolled     " << FormatTime(device.enrolled_unix_us()) << "\n"
              << "last seen    " << FormatTime(device.last_seen_unix_us()) << "\n"
              << "certificate  until " << FormatTime(device.certificate_expires_unix_us()) << "\n"
              << "idle         " << word(can.idle()) << "\n"
              << "charging     " << word(can.charging()) << "\n"
              << "unmetered    " << word(can.unmetered()) << "\n"
              << "agreed       " << word(can.custom()) << "\n"
              << "data         "
              << (can.has_data() ? StrCat(FormatCount(can.train_examples()), " examples") : "none")
              << "\n";
  for (const v1::ModelStatus& model : device.models()) PrintModel(context, model);
}

absl::StatusOr<ExitCode> Show(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const DeviceId id, DeviceId::Parse(context.arguments.operands[0]));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  v1::GetDeviceRequest request;
  request.set_id(id.value());
  MUSTER_ASSIGN_OR_RETURN(const v1::GetDeviceResponse response, api->Call(request));
  if (context.json()) {
    PrintJson(context, ViewOf(response));
  } else {
    PrintDevice(context, response.device());
  }
  return kExitDone;
}

absl::StatusOr<ExitCode> Revoke(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const DeviceId id, DeviceId::Parse(context.arguments.operands[0]));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  v1::RevokeDeviceRequest request;
  request.set_id(id.value());
  request.set_reason(context.arguments.Get("reason"));
  MUSTER_ASSIGN_OR_RETURN(const v1::RevokeDeviceResponse response, api->Call(request));
  if (context.json()) {
    PrintJson(context, ViewOf(response));
  } else {
    context.out << id.value() << " is revoked: it is refused at its next call" << std::endl;
  }
  return kExitDone;
}

}  // namespace

std::vector<Command> FleetCommands() {
  return {
      {.words = "fleet ls",
       .operands = "[SELECTOR]",
       .operands_max = 1,
       .summary = "list devices",
       .description = "Lists the devices that have enrolled, or those that match the selector. "
                      "With --json: {\"devices\": [...]}.",
       .options = {},
       .examples = "muster fleet ls\nmuster fleet ls 'site=a,role!=evaluator'",
       .run = List},
      {.words = "fleet show",
       .operands = "DEVICE",
       .operands_min = 1,
       .operands_max = 1,
       .summary = "show a device",
       .description = "Shows what a device last said of itself, and what it serves. With --json: "
                      "{\"device\": {...}}.",
       .options = {},
       .examples = "muster fleet show device-03",
       .run = Show},
      {.words = "fleet revoke",
       .operands = "DEVICE",
       .operands_min = 1,
       .operands_max = 1,
       .summary = "shut a device out",
       .description = "Refuses every later call of the device, from the next one on. Its id cannot "
                      "enrol again.",
       .options = {{"reason", 0, "TEXT", "why; it is kept and logged"}},
       .examples = "muster fleet revoke device-03 --reason 'stolen from the van'",
       .run = Revoke},
  };
}

}  // namespace muster::cli
