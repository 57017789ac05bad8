// From a job file to a job: the model's network, parameters and first weights.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/cli/job_file.h"

namespace muster::cli {

inline constexpr uint64_t kMaxModuleBytes = 2ull << 30;  // a TorchScript file

// What muster-worker says about a TorchScript file.
struct Inspection {
  std::optional<Architecture> architecture;  // none: its graph is no plain list of layers
  ParameterLayout layout;
  uint32_t outputs = 0;
  bool has_loss = false;
  std::string weights;  // float32 little endian
};
// InvalidArgument and the like: the file cannot be trained, with the reason. NotFound: there is no
// such file. FailedPrecondition: there is no muster-worker.
using Inspector = std::function<absl::StatusOr<Inspection>(
    const std::filesystem::path& module, const std::vector<uint32_t>& input_shape)>;

struct PreparedJob {
  JobSpec spec;         // complete and valid
  std::string weights;  // float32 little endian; spec.initial_weights is its digest
  std::string module;   // the TorchScript file's bytes; empty for zoo models
};

// Zoo models are made here, from the job's seed; `inspect` is asked for TorchScript files.
absl::StatusOr<PreparedJob> PrepareJob(const JobFile& file, const Inspector& inspect);

}  // namespace muster::cli
