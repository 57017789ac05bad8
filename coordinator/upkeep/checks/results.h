// How the checks tell what they found.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/upkeep/doctor.h"
#include "proto/core/strings.h"

namespace muster::checks {

using Results = std::vector<CheckResult>;

inline void Add(Results& results, std::string check, Finding finding, std::string text,
                std::string advice = "") {
  results.push_back({std::move(check), finding, std::move(text), std::move(advice)});
}

inline void AddError(Results& results, std::string check, const absl::Status& status,
                     std::string advice = "") {
  Add(results, std::move(check), Finding::kProblem, std::string(StdView(status.message())),
      std::move(advice));
}

// What was found already, as `finding`, keeps these from being made.
inline void AddUnchecked(Results& results, std::initializer_list<const char*> checks,
                         Finding finding, const std::string& why) {
  for (const char* check : checks) Add(results, check, finding, StrCat("not checked: ", why));
}

}  // namespace muster::checks
