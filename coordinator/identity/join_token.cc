#include "coordinator/identity/join_token.h"

#include <openssl/crypto.h>

#include "absl/strings/str_cat.h"
#include "proto/x509/ec_key.h"

namespace muster {
namespace {

constexpr std::string_view kPrefix = "mjt_";
constexpr size_t kIdDigits = 2 * kTokenIdBytes;
constexpr size_t kSecretDigits = 2 * kTokenSecretBytes;
constexpr size_t kTokenLength = kPrefix.size() + kIdDigits + 1 + kSecretDigits;
// A hash for this purpose alone, so that no other hash of the same bytes can stand in for it.
constexpr std::string_view kDomain = "muster join token v1";

bool IsHex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Digest HashSecret(std::string_view id, std::string_view secret_hex) {
  Sha256Hasher hasher;
  hasher.Update(kDomain);
  hasher.Update(std::string_view("\0", 1));
  hasher.Update(id);
  hasher.Update(std::string_view("\0", 1));
  hasher.Update(secret_hex);
  return hasher.Finish();
}

}  // namespace

JoinToken MintJoinToken(RandomSource& random) {
  std::string id = random.Hex(kTokenIdBytes);
  std::string secret = random.Hex(kTokenSecretBytes);
  JoinToken token;
  token.text = absl::StrCat(std::string(kPrefix), id, "_", secret);
  token.secret_hash = HashSecret(id, secret);
  token.id = TokenId::Trusted(std::move(id));
  WipeString(secret);
  return token;
}

absl::StatusOr<ParsedToken> ParseJoinToken(std::string_view text) {
  const bool shaped = text.size() == kTokenLength && text.substr(0, kPrefix.size()) == kPrefix &&
                      text[kPrefix.size() + kIdDigits] == '_';
  std::string_view id, secret;
  if (shaped) {
    id = text.substr(kPrefix.size(), kIdDigits);
    secret = text.substr(kPrefix.size() + kIdDigits + 1);
  }
  if (!shaped || !IsHex(id) || !IsHex(secret)) {
    return absl::InvalidArgumentError(
        "join token: expected mjt_ and two groups of hex digits, as `muster tokens create` printed "
        "it; check that it was copied whole");
  }
  return ParsedToken{TokenId::Trusted(std::string(id)), HashSecret(id, secret)};
}

bool SameSecretHash(const Digest& a, const Digest& b) {
  return CRYPTO_memcmp(a.bytes().data(), b.bytes().data(), Digest::kSize) == 0;
}

}  // namespace muster
