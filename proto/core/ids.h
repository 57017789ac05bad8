// Identifiers with types: a JobId is not a DeviceId. An id is 1 to 64 characters of [a-z0-9._-]
// that starts with a letter or digit, so it is safe in file names, URIs and SQL alike.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

inline constexpr size_t kMaxIdLength = 64;

// Why `text` is no identifier, or OK. `what` names the field for the message.
absl::Status ValidateId(std::string_view what, std::string_view text);

template <typename Tag>
class StrongId {
 public:
  StrongId() = default;  // empty: names nothing

  static absl::StatusOr<StrongId> Parse(std::string_view text) {
    if (absl::Status status = ValidateId(Tag::kName, text); !status.ok()) return status;
    return StrongId(std::string(text));
  }
  // For ids that this program made or read back from its own store.
  static StrongId Trusted(std::string text) { return StrongId(std::move(text)); }

  const std::string& value() const { return value_; }
  bool empty() const { return value_.empty(); }

  friend auto operator<=>(const StrongId&, const StrongId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const StrongId& id) {
    return H::combine(std::move(h), id.value_);
  }

 private:
  explicit StrongId(std::string value) : value_(std::move(value)) {}
  std::string value_;
};

struct JobTag {
  static constexpr char kName[] = "job id";
};
struct DeviceTag {
  static constexpr char kName[] = "device id";
};
struct InvocationTag {
  static constexpr char kName[] = "invocation id";
};
struct TokenTag {
  static constexpr char kName[] = "token id";
};
struct ModelTag {
  static constexpr char kName[] = "model name";
};
struct PromotionTag {
  static constexpr char kName[] = "promotion id";
};

using JobId = StrongId<JobTag>;
using DeviceId = StrongId<DeviceTag>;
using InvocationId = StrongId<InvocationTag>;
using TokenId = StrongId<TokenTag>;
using ModelName = StrongId<ModelTag>;
using PromotionId = StrongId<PromotionTag>;

// One round of one job. `number` counts from 1; `attempt` counts from 1 and grows when a round was
// abandoned and is tried again.
struct RoundId {
  JobId job;
  uint32_t number = 0;
  uint32_t attempt = 1;

  std::string ToString() const;  // "job/r3.a1"
  friend auto operator<=>(const RoundId&, const RoundId&) = default;
};

// NAME@VERSION.
struct ModelVersion {
  ModelName name;
  uint32_t version = 0;

  std::string ToString() const;
  static absl::StatusOr<ModelVersion> Parse(std::string_view text);
  friend auto operator<=>(const ModelVersion&, const ModelVersion&) = default;
};

}  // namespace muster
