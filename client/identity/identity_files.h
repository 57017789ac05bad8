// The files in <state_dir>/identity (0700):
//   credential.pem   0600  key, leaf, CA: one file, so that both change in one rename
//   ca.pem           0644  the CAs that are trusted, and the generation of that set in a first line
//   package-key.pem  0644  the public key of package signatures
//   device.json      0644  {"id", "labels"}
// credential.pem is written last: while it is missing, the device has not enrolled.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/identity/device_identity.h"

namespace muster {

inline constexpr char kIdentityFolder[] = "identity";
inline constexpr char kCredentialFile[] = "credential.pem";
inline constexpr char kPinnedCaFile[] = "ca.pem";
inline constexpr char kPackageKeyFile[] = "package-key.pem";
inline constexpr char kDeviceFile[] = "device.json";
inline constexpr size_t kMaxDeviceFileBytes = 16u << 10;

// Checks an identity as one whole before it is used or kept: the leaf is the CA's, for this key,
// and names this device. Fills the id and the validity from the leaf. The clock is not consulted.
absl::Status CompleteIdentity(DeviceIdentity& identity);

// "trust generation 2\n" and PEM. Without that line: the CA that was pinned, generation 1.
std::string PrintTrust(const TrustUpdate& trust);
absl::StatusOr<TrustUpdate> ParseTrust(std::string_view text);

absl::Status SaveNewIdentity(const std::filesystem::path& state_dir, const DeviceIdentity&);
absl::Status SaveTrust(const std::filesystem::path& state_dir, const DeviceIdentity&);
absl::Status ReplaceCredential(const std::filesystem::path& state_dir, const DeviceIdentity&);

}  // namespace muster
