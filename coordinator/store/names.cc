#include "coordinator/store/names.h"

#include <array>
#include <cstdlib>
#include <utility>

#include "proto/core/strings.h"

namespace muster {
namespace {

template <typename E>
using Entry = std::pair<E, std::string_view>;

constexpr std::array kInvocationStatuses = {
    Entry<InvocationStatus>{InvocationStatus::kOpen, "open"},
    Entry<InvocationStatus>{InvocationStatus::kReported, "reported"},
    Entry<InvocationStatus>{InvocationStatus::kFailed, "failed"},
    Entry<InvocationStatus>{InvocationStatus::kRefused, "refused"},
    Entry<InvocationStatus>{InvocationStatus::kExpired, "expired"},
};
constexpr std::array kSecAggSteps = {
    Entry<SecAggStep>{SecAggStep::kAdvert, "advert"},
    Entry<SecAggStep>{SecAggStep::kShares, "shares"},
    Entry<SecAggStep>{SecAggStep::kMasked, "masked"},
    Entry<SecAggStep>{SecAggStep::kConsent, "consent"},
    Entry<SecAggStep>{SecAggStep::kReveal, "reveal"},
};
constexpr std::array kAggregationModes = {
    Entry<AggregationMode>{AggregationMode::kClear, "off"},
    Entry<AggregationMode>{AggregationMode::kSemiHonest, "semi-honest"},
    Entry<AggregationMode>{AggregationMode::kMalicious, "malicious"},
};
constexpr std::array kTaskKinds = {
    Entry<TaskKind>{TaskKind::kRoundDeadline, "round-deadline"},
    Entry<TaskKind>{TaskKind::kCloseSum, "close-sum"},
    Entry<TaskKind>{TaskKind::kRequestEvaluation, "request-evaluation"},
    Entry<TaskKind>{TaskKind::kEvaluationDeadline, "evaluation-deadline"},
    Entry<TaskKind>{TaskKind::kCollectGarbage, "collect-garbage"},
};
constexpr std::array kPromotionPhases = {
    Entry<PromotionPhase>{PromotionPhase::kRollingOut, "rolling-out"},
    Entry<PromotionPhase>{PromotionPhase::kLive, "live"},
    Entry<PromotionPhase>{PromotionPhase::kRolledBack, "rolled-back"},
    Entry<PromotionPhase>{PromotionPhase::kSuperseded, "superseded"},
};
constexpr std::array kFunctionKinds = {
    Entry<FunctionKind>{FunctionKind::kTrain, "train"},
    Entry<FunctionKind>{FunctionKind::kEvaluate, "evaluate"},
    Entry<FunctionKind>{FunctionKind::kPersonalize, "personalize"},
    Entry<FunctionKind>{FunctionKind::kInfer, "infer"},
};
constexpr std::array kModelPhases = {
    Entry<ModelPhase>{ModelPhase::kApplying, "applying"},
    Entry<ModelPhase>{ModelPhase::kLive, "live"},
    Entry<ModelPhase>{ModelPhase::kFailed, "failed"},
};

template <typename Entries, typename E>
std::string_view NameOf(const Entries& entries, E value) {
  for (const auto& [candidate, name] : entries) {
    if (candidate == value) return name;
  }
  std::abort();  // a value outside its enum: memory is not what it should be
}

template <typename E, size_t n>
std::optional<E> ValueOf(const std::array<Entry<E>, n>& entries, std::string_view text) {
  for (const auto& [value, name] : entries) {
    if (name == text) return value;
  }
  return std::nullopt;
}

}  // namespace

std::string_view InvocationStatusName(InvocationStatus status) {
  return NameOf(kInvocationStatuses, status);
}
std::string_view SecAggStepName(SecAggStep step) { return NameOf(kSecAggSteps, step); }
std::string PartialSumText(const RoundId& round, std::string_view replica) {
  return StrCat("of round ", round.ToString(), " on replica ", replica);
}

std::string SecAggMessageText(SecAggStep step) {
  return std::string(SecAggStepName(step)) + " of device";
}
std::string_view TaskKindName(TaskKind kind) { return NameOf(kTaskKinds, kind); }
std::string_view PromotionPhaseName(PromotionPhase phase) {
  return NameOf(kPromotionPhases, phase);
}
std::string_view FunctionKindText(FunctionKind kind) { return NameOf(kFunctionKinds, kind); }
std::string_view ModelPhaseText(ModelPhase phase) { return NameOf(kModelPhases, phase); }

std::optional<InvocationStatus> ParseInvocationStatus(std::string_view name) {
  return ValueOf(kInvocationStatuses, name);
}
std::optional<SecAggStep> ParseSecAggStep(std::string_view name) {
  return ValueOf(kSecAggSteps, name);
}
std::optional<AggregationMode> ParseAggregationMode(std::string_view name) {
  return ValueOf(kAggregationModes, name);
}
std::optional<TaskKind> ParseTaskKind(std::string_view name) { return ValueOf(kTaskKinds, name); }
std::optional<PromotionPhase> ParsePromotionPhase(std::string_view name) {
  return ValueOf(kPromotionPhases, name);
}
std::optional<FunctionKind> ParseFunctionKind(std::string_view name) {
  return ValueOf(kFunctionKinds, name);
}
std::optional<ModelPhase> ParseModelPhase(std::string_view name) {
  return ValueOf(kModelPhases, name);
}

}  // namespace muster
