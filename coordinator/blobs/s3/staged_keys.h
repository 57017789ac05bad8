// How uploads lie in the store, below PREFIX/staging/:
//   OWNER/DIGEST.TOTAL/OFFSET-LENGTH   bytes [OFFSET, OFFSET + LENGTH) of an upload
//   OWNER/DIGEST.TOTAL/done            it is complete and its digest was checked. This object has
//                                      all the bytes itself, or none: then the others have them
// Where uploads are sealed, each object that has bytes is sealed by itself, and so is larger; the
// names count plain bytes.
// The keys are the whole state, so any process may go on with any upload. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/blobs/s3/s3_xml.h"
#include "proto/core/digest.h"

namespace muster {

// An owner's name as part of a key: what is not a letter, a digit, '-' or an inner '.' is _XX.
// InvalidArgument for one that is empty or has more than 80 characters.
absl::StatusOr<std::string> StagedOwner(const std::string& owner);

std::string StagedFolder(const std::string& owner_name, const Digest& digest, uint64_t total);
std::string StagedPart(uint64_t offset, uint64_t length);  // "000000000000-8388608"
inline constexpr char kStagedDone[] = "done";

struct StagedKey {
  std::string owner_name;
  Digest digest;
  uint64_t total = 0;
  bool done = false;
  uint64_t offset = 0, length = 0;  // of a part
};
// Of a key below staging/; nothing for a key that this layout does not have.
std::optional<StagedKey> ParseStagedKey(std::string_view key);

struct StoredPart {
  std::string key, etag;
  uint64_t offset = 0, length = 0;
};

// One upload as the store has it.
struct StoredUpload {
  uint64_t total = 0;
  std::vector<StoredPart> parts;  // by offset
  std::optional<S3Listed> done;
  bool done_has_bytes = false;
  Timestamp touched;              // the newest of its objects
  std::vector<std::string> keys;  // of all its objects; done first

  // Bytes that follow each other from 0 on. Parts may overlap: a repeated upload has the same
  // bytes.
  uint64_t covered() const;
  // What to read for bytes [0, covered()), each from the part's begin on.
  struct Piece {
    size_t part;
    uint64_t offset, length;  // of the upload
  };
  std::vector<Piece> Pieces() const;
  bool complete() const { return done_has_bytes || (done.has_value() && covered() == total); }
};

struct StagedUploadName {
  std::string owner_name;
  Digest digest;
  uint64_t total = 0;
  friend auto operator<=>(const StagedUploadName&, const StagedUploadName&) = default;
};
using StoredUploads = std::map<StagedUploadName, StoredUpload>;
// Adds a listed object, whose key below staging/ is `relative`. False: it belongs to no upload, or
// is not sealed as it should be.
bool AddStored(const S3Listed& object, std::string_view relative, bool sealed,
               StoredUploads& uploads);

}  // namespace muster
