// Recognising the coordinator at first contact: by the digest of its CA's certificate.
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/core/time.h"
#include "proto/x509/certificate.h"

namespace muster {

// The self-signed CA in `chain` (leaf first) whose SHA-256 is `pin`, after checking that it issued
// the leaf for the coordinator and that the leaf is valid `now`. Unauthenticated says what was
// expected and what came.
absl::StatusOr<Certificate> FindPinnedCa(const std::vector<Certificate>& chain,
                                         std::string_view pin, Timestamp now);

}  // namespace muster
