// Looks whether a coordinator's state folder is in order, also beside the process that has it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "proto/core/time.h"

namespace muster {

enum class Finding { kFine, kWarning, kProblem };
std::string_view FindingName(Finding finding);  // "fine", "warning", "problem"

struct CheckResult {
  std::string check;  // "keys", "certificate", "schema", ...
  Finding finding = Finding::kFine;
  std::string text;    // what was found
  std::string advice;  // what to do, or empty
};

struct DoctorOptions {
  std::filesystem::path state_dir;
  std::filesystem::path identity, package_key, at_rest_key, blobs, staging;  // below it
  bool deep = false;  // read every blob that is referred to, and compare its digest
};

// One result at least for each check; a check that cannot be made is a problem, never left out.
std::vector<CheckResult> Examine(const DoctorOptions& options, Timestamp now);

}  // namespace muster
