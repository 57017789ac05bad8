// The codec's vocabulary: where a field stands, and the checks that every field passes. All
// refusals are InvalidArgument and read "device.CheckInRequest.wait_ms: 90000 is above the limit of
// 25000 ms". For the codec's own files; other rooms use the Decode functions.
#pragma once

#include <google/protobuf/map.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "proto/core/device_messages.h"
#include "proto/core/digest.h"
#include "proto/core/ids.h"
#include "proto/core/labels.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/core/time.h"

namespace muster::wire {

// A path such as "job.JobSpec.layout.entries[3].shape", spelled out only when something is wrong.
// Children refer to their parents, so a Field lives on the stack and never outlives them.
class Field {
 public:
  explicit Field(std::string_view message) : name_(message) {}
  Field operator[](std::string_view name) const { return Field(this, name, kNoIndex); }
  Field At(std::string_view name, size_t index) const {
    return Field(this, name, static_cast<int64_t>(index));
  }
  std::string ToString() const;

 private:
  static constexpr int64_t kNoIndex = -1;
  Field(const Field* parent, std::string_view name, int64_t index)
      : parent_(parent), name_(name), index_(index) {}

  const Field* parent_ = nullptr;
  std::string_view name_;
  int64_t index_ = kNoIndex;
};

absl::Status Refuse(const Field& field, std::string_view problem);
// `status` with the field's path in front of its message, as InvalidArgument.
absl::Status Refuse(const Field& field, const absl::Status& status);

// A submessage that must be there.
absl::Status CheckPresent(const Field& field, bool present);
absl::Status CheckAtMost(const Field& field, uint64_t value, uint64_t limit,
                         std::string_view unit = "");
absl::Status CheckRange(const Field& field, uint64_t value, uint64_t low, uint64_t high,
                        std::string_view unit = "");
// Number of elements of a repeated field or map.
absl::Status CheckCount(const Field& field, size_t count, size_t limit);

enum class Open { kNone, kLow, kHigh, kBoth };  // which ends of an interval are excluded
// Finite, and between `low` and `high`.
absl::Status CheckReal(const Field& field, double value, double low, double high,
                       Open open = Open::kNone);

// UTF-8 by protobuf's own rule; here: at most `max_bytes`, and no control characters except newline
// and tab, because such text ends up on terminals and in logs.
absl::Status CheckText(const Field& field, std::string_view text, size_t max_bytes);
// `text` as CheckText accepts it: cut between two characters, with '?' for control characters and
// for bytes that are no UTF-8.
std::string ClampText(std::string_view text, size_t max_bytes);
// One printable ASCII word without spaces.
absl::Status CheckWord(const Field& field, std::string_view text, size_t max_bytes);

absl::StatusOr<Digest> DecodeDigest(const Field& field, std::string_view bytes);
absl::StatusOr<Digest> DecodeOptionalDigest(const Field& field, std::string_view bytes);
std::string EncodeDigest(const Digest& digest);  // "" for the empty digest

// From microseconds, between `low` and `high`.
absl::StatusOr<Duration> DecodeDuration(const Field& field, int64_t us, Duration low,
                                        Duration high);
// Not before 1970 and not after 9999.
absl::StatusOr<Timestamp> DecodeTimestamp(const Field& field, int64_t unix_us);

absl::StatusOr<Selector> DecodeSelector(const Field& field, std::string_view text);

using WireMetrics = google::protobuf::Map<std::string, double>;
using WireLabels = google::protobuf::Map<std::string, std::string>;
// At most limits::kMaxMetrics, keys are ids, values are finite.
absl::StatusOr<Metrics> DecodeMetrics(const Field& field, const WireMetrics& metrics);
void EncodeMetrics(const Metrics& metrics, WireMetrics* out);
absl::StatusOr<Labels> DecodeLabels(const Field& field, const WireLabels& labels);
void EncodeLabels(const Labels& labels, WireLabels* out);

template <typename Id>
absl::StatusOr<Id> DecodeId(const Field& field, std::string_view text) {
  absl::StatusOr<Id> id = Id::Parse(text);
  if (!id.ok()) return Refuse(field, id.status());
  return id;
}
template <typename Id>
absl::StatusOr<Id> DecodeOptionalId(const Field& field, std::string_view text) {
  if (text.empty()) return Id();
  return DecodeId<Id>(field, text);
}

// Enums go through a table of pairs (wire, core). A value that is absent from it is refused.
template <typename Wire, typename Core>
using EnumPair = std::pair<Wire, Core>;

template <typename Wire, typename Core, size_t N>
absl::StatusOr<Core> DecodeEnum(const Field& field, const EnumPair<Wire, Core> (&table)[N],
                                Wire value) {
  for (const auto& [wire, core] : table) {
    if (wire == value) return core;
  }
  if (static_cast<int>(value) == 0) return Refuse(field, "is not set");
  return Refuse(field, StrCat(static_cast<int>(value), " is not a known value"));
}
template <typename Wire, typename Core, size_t N>
Wire EncodeEnum(const EnumPair<Wire, Core> (&table)[N], Core value) {
  for (const auto& [wire, core] : table) {
    if (core == value) return wire;
  }
  return static_cast<Wire>(0);
}

}  // namespace muster::wire
