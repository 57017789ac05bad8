#include "coordinator/identity/ca_state.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "coordinator/identity/authority.h"
#include "proto/core/files.h"
#include "proto/core/status.h"

namespace muster {
namespace {

constexpr uint64_t kMaxStateBytes = 4096;

absl::Status OutOfOrder(std::string_view why, std::string_view next) {
  return absl::FailedPreconditionError(absl::StrCat(std::string(why), "; ", std::string(next)));
}

constexpr std::string_view kNextRotate = "`muster-coordinator ca rotate` begins a rotation";
constexpr std::string_view kNextSwitch =
    "next is `muster-coordinator ca switch`, once `muster-coordinator ca status` says that all "
    "devices trust the new one";
constexpr std::string_view kNextRetire =
    "next is `muster-coordinator ca retire`, once `muster-coordinator ca status` says that no "
    "device uses the old one";

}  // namespace

std::string_view CaStageName(CaStage stage) {
  switch (stage) {
    case CaStage::kSettled:
      return "settled";
    case CaStage::kAnnounced:
      return "announced";
    case CaStage::kSwitched:
      return "switched";
  }
  return "";
}

CaStage CaState::stage() const {
  if (trusted.size() == 1) return CaStage::kSettled;
  return issuer == trusted.back() ? CaStage::kSwitched : CaStage::kAnnounced;
}

absl::StatusOr<CaState> Announced(CaState state) {
  switch (state.stage()) {
    case CaStage::kAnnounced:
      return OutOfOrder(absl::StrCat("CA ", state.newest(), " is announced already"), kNextSwitch);
    case CaStage::kSwitched:
      return OutOfOrder(absl::StrCat("CA ", state.newest(), " issues, and CA ",
                                     state.trusted.front(), " is not retired yet"),
                        kNextRetire);
    case CaStage::kSettled:
      break;
  }
  if (state.newest() == kMaxAuthorityNumber) {
    return absl::ResourceExhaustedError("this coordinator has had as many CAs as it can count");
  }
  state.trusted.push_back(state.newest() + 1);
  ++state.generation;
  return state;
}

absl::StatusOr<CaState> Switched(CaState state) {
  switch (state.stage()) {
    case CaStage::kSettled:
      return OutOfOrder("there is one CA, and it issues", kNextRotate);
    case CaStage::kSwitched:
      return OutOfOrder(absl::StrCat("CA ", state.newest(), " issues already"), kNextRetire);
    case CaStage::kAnnounced:
      break;
  }
  state.issuer = state.newest();
  return state;
}

absl::StatusOr<CaState> Retired(CaState state) {
  switch (state.stage()) {
    case CaStage::kSettled:
      return OutOfOrder("there is one CA only", kNextRotate);
    case CaStage::kAnnounced:
      return OutOfOrder(absl::StrCat("CA ", state.trusted.front(), " still issues"), kNextSwitch);
    case CaStage::kSwitched:
      break;
  }
  state.trusted = {state.issuer};
  ++state.generation;
  return state;
}

std::string PrintCaState(const CaState& state) {
  return nlohmann::json{
             {"generation", state.generation}, {"issuer", state.issuer}, {"trusted", state.trusted}}
             .dump() +
         "\n";
}

absl::StatusOr<CaState> ParseCaState(std::string_view text) {
  const absl::Status damaged = absl::InvalidArgumentError(
      "expected {\"generation\": G, \"issuer\": N, \"trusted\": [N, ...]} as `ca rotate` writes "
      "it; restore the whole identity folder from one copy");
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("generation") || !json.contains("issuer") ||
      !json.contains("trusted") || !json["trusted"].is_array() || json["trusted"].empty() ||
      json["trusted"].size() > 2) {
    return damaged;
  }
  const auto number = [](const nlohmann::json& value, uint64_t most) -> uint64_t {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > most) return 0;
    return value.get<uint64_t>();
  };
  CaState state{.generation = number(json["generation"], INT64_MAX),
                .issuer = static_cast<uint32_t>(number(json["issuer"], kMaxAuthorityNumber)),
                .trusted = {}};
  for (const auto& value : json["trusted"]) {
    state.trusted.push_back(static_cast<uint32_t>(number(value, kMaxAuthorityNumber)));
  }
  const bool ordered = state.trusted.front() > 0 &&
                       std::adjacent_find(state.trusted.begin(), state.trusted.end(),
                                          std::greater_equal<>()) == state.trusted.end();
  const bool issues =
      std::find(state.trusted.begin(), state.trusted.end(), state.issuer) != state.trusted.end();
  if (state.generation == 0 || !issues || !ordered) return damaged;
  return state;
}

absl::StatusOr<CaState> ReadCaState(const std::filesystem::path& dir) {
  const absl::StatusOr<std::string> text = ReadFile(dir / kCaStateFile, kMaxStateBytes);
  if (absl::IsNotFound(text.status())) return CaState();
  MUSTER_RETURN_IF_ERROR(text.status());
  absl::StatusOr<CaState> state = ParseCaState(*text);
  if (!state.ok()) return Annotate(state.status(), (dir / kCaStateFile).string());
  return state;
}

std::string CaKeyFileOf(uint32_t number) {
  return number == 1 ? kCaKeyFile : absl::StrCat("ca-", number, "-key.pem");
}

std::string CaCertificateFileOf(uint32_t number) {
  return number == 1 ? kCaCertificateFile : absl::StrCat("ca-", number, ".pem");
}

}  // namespace muster
