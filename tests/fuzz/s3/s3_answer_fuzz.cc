// What a store answers: XML of listings, uploads, results and errors, and the keys in them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "coordinator/blobs/s3/s3_options.h"
#include "coordinator/blobs/s3/s3_xml.h"
#include "coordinator/blobs/s3/staged_keys.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const char c : muster::ParseS3Error(bytes).message) {
    if (c < ' ' || c > '~') std::abort();
  }
  (void)muster::ParseS3OpenUploads(bytes);
  (void)muster::ParseS3UploadId(bytes);
  (void)muster::ParseS3ResultEtag(bytes);
  (void)muster::ParseS3Url(bytes);
  if (const auto key = muster::ParseStagedKey(bytes)) {
    if (!key->done && key->offset + key->length > key->total) std::abort();
  }
  if (const auto listing = muster::ParseS3Listing(bytes); listing.ok()) {
    muster::StoredUploads uploads;
    for (const auto& object : listing->objects)
      muster::AddStored(object, object.key, false, uploads);
    for (const auto& [name, upload] : uploads) {
      uint64_t at = 0;
      for (const auto& piece : upload.Pieces()) {
        if (piece.offset != at || piece.length == 0) std::abort();
        at += piece.length;
      }
      if (at > upload.total || (!upload.done_has_bytes && at != upload.covered())) std::abort();
    }
  }
  return 0;
}
