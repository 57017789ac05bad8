// Maps and lists as JSON in TEXT columns. Doubles come back bit for bit; infinities and NaN, which
// JSON lacks, are the strings "inf", "-inf" and "nan".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/store/records.h"

namespace muster {

std::string LabelsToText(const Labels& labels);
absl::StatusOr<Labels> LabelsFromText(std::string_view text);

std::string MetricsToText(const Metrics& metrics);
absl::StatusOr<Metrics> MetricsFromText(std::string_view text);

std::string ModelStatusesToText(const std::vector<ModelStatus>& models);
absl::StatusOr<std::vector<ModelStatus>> ModelStatusesFromText(std::string_view text);

}  // namespace muster
