#include "coordinator/blobs/blob_store.h"

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {

absl::StatusOr<Digest> PutBlob(BlobStore& blobs, std::string_view bytes) {
  MUSTER_ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> writer, blobs.Create());
  MUSTER_RETURN_IF_ERROR(writer->Append(bytes));
  return writer->Commit();
}

absl::StatusOr<std::string> GetBlob(const BlobStore& blobs, const Digest& digest,
                                    uint64_t max_bytes) {
  MUSTER_ASSIGN_OR_RETURN(std::unique_ptr<BlobReader> reader, blobs.Open(digest));
  if (reader->size() > max_bytes) {
    return absl::ResourceExhaustedError(StrCat("blob ", digest.hex(), " has ", reader->size(),
                                               " bytes; at most ", max_bytes, " are read here"));
  }
  std::string bytes(reader->size(), '\0');
  MUSTER_ASSIGN_OR_RETURN(size_t got, reader->ReadAt(0, std::span<char>(bytes)));
  bytes.resize(got);
  if (Sha256(bytes) != digest) {
    return absl::DataLossError(StrCat("blob ", digest.hex(), " is corrupted: its bytes hash to ",
                                      Sha256(bytes).hex(), "; restore it from a backup"));
  }
  return bytes;
}

}  // namespace muster
