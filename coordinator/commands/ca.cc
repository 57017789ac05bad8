// muster-coordinator ca status, rotate, switch and retire
#include <filesystem>
#include <nlohmann/json.hpp>

#include "coordinator/commands/command.h"
#include "coordinator/drive/ca_census.h"
#include "coordinator/identity/authority.h"
#include "coordinator/identity/rotation.h"
#include "coordinator/serve.h"
#include "coordinator/store/open_store.h"
#include "proto/core/random.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::commands {
namespace {

namespace po = boost::program_options;

std::filesystem::path IdentityOf(const CommandLine& line) {
  return std::filesystem::path(line.Get<std::string>("state-dir")) / kIdentityFolder;
}

po::options_description CaOptions() {
  po::options_description options = CommonOptions();
  options.add_options()("json", po::bool_switch(), "print the result as JSON");
  return options;
}

po::options_description CaOptionsWithStore() {
  po::options_description options = CaOptions();
  options.add_options()("store",
                        po::value<std::string>()->default_value("sqlite")->value_name("URL"),
                        "where the devices' records are; as for `serve`");
  return options;
}

absl::StatusOr<CaCensus> CensusOf(const CommandLine& line, const CaState& state) {
  // Beside a coordinator that runs.
  MUSTER_ASSIGN_OR_RETURN(
      const std::unique_ptr<StateStore> store,
      OpenStoreForReading(line.Get<std::string>("store"), line.Get<std::string>("state-dir")));
  CaCensus census;
  MUSTER_RETURN_IF_ERROR(store->Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(census, TakeCaCensus(reader, state, SystemClock().Now()));
    return absl::OkStatus();
  }));
  return census;
}

std::string Names(const CaCensus& census) {
  std::vector<std::string> names;
  for (const DeviceId& device : census.named) names.push_back(device.value());
  return StrCat(StrJoin(names, ", "), census.waiting > names.size() ? ", ..." : "");
}

// Refuses a step that would lock devices out, unless it is forced.
absl::Status CheckNobodyIsLeftBehind(const CommandLine& line, const CaState& state,
                                     std::string_view what) {
  if (line.Get<bool>("force")) return absl::OkStatus();
  MUSTER_ASSIGN_OR_RETURN(const CaCensus census, CensusOf(line, state));
  if (census.waiting == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      StrCat(census.waiting, " of ", census.devices, " devices ", what, ": ", Names(census),
             ". They do so by themselves when they check in and renew; `muster-coordinator ca"
             " status` shows how far they are. A device that never comes can be revoked (`muster"
             " fleet revoke`); --force goes on without them, and they have to enrol again"));
}

std::string_view NextStep(CaStage stage) {
  switch (stage) {
    case CaStage::kSettled:
      return "ca rotate";
    case CaStage::kAnnounced:
      return "ca switch";
    case CaStage::kSwitched:
      return "ca retire";
  }
  return "";
}

nlohmann::json JsonOf(const CertificateAuthority& authority) {
  const CaState& state = authority.state();
  nlohmann::json json = {{"stage", CaStageName(state.stage())},
                         {"generation", state.generation},
                         {"issuer", state.issuer},
                         {"next", NextStep(state.stage())},
                         {"authorities", nlohmann::json::array()}};
  for (const uint32_t number : state.trusted) {
    const Certificate& certificate = authority.authority(number);
    json["authorities"].push_back({{"number", number},
                                   {"pin", CertificatePin(certificate)},
                                   {"not_after_unix_us", certificate.not_after().unix_us},
                                   {"issues", number == state.issuer}});
  }
  return json;
}

void Print(std::ostream& out, const CertificateAuthority& authority) {
  const CaState& state = authority.state();
  out << "stage  " << CaStageName(state.stage()) << "\n";
  for (const uint32_t number : state.trusted) {
    const Certificate& certificate = authority.authority(number);
    out << "CA " << number << "   " << CertificatePin(certificate) << ", until "
        << certificate.not_after().ToString()
        << (number == state.issuer ? ", trusted, issues" : ", trusted") << "\n";
  }
}

absl::StatusOr<int> RunStatus(CommandLine& line) {
  if (!line.Parse(CaOptionsWithStore())) return kExitDone;
  MUSTER_ASSIGN_OR_RETURN(const CertificateAuthority authority,
                          CertificateAuthority::Open(IdentityOf(line)));
  const CaState& state = authority.state();
  MUSTER_ASSIGN_OR_RETURN(const CaCensus census, CensusOf(line, state));
  if (line.Get<bool>("json")) {
    nlohmann::json json = JsonOf(authority);
    json["devices"] = {{"live", census.devices},
                       {"trust_all", census.trusting},
                       {"use_issuer", census.using_issuer},
                       {"waited_for", census.waiting},
                       {"expired", census.expired}};
    json["first_waited_for"] = nlohmann::json::array();
    for (const DeviceId& device : census.named) json["first_waited_for"].push_back(device.value());
    line.out() << json.dump() << "\n";
    return kExitDone;
  }
  Print(line.out(), authority);
  line.out() << "of " << census.devices << " devices, " << census.trusting
             << " trust all of these CAs, and " << census.using_issuer
             << " use a certificate of CA " << state.issuer << "\n"
             << "besides, with an expired certificate: " << census.expired << "\n";
  if (census.waiting > 0) {
    line.out() << "wait for " << census.waiting << " before `" << NextStep(state.stage())
               << "`: " << Names(census) << "\n";
  } else if (state.stage() != CaStage::kSettled) {
    line.out() << "next: muster-coordinator " << NextStep(state.stage()) << "\n";
  }
  return kExitDone;
}

