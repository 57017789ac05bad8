// The job file: what a researcher writes down about a training job (README.md is its reference).
// Everything in it is checked here, with its place; what needs the model itself is for
// job_model.h.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/cli/section.h"
#include "models/zoo/zoo.h"
#include "proto/core/job_spec.h"
#include "proto/core/layout.h"

namespace muster::cli {

// Updates that must come in for a round to count, where the file does not say: this share of
// round.clients, rounded up; with secure aggregation all but those that may drop out, and at least
// limits::kMinSecureClients.
inline constexpr double kDefaultQuorumShare = 0.8;
uint32_t DefaultQuorum(uint32_t clients, const AggregationConfig& aggregation);

struct ModelChoice {
  std::string zoo;                    // a zoo model's name, or empty
  std::filesystem::path torchscript;  // or a file, or empty
  ZooOptions options;                 // what the file says about shapes; the rest is zero
};

struct JobFile {
  JobSpec spec;  // without architecture, module, layout and initial weights
  ModelChoice model;
  GroupPatterns groups;
  Places places;  // of everything that was set

  // "job.yaml:3:5: train.loss: ..." for a path that was set; the file's name for one that was not.
  std::string Locate(std::string_view path) const;
};

// `source` names the file in messages; relative paths in it start at `folder`. `overrides` are
// KEY=VALUE with dotted keys, applied before anything is checked. InvalidArgument lists every
// problem, one a line.
absl::StatusOr<JobFile> ParseJobFile(std::string_view yaml, std::string_view source,
                                     const std::filesystem::path& folder,
                                     std::span<const std::string> overrides);
// NotFound if it is absent.
absl::StatusOr<JobFile> ReadJobFile(const std::filesystem::path& path,
                                    std::span<const std::string> overrides);

}  // namespace muster::cli
