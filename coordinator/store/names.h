// Names of stored enums: what the database holds and what listings print. Never rename one.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "coordinator/store/records.h"

namespace muster {

std::optional<InvocationStatus> ParseInvocationStatus(std::string_view name);
std::optional<SecAggStep> ParseSecAggStep(std::string_view name);
std::string SecAggMessageText(SecAggStep step);  // "advert of device", for messages
std::string PartialSumText(const RoundId& round, std::string_view replica);
std::optional<AggregationMode> ParseAggregationMode(std::string_view name);
std::optional<TaskKind> ParseTaskKind(std::string_view name);
std::optional<PromotionPhase> ParsePromotionPhase(std::string_view name);
std::optional<FunctionKind> ParseFunctionKind(std::string_view name);
std::string_view FunctionKindText(FunctionKind kind);
std::string_view ModelPhaseText(ModelPhase phase);
std::optional<ModelPhase> ParseModelPhase(std::string_view name);

}  // namespace muster
