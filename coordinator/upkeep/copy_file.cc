#include "coordinator/upkeep/copy_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kCopyBytes = 1u << 20;

absl::Status WrongContent(const std::filesystem::path& file, const Digest& expected) {
  return absl::DataLossError(
      StrCat(file.string(), " is damaged: its bytes do not hash to ", expected.hex()));
}

absl::Status WriteAll(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "writing", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> CopyBytes(int in, int out, const std::filesystem::path& from,
                                   const std::filesystem::path& to, const Digest& expected) {
  std::vector<char> buffer(kCopyBytes);
  Sha256Hasher hasher;
  uint64_t total = 0;
  while (true) {
    const ssize_t n = ::read(in, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "reading", from);
    if (n == 0) break;
    const std::string_view chunk(buffer.data(), static_cast<size_t>(n));
    hasher.Update(chunk);
    MUSTER_RETURN_IF_ERROR(WriteAll(out, chunk, to));
    total += chunk.size();
  }
  if (hasher.Finish() != expected) return WrongContent(from, expected);
  if (::fsync(out) != 0) return ErrnoStatus(errno, "making durable", to);
  return total;
}

}  // namespace

absl::StatusOr<uint64_t> CopyChecked(const std::filesystem::path& from,
                                     const std::filesystem::path& to, const Digest& expected,
                                     unsigned mode) {
  std::error_code error;
  std::filesystem::create_directories(to.parent_path(), error);
  if (error) return ErrnoStatus(error.value(), "creating folder", to.parent_path());
  const UniqueFd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in.valid()) return ErrnoStatus(errno, "opening", from);
  const std::filesystem::path temporary = to.string() + ".tmp";
  const UniqueFd out(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!out.valid()) return ErrnoStatus(errno, "opening", temporary);
  const auto copied = CopyBytes(in.get(), out.get(), from, temporary, expected);
  if (!copied.ok() || ::rename(temporary.c_str(), to.c_str()) != 0) {
    const int code = errno;
    ::unlink(temporary.c_str());
    return copied.ok() ? ErrnoStatus(code, "renaming into place", to) : copied.status();
  }
  MUSTER_RETURN_IF_ERROR(FsyncDirectory(to.parent_path()));
  return copied;
}

absl::Status CheckFile(const std::filesystem::path& file, const Digest& expected) {
  MUSTER_ASSIGN_OR_RETURN(const Digest found, Sha256File(file));
  return found == expected ? absl::OkStatus() : WrongContent(file, expected);
}

}  // namespace muster
