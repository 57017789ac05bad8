// A change of the CA goes into the audit log of each replica that takes it up.
#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "coordinator/drive/context.h"
#include "coordinator/identity/authority.h"

namespace muster {

inline constexpr char kCaServedFile[] = "ca-served.json";  // in the state folder

// Writes a row if this replica last served from `state_dir` with another state of the CA. Killed in
// between, it writes the row again.
absl::Status AuditCaChange(DriveContext& drive, const CertificateAuthority& authority,
                           const std::filesystem::path& state_dir);

}  // namespace muster