constexpr char kReplicas[] =
    "A coordinator that runs on this folder takes it up within seconds. Copy the identity\n"
    "folder to every other replica now.\n";

absl::StatusOr<int> Report(CommandLine& line, std::string_view what) {
  MUSTER_ASSIGN_OR_RETURN(const CertificateAuthority authority,
                          CertificateAuthority::Open(IdentityOf(line)));
  if (line.Get<bool>("json")) {
    line.out() << JsonOf(authority).dump() << "\n";
    return kExitDone;
  }
  line.out() << what << "\n";
  Print(line.out(), authority);
  line.out() << kReplicas << "Next: muster-coordinator ca status\n";
  return kExitDone;
}

absl::StatusOr<int> RunRotate(CommandLine& line) {
  if (!line.Parse(CaOptions())) return kExitDone;
  SystemRandom random;
  MUSTER_RETURN_IF_ERROR(AnnounceCa(IdentityOf(line), random, SystemClock().Now()).status());
  return Report(line, "A new CA is made and announced; the present one still issues.");
}

absl::StatusOr<int> RunSwitch(CommandLine& line) {
  po::options_description options = CaOptionsWithStore();
  options.add_options()("force", po::bool_switch(),
                        "also if devices do not trust the new CA yet: they have to enrol again");
  if (!line.Parse(options)) return kExitDone;
  MUSTER_ASSIGN_OR_RETURN(const CaState state, ReadCaState(IdentityOf(line)));
  MUSTER_RETURN_IF_ERROR(Switched(state).status());
  MUSTER_RETURN_IF_ERROR(CheckNobodyIsLeftBehind(line, state, "do not trust the new CA yet"));
  MUSTER_RETURN_IF_ERROR(SwitchCa(IdentityOf(line)).status());
  return Report(line, "The new CA issues. Devices that enrol from now on need its pin.");
}

absl::StatusOr<int> RunRetire(CommandLine& line) {
  po::options_description options = CaOptionsWithStore();
  options.add_options()("force", po::bool_switch(),
                        "also if devices still use the old CA: they have to enrol again");
  if (!line.Parse(options)) return kExitDone;
  MUSTER_ASSIGN_OR_RETURN(const CaState state, ReadCaState(IdentityOf(line)));
  if (state.stage() == CaStage::kSwitched) {
    MUSTER_RETURN_IF_ERROR(CheckNobodyIsLeftBehind(line, state, "still depend on the old CA"));
  }
  MUSTER_RETURN_IF_ERROR(RetireCa(IdentityOf(line)).status());
  return Report(line, "The old CA is retired; what it issued is refused, and its key is removed.");
}

constexpr char kStory[] =
    R"(
A rotation has three steps, at the pace of the fleet:

  ca rotate   makes a CA. It is trusted beside the present one, which still issues.
              Devices learn of it when they check in, and keep it.
  ca switch   the new one issues: the coordinator's own certificate at once, a device's
              when it renews (at two thirds of its lifetime; a week unless set).
  ca retire   the old one is trusted no more, and its key is removed.

`ca status` tells when the next step locks nobody out. No device enrols again, and jobs
go on. Whoever was away for the whole time has an expired certificate and enrols with
a new token. Researchers and operators run `muster credential renew` after the first
and after the second step. Replicas may be one step apart: copy the identity folder to
each of them between steps. A step that was killed can be called again.
)";

}  // namespace

const Command& CaStatusCommand() {
  static const std::string description = StrCat(
      "Shows which CAs are trusted, which one issues, and how many devices have followed.\n"
      "Works beside a running coordinator. What is known of a device is what it said at its\n"
      "last check-in.\n",
      kStory);
  static const Command command = {.name = "ca status",
                                  .summary = "shows how far a rotation of the CA is",
                                  .synopsis = "--state-dir DIR [--store URL] [--json]",
                                  .description = description,
                                  .examples =
                                      "muster-coordinator ca status -d /var/lib/muster\n"
                                      "muster-coordinator ca status --json\n",
                                  .run = RunStatus};
  return command;
}

const Command& CaRotateCommand() {
  static const std::string description = StrCat(
      "Makes the next certificate authority of this coordinator, with a key of its own and\n"
      "the same trust domain, and announces it to the fleet.\n",
      kStory);
  static const Command command = {
      .name = "ca rotate",
      .summary = "begins to replace the CA: makes and announces another",
      .synopsis = "--state-dir DIR [--json]",
      .description = description,
      .examples = "muster-coordinator ca rotate -d /var/lib/muster\n",
      .run = RunRotate};
  return command;
}

const Command& CaSwitchCommand() {
  static const std::string description = StrCat(
      "Lets the CA issue that `ca rotate` made. Refused while devices do not trust it yet:\n"
      "they could not connect any more.\n",
      kStory);
  static const Command command = {.name = "ca switch",
                                  .summary = "lets the new CA issue certificates",
                                  .synopsis = "--state-dir DIR [--store URL] [--force] [--json]",
                                  .description = description,
                                  .examples = "muster-coordinator ca switch -d /var/lib/muster\n",
                                  .run = RunSwitch};
  return command;
}

const Command& CaRetireCommand() {
  static const std::string description = StrCat(
      "Ends the trust in the old CA, and removes its key. Refused while devices depend on\n"
      "it: they would be refused.\n",
      kStory);
  static const Command command = {.name = "ca retire",
                                  .summary = "ends the trust in the old CA",
                                  .synopsis = "--state-dir DIR [--store URL] [--force] [--json]",
                                  .description = description,
                                  .examples = "muster-coordinator ca retire -d /var/lib/muster\n",
                                  .run = RunRetire};
  return command;
}

}  // namespace muster::commands
