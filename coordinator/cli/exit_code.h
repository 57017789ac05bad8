// How the program ends, as scripts see it. Stable: documented in --help and README.md.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace muster::cli {

enum ExitCode : int {
  kExitDone = 0,
  kExitFailed = 1,
  kExitUsage = 2,        // command line, job file or request that cannot be right
  kExitUnreachable = 3,  // no coordinator answers
  kExitNotAllowed = 4,   // the credential is missing, expired, or of another role
  kExitJobFailed = 5,    // the job failed or was cancelled
  kExitPromotion = 6,    // the promotion failed, or was not live in time
  kExitDetached = 130,   // Ctrl-C: the job goes on
};

inline constexpr char kExitStatusManual[] =
    R"(    0    done
    1    failed; the reason is on stderr
    2    wrong usage: the command line or the job file
    3    the coordinator does not answer
    4    not allowed: the credential is missing, expired, or of another role
    5    the job failed or was cancelled
    6    the promotion failed, or was not live in time
    130  Ctrl-C while watching; the job goes on
)";

ExitCode ExitCodeOf(const absl::Status& status);
// "not_found", "permission_denied", ...: the code in {"error": {"code", "message"}}.
std::string CodeName(absl::StatusCode code);

}  // namespace muster::cli
