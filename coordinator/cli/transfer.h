// Blobs to and from the coordinator, resumed where they were cut, checked by their digest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "absl/status/status.h"
#include "coordinator/cli/api.h"
#include "proto/core/digest.h"

namespace muster::cli {

// Tries in a row that move nothing, before a transfer fails.
inline constexpr int kMaxIdleTransfers = 5;

using OnBytes = std::function<void(uint64_t done, uint64_t total)>;

// Stages `bytes` under `digest`, which is theirs. OK: they are durable there.
absl::Status UploadBytes(Api& api, const Digest& digest, std::string_view bytes,
                         const OnBytes& on_bytes);

// To `file`, through FILE.part, which a later call goes on with. What is there already and has the
// digest is kept. Wrong bytes are fetched once more from the start; DataLoss if they are wrong
// again.
absl::Status DownloadFile(Api& api, const Digest& digest, const std::filesystem::path& file,
                          const OnBytes& on_bytes);

}  // namespace muster::cli
