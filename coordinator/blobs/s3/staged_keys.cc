#include "coordinator/blobs/s3/staged_keys.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "coordinator/blobs/at_rest/sealed_format.h"
#include "proto/core/limits.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kMaxOwnerLength = 80;

bool Number(absl::string_view text, uint64_t* number) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(text, number) && *number <= limits::kMaxBlobBytes;
}

}  // namespace

absl::StatusOr<std::string> StagedOwner(const std::string& owner) {
  if (owner.empty() || owner.size() > kMaxOwnerLength) {
    return absl::InvalidArgumentError(StrCat("an upload's owner has 1 to ", kMaxOwnerLength,
                                             " characters; this one has ", owner.size()));
  }
  std::string name;
  for (const char c : owner) {
    const bool plain = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
                       (c == '.' && !name.empty());
    if (plain) {
      name += c;
    } else {
      StrAppend(&name, "_", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return name;
}

std::string StagedFolder(const std::string& owner_name, const Digest& digest, uint64_t total) {
  return StrCat(owner_name, "/", digest.hex(), ".", total, "/");
}

std::string StagedPart(uint64_t offset, uint64_t length) {
  return absl::StrFormat("%012d-%d", offset, length);
}

std::optional<StagedKey> ParseStagedKey(std::string_view key) {
  const std::vector<absl::string_view> parts = absl::StrSplit(AbslView(key), '/');
  if (parts.size() != 3 || parts[0].empty()) return std::nullopt;
  const std::vector<absl::string_view> names = absl::StrSplit(parts[1], '.');
  if (names.size() != 2) return std::nullopt;
  const auto digest = Digest::FromHex(StdView(names[0]));
  StagedKey parsed{.owner_name = std::string(parts[0])};
  if (!digest.ok() || !Number(names[1], &parsed.total)) return std::nullopt;
  parsed.digest = *digest;
  parsed.done = parts[2] == kStagedDone;
  if (parsed.done) return parsed;
  const std::vector<absl::string_view> range = absl::StrSplit(parts[2], '-');
  if (range.size() != 2 || !Number(range[0], &parsed.offset) || !Number(range[1], &parsed.length)) {
    return std::nullopt;
  }
  const bool inside = parsed.length > 0 && parsed.offset <= parsed.total &&
                      parsed.length <= parsed.total - parsed.offset;
  return inside ? std::optional(parsed) : std::nullopt;
}

std::vector<StoredUpload::Piece> StoredUpload::Pieces() const {
  std::vector<Piece> pieces;
  uint64_t at = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const StoredPart& part = parts[i];
    if (part.offset > at) break;
    const uint64_t end = part.offset + part.length;
    if (end <= at) continue;
    pieces.push_back({i, at, end - at});
    at = end;
  }
  return pieces;
}

uint64_t StoredUpload::covered() const {
  if (done_has_bytes) return total;
  const std::vector<Piece> pieces = Pieces();
  return pieces.empty() ? 0 : pieces.back().offset + pieces.back().length;
}

bool AddStored(const S3Listed& object, std::string_view relative, bool sealed,
               StoredUploads& uploads) {
  const std::optional<StagedKey> key = ParseStagedKey(relative);
  if (!key.has_value()) return false;
  const uint64_t plain = key->done ? key->total : key->length;
  const bool has_bytes =
      object.size == (sealed ? SealedShape::OfPlain(plain).sealed_bytes() : plain);
  if (!has_bytes && !(key->done && object.size == 0)) return false;
  StoredUpload& upload = uploads[{key->owner_name, key->digest, key->total}];
  upload.total = key->total;
  upload.touched = std::max(upload.touched, object.modified);
  if (key->done) {
    upload.done = object;
    upload.done_has_bytes = has_bytes;
    upload.keys.insert(upload.keys.begin(), object.key);
    return true;
  }
  upload.keys.push_back(object.key);
  const StoredPart part{object.key, object.etag, key->offset, key->length};
  const auto later = [](const StoredPart& a, const StoredPart& b) { return a.offset < b.offset; };
  upload.parts.insert(std::upper_bound(upload.parts.begin(), upload.parts.end(), part, later),
                      part);
  return true;
}

}  // namespace muster
