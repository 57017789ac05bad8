// Join tokens: what a device shows once to get its first certificate. "mjt_<id>_<secret>": a public
// id that the store finds the row by, and 256 secret bits of which only a hash is kept.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "proto/core/digest.h"
#include "proto/core/ids.h"
#include "proto/core/random.h"

namespace muster {

inline constexpr size_t kTokenSecretBytes = 32;
inline constexpr size_t kTokenIdBytes = 8;  // 16 hex digits

struct JoinToken {
  TokenId id;
  std::string text;  // secret: shown once, never stored or logged
  Digest secret_hash;
};

struct ParsedToken {
  TokenId id;
  Digest secret_hash;
};

JoinToken MintJoinToken(RandomSource& random);

// InvalidArgument for anything but a token's exact form; the message never repeats the token.
absl::StatusOr<ParsedToken> ParseJoinToken(std::string_view text);

// In time that does not depend on where they differ.
bool SameSecretHash(const Digest& a, const Digest& b);

}  // namespace muster
