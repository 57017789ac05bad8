// `muster-coordinator init` and `credential`: what makes a coordinator, and who may command it.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/identity/spiffe.h"
#include "proto/core/time.h"

namespace muster {

inline constexpr Duration kDefaultCredentialLifetime = std::chrono::hours(24 * 365);

// Makes the CA and the package signing key in `state_dir`, and the store's schema at `store_url`
// (of a form of kStoreUrlForms). AlreadyExists if there is a coordinator: nothing is overwritten.
// Returns the CA pin that devices enrol with.
absl::StatusOr<std::string> InitCoordinator(const std::filesystem::path& state_dir,
                                            const std::string& trust_domain,
                                            const std::string& store_url);

// Writes a credential folder (ca.pem, cert.pem, key.pem) for one researcher or operator.
absl::Status IssueCredential(const std::filesystem::path& state_dir, Role role,
                             const std::string& name, const std::filesystem::path& out,
                             Duration lifetime);

// "sha256:..." of the CA of an existing coordinator.
absl::StatusOr<std::string> ReadCaPin(const std::filesystem::path& state_dir);

}  // namespace muster
