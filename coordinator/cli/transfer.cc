#include "coordinator/cli/transfer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include "proto/codec/blob_codec.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

constexpr std::chrono::milliseconds kFirstPause{200};

void PauseBefore(int idle) {
  if (idle > 0) std::this_thread::sleep_for(kFirstPause * (1 << (idle - 1)));
}

// One stream from `offset` on; how far it is durable.
absl::StatusOr<UploadProgress> UploadFrom(Api& api, const Digest& digest, std::string_view bytes,
                                          uint64_t offset, const OnBytes& on_bytes) {
  bool first = true;
  const auto next = [&](v1::UploadChunk& message) {
    if (!first && offset == bytes.size()) return false;
    const BlobChunk chunk{offset, bytes.substr(offset, limits::kChunkBytes)};
    message = first ? EncodeUploadStart({digest, bytes.size(), chunk}) : EncodeUploadChunk(chunk);
    first = false;
    offset += chunk.data.size();
    on_bytes(offset, bytes.size());
    return true;
  };
  MUSTER_ASSIGN_OR_RETURN(const v1::UploadResponse response, api.Upload(next));
  return DecodeUploadAnswer(response);
}

absl::StatusOr<uint64_t> SizeOf(const std::filesystem::path& file) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(file, error);
  if (error == std::errc::no_such_file_or_directory) return 0;
  if (error) return ErrnoStatus(error.value(), "looking at", file);
  return size;
}

absl::Status WriteAll(int fd, std::string_view data, const std::filesystem::path& file) {
  while (!data.empty()) {
    const ssize_t wrote = write(fd, data.data(), data.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return ErrnoStatus(errno, "writing", file);
    data.remove_prefix(static_cast<size_t>(wrote));
  }
  return absl::OkStatus();
}

// One stream that goes on where `part` ends. OK: all of it is there.
absl::Status Append(Api& api, const Digest& digest, const std::filesystem::path& part,
                    const OnBytes& on_bytes) {
  MUSTER_ASSIGN_OR_RETURN(uint64_t offset, SizeOf(part));
  UniqueFd fd(open(part.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus(errno, "opening", part);
  return api.Download(
      EncodeDownload({.digest = digest, .offset = offset}),
      [&](const v1::DownloadChunk& message) -> absl::Status {
        MUSTER_ASSIGN_OR_RETURN(const DownloadedChunk got, DecodeDownloadChunk(message));
        if (got.chunk.offset != offset) {
          return absl::DataLossError(StrCat("the coordinator sent bytes at ", got.chunk.offset,
                                            " where ", offset, " was due"));
        }
        MUSTER_RETURN_IF_ERROR(WriteAll(fd.get(), got.chunk.data, part));
        offset += got.chunk.data.size();
        on_bytes(offset, got.total_size);
        return absl::OkStatus();
      });
}

absl::Status Fetch(Api& api, const Digest& digest, const std::filesystem::path& part,
                   const OnBytes& on_bytes) {
  absl::Status last;
  for (int idle = 0; idle < kMaxIdleTransfers;) {
    PauseBefore(idle);
    MUSTER_ASSIGN_OR_RETURN(const uint64_t before, SizeOf(part));
    last = Append(api, digest, part, on_bytes);
    if (last.code() == absl::StatusCode::kOutOfRange) {  // the part is longer than the blob
      std::error_code ignored;
      std::filesystem::remove(part, ignored);
    } else if (last.ok() || !IsTransient(last)) {
      return last;
    }
    MUSTER_ASSIGN_OR_RETURN(const uint64_t after, SizeOf(part));
    idle = after > before ? 1 : idle + 1;
  }
  return last;
}

}  // namespace

absl::Status UploadBytes(Api& api, const Digest& digest, std::string_view bytes,
                         const OnBytes& on_bytes) {
  absl::Status last;
  for (int idle = 0; idle < kMaxIdleTransfers;) {
    PauseBefore(idle);
    auto response = api.Call(EncodeStatUpload(digest));
    last = response.status();
    uint64_t before = 0, reached = 0;
    if (last.ok()) {
      MUSTER_ASSIGN_OR_RETURN(const UploadProgress held, DecodeStatUploadAnswer(*response));
      if (held.complete) return absl::OkStatus();
      before = reached = std::min<uint64_t>(held.offset, bytes.size());
      auto progress = UploadFrom(api, digest, bytes, before, on_bytes);
      last = progress.status();
      if (progress.ok() && progress->complete) return absl::OkStatus();
      if (progress.ok()) {
        reached = progress->offset;
        last = absl::UnavailableError(
            StrCat("the coordinator holds ", reached, " of ", bytes.size(), " bytes"));
      }
    }
    if (!IsTransient(last)) break;
    idle = reached > before ? 1 : idle + 1;
  }
  return Annotate(last, "uploading");
}

absl::Status DownloadFile(Api& api, const Digest& digest, const std::filesystem::path& file,
                          const OnBytes& on_bytes) {
  if (auto present = Sha256File(file); present.ok() && *present == digest) return absl::OkStatus();
  std::filesystem::path part = file;
  part += ".part";
  for (int tries = 0; tries < 2; ++tries) {
    absl::Status status = Fetch(api, digest, part, on_bytes);
    if (!status.ok()) return Annotate(status, StrCat("downloading ", file.filename().string()));
    MUSTER_ASSIGN_OR_RETURN(const Digest got, Sha256File(part));
    std::error_code error;
    if (got != digest) {
      std::filesystem::remove(part, error);
      continue;
    }
    MUSTER_RETURN_IF_ERROR(FsyncFile(part));
    std::filesystem::rename(part, file, error);
    if (error) return ErrnoStatus(error.value(), "renaming", part);
    return FsyncDirectory(file.has_parent_path() ? file.parent_path() : ".");
  }
  return absl::DataLossError(StrCat(file.filename().string(),
                                    ": what the coordinator sends twice differs from its digest ",
                                    digest.hex(), "; its blob folder is damaged"));
}

}  // namespace muster::cli
