// How an upload's bytes lie in its file: as they came, or sealed (at_rest/sealed_format.h). One
// call at a time for each file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/blobs/at_rest/at_rest_keys.h"
#include "coordinator/blobs/blob_store.h"

namespace muster {

class UploadFile {
 public:
  virtual ~UploadFile() = default;

  // How many of `total` bytes the file holds, after a restart: what was cut off while it was
  // written is taken away. NotFound if it is no upload's file, or none of this kind: nothing is
  // lost with it.
  virtual absl::StatusOr<uint64_t> Recover(const std::filesystem::path& path,
                                           uint64_t total) const = 0;
  // The same of a whole upload, without reading it.
  virtual absl::StatusOr<uint64_t> WholeSize(const std::filesystem::path& path) const = 0;
  // Adds `data` at `offset`, where the upload stands. After an error `stands` is where it stands
  // then: at `offset`, unless the disk refused that too.
  virtual absl::Status Append(int fd, const std::filesystem::path& path, uint64_t total,
                              uint64_t offset, std::string_view data, uint64_t& stands) const = 0;
  // Back to `size` or less; where the upload stands then.
  virtual absl::StatusOr<uint64_t> CutBack(int fd, const std::filesystem::path& path,
                                           uint64_t size) const = 0;
  // A file that holds the whole upload.
  virtual absl::StatusOr<std::unique_ptr<BlobReader>> Open(
      const std::filesystem::path& path) const = 0;
};

std::unique_ptr<UploadFile> MakePlainUploadFile();
std::unique_ptr<UploadFile> MakeSealedUploadFile(std::shared_ptr<const AtRestKeys> keys);

}  // namespace muster
