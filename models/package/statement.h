// The signed statement and its envelope: parsing and printing, no cryptography. See package.h for
// the format. Private to muster_package and its tests.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "models/package/package.h"

namespace muster {

inline constexpr char kBundleMediaType[] = "application/vnd.dev.sigstore.bundle.v0.3+json";
inline constexpr char kPayloadType[] = "application/vnd.in-toto+json";
inline constexpr char kStatementType[] = "https://in-toto.io/Statement/v1";
inline constexpr char kPredicateType[] = "https://model_signing/signature/v1.0";
inline constexpr int kMaxJsonDepth = 8;

struct Bundle {
  std::string key_hint;   // hex SHA-256 over the public key's PEM
  std::string payload;    // decoded
  std::string signature;  // decoded, DER
};

// DSSE's pre-authentication encoding of a payload of kPayloadType: what is signed.
std::string PreAuthEncoding(std::string_view payload);

std::string PrintBundle(const Bundle& bundle);
absl::StatusOr<Bundle> ParseBundle(std::string_view json);

// `package` is valid and sorted.
std::string PrintStatement(const Package& package);
absl::StatusOr<Package> ParseStatement(std::string_view json);

// Ascending by path, segment by segment: "a/b" before "a-b", as other signers sort.
bool ResourcePathLess(std::string_view a, std::string_view b);

}  // namespace muster
