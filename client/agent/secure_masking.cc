#include "client/agent/secure_masking.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <utility>

#include "client/agent/text.h"
#include "proto/core/files.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using text::Cat;

static_assert(std::endian::native == std::endian::little);  // updates are read as they lie

constexpr unsigned kVectorMode = 0600;

Duration ThreadCpuTime() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(spent.tv_sec) +
                                              std::chrono::nanoseconds(spent.tv_nsec));
}

absl::StatusOr<UniqueFd> OpenUpdate(const std::filesystem::path& file, uint64_t dimension) {
  UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "opening", file);
  const off_t bytes = lseek(fd.get(), 0, SEEK_END);
  if (bytes < 0) return ErrnoStatus(errno, "reading", file);
  if (static_cast<uint64_t>(bytes) != dimension * sizeof(float)) {
    return absl::InvalidArgumentError(Cat("the update has ", bytes, " bytes where the session's ",
                                          dimension, " parameters need ",
                                          dimension * sizeof(float)));
  }
  return fd;
}

absl::Status ReadAt(int fd, uint64_t offset, std::span<float> out,
                    const std::filesystem::path& file) {
  auto* bytes = reinterpret_cast<char*>(out.data());
  const size_t size = out.size() * sizeof(float);
  for (size_t done = 0; done < size;) {
    const ssize_t got =
        pread(fd, bytes + done, size - done, static_cast<off_t>(offset * sizeof(float) + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return ErrnoStatus(got < 0 ? errno : EIO, "reading", file);
    done += static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

absl::Status WriteAll(int fd, std::span<const uint8_t> bytes, const std::filesystem::path& file) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "writing", file);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<MaskedVector> WriteMasked(const secagg::Params& params,
                                         const secagg::Contribution& contribution,
                                         const std::filesystem::path& update,
                                         std::vector<secagg::SignedMask> masks,
                                         RandomSource& rounding, RandomSource& noise,
                                         const std::filesystem::path& vector) {
  const auto started = std::chrono::steady_clock::now();
  const Duration cpu_before = ThreadCpuTime();
  MUSTER_ASSIGN_OR_RETURN(const UniqueFd in, OpenUpdate(update, params.dimension));
  const UniqueFd out(open(vector.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kVectorMode));
  if (!out.valid()) return ErrnoStatus(errno, "creating", vector);

  const secagg::MaskSet mask_set(params.cipher, params.ring_bits, std::move(masks));
  Sha256Hasher hasher;
  const auto source = [&](uint64_t offset, std::span<float> values) {
    return ReadAt(in.get(), offset, values, update);
  };
  const auto sink = [&](uint64_t offset, std::span<uint8_t> bytes) {
    mask_set.Apply(offset, bytes);
    hasher.Update({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    return WriteAll(out.get(), bytes, vector);
  };
  MUSTER_RETURN_IF_ERROR(
      secagg::EncodeUpdate(params, contribution, source, rounding, noise, sink).status());
  MUSTER_RETURN_IF_ERROR(FsyncFile(vector));
  MUSTER_RETURN_IF_ERROR(FsyncDirectory(vector.parent_path()));

  MaskedVector masked;
  masked.digest = hasher.Finish();
  masked.cost.wall =
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - started);
  masked.cost.cpu = ThreadCpuTime() - cpu_before;
  masked.cost.bytes_up = secagg::VectorBytes(params);
  return masked;
}

}  // namespace muster
