// Sealed bytes as blobs: reading them, and a BlobStore that seals what it is given.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordinator/blobs/at_rest/at_rest_keys.h"
#include "coordinator/blobs/at_rest/sealed_format.h"
#include "coordinator/blobs/blob_store.h"

namespace muster {

// The plaintext of `sealed`. Reads and verifies the segments that are asked for, so any part may be
// read; the last one is verified at once, so a sealed file that was cut is refused here. DataLoss
// if something does not verify, FailedPrecondition if the key is not there. `keys` is used only
// now.
absl::StatusOr<std::unique_ptr<BlobReader>> OpenSealed(std::unique_ptr<BlobReader> sealed,
                                                       const AtRestKeys& keys);

// `plain` as OpenSealed reads it, under the newest key.
absl::StatusOr<std::string> SealBytes(std::string_view plain, const AtRestKeys& keys,
                                      RandomSource& random);

// A BlobStore over another one, which holds sealed bytes. A blob is named by the SHA-256 of its
// sealed bytes: whoever checks, copies or collects blobs needs no key, and a name says nothing of
// the content. The same plaintext put twice has two names.
std::unique_ptr<BlobStore> MakeSealedBlobs(BlobStore& inner,
                                           std::shared_ptr<const AtRestKeys> keys);

}  // namespace muster
