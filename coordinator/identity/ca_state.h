// Which certificate authorities a coordinator has, and how one takes over from another. An
// authority has a number: the first is 1, each rotation makes the next.
//
//   settled    one authority: it is trusted, and it issues
//   announced  a second one is trusted too; devices learn of it at their check-ins
//   switched   the new one issues: certificates for devices, and the coordinator's own
//   settled    the old one is retired
//
// Replicas may be one step apart: each accepts what the other shows and issues.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

inline constexpr char kCaStateFile[] = "authorities.json";
inline constexpr uint32_t kMaxAuthorityNumber = 1'000'000;

enum class CaStage { kSettled, kAnnounced, kSwitched };
std::string_view CaStageName(CaStage stage);

struct CaState {
  uint64_t generation = 1;  // of what is trusted: grows by one with each change of it
  uint32_t issuer = 1;
  std::vector<uint32_t> trusted = {1};  // one or two, in the order in which they were made

  CaStage stage() const;
  uint32_t newest() const { return trusted.back(); }
  friend bool operator==(const CaState&, const CaState&) = default;
};

// The steps. FailedPrecondition says which step is due instead.
absl::StatusOr<CaState> Announced(CaState state);
absl::StatusOr<CaState> Switched(CaState state);
absl::StatusOr<CaState> Retired(CaState state);

std::string PrintCaState(const CaState& state);
// InvalidArgument for what is no state that the steps lead to.
absl::StatusOr<CaState> ParseCaState(std::string_view text);

// Of an identity folder; without the file, the state before the first rotation.
absl::StatusOr<CaState> ReadCaState(const std::filesystem::path& dir);

std::string CaKeyFileOf(uint32_t number);          // "ca-key.pem", "ca-2-key.pem"
std::string CaCertificateFileOf(uint32_t number);  // "ca.pem", "ca-2.pem"

}  // namespace muster
