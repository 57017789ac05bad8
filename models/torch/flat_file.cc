#include "models/torch/flat_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "proto/core/files.h"

namespace muster {

static_assert(std::endian::native == std::endian::little, "float32 files are little-endian");

absl::Status ReadFloats(const std::filesystem::path& path, std::span<float> values) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "opening", path);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "reading", path);
  if (static_cast<uint64_t>(info.st_size) != values.size_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path.string(), " has ", info.st_size, " bytes, but the model's parameters take ",
        values.size_bytes(), ": it belongs to another model"));
  }
  char* to = reinterpret_cast<char*>(values.data());
  for (size_t done = 0; done < values.size_bytes();) {
    const ssize_t got = read(fd.get(), to + done, values.size_bytes() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return ErrnoStatus(got < 0 ? errno : EIO, "reading", path);
    done += static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

absl::Status WriteBytes(const std::filesystem::path& path, std::string_view bytes) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.valid()) return ErrnoStatus(errno, "creating", path);
  while (!bytes.empty()) {
    const ssize_t put = write(fd.get(), bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return ErrnoStatus(errno, "writing", path);
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  if (close(fd.Release()) != 0) return ErrnoStatus(errno, "closing", path);
  return absl::OkStatus();
}

absl::Status WriteFloats(const std::filesystem::path& path, std::span<const float> values) {
  return WriteBytes(path, {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

}  // namespace muster
