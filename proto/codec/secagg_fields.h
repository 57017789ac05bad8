// Checks that requests and answers of secure aggregation share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "muster/v1/secagg.pb.h"
#include "proto/codec/field.h"
#include "proto/core/secagg_messages.h"

namespace muster::wire {

// DER ECDSA, 1 to limits::kMaxSecAggSignatureBytes.
absl::Status CheckSignature(const Field& at, const std::string& signature);
absl::Status CheckExactly(const Field& at, size_t bytes, size_t expected);
absl::StatusOr<secagg::Params> DecodeParams(const Field& at, const v1::SecAggParams& wire);
absl::StatusOr<secagg::Advert> DecodeAdvert(const Field& at, const v1::SecAggAdvert& wire);

// Refuses indices that do not ascend: each client comes at most once.
class Ascending {
 public:
  absl::Status Check(const Field& at, uint32_t index) {
    if (last_.has_value() && index <= *last_) {
      return Refuse(at, StrCat(index, " does not come after ", *last_));
    }
    last_ = index;
    return absl::OkStatus();
  }

 private:
  std::optional<uint32_t> last_;
};

}  // namespace muster::wire
