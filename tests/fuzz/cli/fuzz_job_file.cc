// The job file's parser. The first line, if it starts with '=', is an override; the rest the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/cli/job_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> overrides;
  if (text.starts_with("=")) {
    const size_t end = text.find('\n');
    overrides.emplace_back(text.substr(1, end == std::string_view::npos ? end : end - 1));
    text = end == std::string_view::npos ? "" : text.substr(end + 1);
  }
  const auto job = muster::cli::ParseJobFile(text, "job.yaml", "/jobs", overrides);
  // What is refused is refused as wrong, with a reason; what is accepted has what a job needs.
  if (!job.ok() && (job.status().code() != absl::StatusCode::kInvalidArgument ||
                    job.status().message().empty())) {
    std::abort();
  }
  if (job.ok() && (job->spec.name.empty() || job->spec.rounds == 0 ||
                   job->spec.round.quorum > job->spec.round.clients ||
                   job->model.zoo.empty() == job->model.torchscript.empty())) {
    std::abort();
  }
  return 0;
}
