// Asks muster-worker what a TorchScript file holds: LibTorch stays out of this program.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/cli/job_model.h"

namespace muster::cli {

inline constexpr std::chrono::minutes kInspectTimeout{5};
inline constexpr size_t kMaxInspectOutput = 16u << 20;

// The first that is there: `named` (--worker), $MUSTER_WORKER (`environment`), muster-worker beside
// this program, muster-worker on `search_path`. FailedPrecondition says what to do if none is.
absl::StatusOr<std::filesystem::path> FindWorker(const std::string& named,
                                                 const std::string& environment,
                                                 const std::string& search_path);

// Runs `worker inspect`. Its refusal is FailedPrecondition with its own words.
absl::StatusOr<Inspection> InspectModule(const std::filesystem::path& worker,
                                         const std::filesystem::path& module,
                                         const std::vector<uint32_t>& input_shape);

// What the worker prints: {"architecture", "layout", "outputs", "has_loss"}; without weights.
absl::StatusOr<Inspection> ParseInspection(std::string_view json);

}  // namespace muster::cli
