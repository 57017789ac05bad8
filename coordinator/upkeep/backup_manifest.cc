#include "coordinator/upkeep/backup_manifest.h"

#include <nlohmann/json.hpp>

#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kFormat = 1;

absl::Status Bad(std::string_view field, std::string_view problem) {
  return absl::InvalidArgumentError(StrCat("backup.json: ", field, ": ", problem));
}

absl::StatusOr<int64_t> Number(const Json& json, const char* field) {
  const auto found = json.find(field);
  if (found == json.end() || !found->is_number_integer()) return Bad(field, "is no whole number");
  return found->get<int64_t>();
}

// Empty where the text is.
absl::StatusOr<Digest> DigestAt(const Json& json, const char* field) {
  const auto found = json.find(field);
  if (found == json.end() || !found->is_string()) return Bad(field, "is no text");
  const auto text = found->get<std::string>();
  if (text.empty()) return Digest();
  auto digest = Digest::FromHex(text);
  return digest.ok() ? digest : Bad(field, StdView(digest.status().message()));
}

}  // namespace

std::string BackupManifest::ToJson() const {
  Json json = {{"format", kFormat},
               {"created_unix_us", created.unix_us},
               {"schema", schema},
               {"database", database.hex()},
               {"keys", keys.empty() ? "" : keys.hex()},
               {"blobs", Json::array()}};
  for (const BackupBlob& blob : blobs) {
    json["blobs"].push_back({{"digest", blob.digest.hex()}, {"bytes", blob.bytes}});
  }
  return json.dump(1) + "\n";
}

absl::StatusOr<BackupManifest> BackupManifest::FromJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Bad("the file", "is no JSON object");
  MUSTER_ASSIGN_OR_RETURN(const int64_t format, Number(json, "format"));
  if (format != kFormat) {
    return Bad("format", StrCat(format, " is not known; restore it with the program that made it"));
  }
  BackupManifest manifest;
  MUSTER_ASSIGN_OR_RETURN(manifest.created.unix_us, Number(json, "created_unix_us"));
  MUSTER_ASSIGN_OR_RETURN(manifest.schema, Number(json, "schema"));
  MUSTER_ASSIGN_OR_RETURN(manifest.database, DigestAt(json, "database"));
  MUSTER_ASSIGN_OR_RETURN(manifest.keys, DigestAt(json, "keys"));
  if (manifest.database.empty()) return Bad("database", "is empty");
  const auto blobs = json.find("blobs");
  if (blobs == json.end() || !blobs->is_array()) return Bad("blobs", "is no list");
  for (const Json& entry : *blobs) {
    if (!entry.is_object()) return Bad("blobs", "has an entry that is no object");
    BackupBlob blob;
    MUSTER_ASSIGN_OR_RETURN(blob.digest, DigestAt(entry, "digest"));
    MUSTER_ASSIGN_OR_RETURN(const int64_t bytes, Number(entry, "bytes"));
    if (blob.digest.empty()) return Bad("blobs", "has an entry without a digest");
    if (bytes < 0 || static_cast<uint64_t>(bytes) > limits::kMaxBlobBytes) {
      return Bad("blobs", "has an entry of an impossible size");
    }
    blob.bytes = static_cast<uint64_t>(bytes);
    manifest.blobs.push_back(blob);
  }
  return manifest;
}

}  // namespace muster
