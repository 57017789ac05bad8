#include "coordinator/store/sql/json_text.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "coordinator/store/names.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using Json = nlohmann::json;

// Bytes that are no UTF-8 are replaced rather than refused: they can only come from free text.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<Json> Parse(std::string_view text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::DataLossError("is not JSON");
  return json;
}

Json NumberToJson(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

absl::StatusOr<double> NumberFromJson(const Json& json) {
  if (json.is_number()) return json.get<double>();
  if (json == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (json == "inf") return std::numeric_limits<double>::infinity();
  if (json == "-inf") return -std::numeric_limits<double>::infinity();
  return absl::DataLossError("holds a value that is no number");
}

Json MetricsToJson(const Metrics& metrics) {
  Json json = Json::object();
  for (const auto& [name, value] : metrics) json[name] = NumberToJson(value);
  return json;
}

absl::StatusOr<Metrics> MetricsFromJson(const Json& json) {
  if (!json.is_object()) return absl::DataLossError("is not a JSON object");
  Metrics metrics;
  for (const auto& [name, value] : json.items()) {
    MUSTER_ASSIGN_OR_RETURN(metrics[name], NumberFromJson(value));
  }
  return metrics;
}

absl::StatusOr<ModelStatus> ModelStatusFromJson(const Json& json) {
  const auto is = [&](const char* key, auto check) {
    const auto it = json.find(key);
    return it != json.end() && check(*it);
  };
  const auto text = [](const Json& value) { return value.is_string(); };
  const auto number = [](const Json& value) {
    return value.is_number_unsigned() &&
           value.get<uint64_t>() <= std::numeric_limits<uint32_t>::max();
  };
  const auto flag = [](const Json& value) { return value.is_boolean(); };
  const auto map = [](const Json& value) { return value.is_object(); };
  if (!json.is_object() || !is("name", text) || !is("version", number) || !is("phase", text) ||
      !is("reason", text) || !is("serving_version", number) || !is("serving_personalized", flag) ||
      !is("metrics", map)) {
    return absl::DataLossError("holds a model that lacks a field or has one of a wrong type");
  }
  const std::optional<ModelPhase> phase = ParseModelPhase(json["phase"].get<std::string>());
  if (!phase.has_value()) return absl::DataLossError("holds a model in an unknown phase");
  ModelStatus status;
  status.name = ModelName::Trusted(json["name"].get<std::string>());
  status.version = json["version"].get<uint32_t>();
  status.phase = *phase;
  status.reason = json["reason"].get<std::string>();
  status.serving_version = json["serving_version"].get<uint32_t>();
  status.serving_personalized = json["serving_personalized"].get<bool>();
  MUSTER_ASSIGN_OR_RETURN(status.metrics, MetricsFromJson(json["metrics"]));
  return status;
}

}  // namespace

std::string LabelsToText(const Labels& labels) { return Dump(Json(labels)); }

absl::StatusOr<Labels> LabelsFromText(std::string_view text) {
  MUSTER_ASSIGN_OR_RETURN(const Json json, Parse(text));
  if (!json.is_object()) return absl::DataLossError("is not a JSON object");
  Labels labels;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) return absl::DataLossError("holds a label that is no string");
    labels[key] = value.get<std::string>();
  }
  return labels;
}

std::string MetricsToText(const Metrics& metrics) { return Dump(MetricsToJson(metrics)); }

absl::StatusOr<Metrics> MetricsFromText(std::string_view text) {
  MUSTER_ASSIGN_OR_RETURN(const Json json, Parse(text));
  return MetricsFromJson(json);
}

std::string ModelStatusesToText(const std::vector<ModelStatus>& models) {
  Json list = Json::array();
  for (const ModelStatus& model : models) {
    list.push_back({{"name", model.name.value()},
                    {"version", model.version},
                    {"phase", ModelPhaseText(model.phase)},
                    {"reason", model.reason},
                    {"serving_version", model.serving_version},
                    {"serving_personalized", model.serving_personalized},
                    {"metrics", MetricsToJson(model.metrics)}});
  }
  return Dump(list);
}

absl::StatusOr<std::vector<ModelStatus>> ModelStatusesFromText(std::string_view text) {
  MUSTER_ASSIGN_OR_RETURN(const Json json, Parse(text));
  if (!json.is_array()) return absl::DataLossError("is not a JSON list");
  std::vector<ModelStatus> models;
  for (const Json& item : json) {
    MUSTER_ASSIGN_OR_RETURN(ModelStatus status, ModelStatusFromJson(item));
    models.push_back(std::move(status));
  }
  return models;
}

}  // namespace muster
