#include "proto/codec/field.h"

#include <algorithm>
#include <cmath>

#include "proto/core/limits.h"

namespace muster::wire {
namespace {

constexpr size_t kMaxSelectorBytes = limits::kMaxLabels * (2 * limits::kMaxLabelLength + 3);
constexpr int64_t kLastUnixUs = 253'402'300'799'999'999;  // 9999-12-31T23:59:59.999999Z
constexpr size_t kShownBytes = 80;                        // of a bad value, in a message

std::string WithUnit(uint64_t value, std::string_view unit) {
  return unit.empty() ? StrCat(value) : StrCat(value, " ", unit);
}

bool IsControl(unsigned char c) { return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f; }

// Bytes of the character that `text` starts with, or 0 if that is no UTF-8 (RFC 3629).
size_t Utf8Length(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
      (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return length;
}

}  // namespace

std::string Field::ToString() const {
  std::string path = parent_ == nullptr ? std::string() : parent_->ToString() + ".";
  path += name_;
  if (index_ != kNoIndex) path += StrCat("[", index_, "]");
  return path;
}

absl::Status Refuse(const Field& field, std::string_view problem) {
  return absl::InvalidArgumentError(StrCat(field.ToString(), ": ", problem));
}

absl::Status Refuse(const Field& field, const absl::Status& status) {
  return Refuse(field, StdView(status.message()));
}

absl::Status CheckPresent(const Field& field, bool present) {
  return present ? absl::OkStatus() : Refuse(field, "is missing");
}

absl::Status CheckAtMost(const Field& field, uint64_t value, uint64_t limit,
                         std::string_view unit) {
  if (value <= limit) return absl::OkStatus();
  return Refuse(field, StrCat(value, " is above the limit of ", WithUnit(limit, unit)));
}

absl::Status CheckRange(const Field& field, uint64_t value, uint64_t low, uint64_t high,
                        std::string_view unit) {
  if (value >= low) return CheckAtMost(field, value, high, unit);
  return Refuse(field, StrCat(value, " is below the minimum of ", WithUnit(low, unit)));
}

absl::Status CheckCount(const Field& field, size_t count, size_t limit) {
  if (count <= limit) return absl::OkStatus();
  return Refuse(field, StrCat(count, " entries are above the limit of ", limit));
}

absl::Status CheckReal(const Field& field, double value, double low, double high, Open open) {
  const bool low_open = open == Open::kLow || open == Open::kBoth;
  const bool high_open = open == Open::kHigh || open == Open::kBoth;
  if (std::isfinite(value) && (low_open ? value > low : value >= low) &&
      (high_open ? value < high : value <= high)) {
    return absl::OkStatus();
  }
  return Refuse(field, StrCat(value, " is outside ", low_open ? "(" : "[", low, ", ", high,
                              high_open ? ")" : "]"));
}

absl::Status CheckText(const Field& field, std::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return Refuse(field, StrCat(text.size(), " bytes are above the limit of ", max_bytes));
  }
  for (unsigned char c : text) {
    if (IsControl(c)) return Refuse(field, "holds a control character");
  }
  return absl::OkStatus();
}

std::string ClampText(std::string_view text, size_t max_bytes) {
  std::string clamped;
  for (size_t i = 0; i < text.size();) {
    const size_t length = Utf8Length(text.substr(i));
    if (clamped.size() + std::max<size_t>(length, 1) > max_bytes) break;
    if (length == 0 || IsControl(static_cast<unsigned char>(text[i]))) {
      clamped.push_back('?');
    } else {
      clamped.append(text.substr(i, length));
    }
    i += std::max<size_t>(length, 1);
  }
  return clamped;
}

absl::Status CheckWord(const Field& field, std::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return Refuse(field, StrCat(text.size(), " bytes are above the limit of ", max_bytes));
  }
  for (unsigned char c : text) {
    if (c <= 0x20 || c >= 0x7f) {
      return Refuse(field, "holds a character that is not printable ASCII");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Digest> DecodeDigest(const Field& field, std::string_view bytes) {
  if (bytes.size() != Digest::kSize) {
    return Refuse(field,
                  StrCat("a SHA-256 digest has ", Digest::kSize, " bytes, not ", bytes.size()));
  }
  absl::StatusOr<Digest> digest = Digest::FromBytes(bytes);
  if (!digest.ok()) return Refuse(field, digest.status());
  if (digest->empty()) return Refuse(field, "the all-zero digest names nothing");
  return digest;
}

absl::StatusOr<Digest> DecodeOptionalDigest(const Field& field, std::string_view bytes) {
  if (bytes.empty()) return Digest();
  return DecodeDigest(field, bytes);
}

std::string EncodeDigest(const Digest& digest) {
  return digest.empty() ? std::string() : std::string(digest.bytes());
}

absl::StatusOr<Duration> DecodeDuration(const Field& field, int64_t us, Duration low,
                                        Duration high) {
  if (us < low.count()) {
    return Refuse(field, StrCat(us, " is below the minimum of ", low.count(), " us"));
  }
  if (us > high.count()) {
    return Refuse(field, StrCat(us, " is above the limit of ", high.count(), " us"));
  }
  return Duration(us);
}

absl::StatusOr<Timestamp> DecodeTimestamp(const Field& field, int64_t unix_us) {
  if (unix_us < 0 || unix_us > kLastUnixUs) {
    return Refuse(field, StrCat(unix_us, " us lies outside the years 1970 to 9999"));
  }
  return Timestamp{unix_us};
}

absl::StatusOr<Selector> DecodeSelector(const Field& field, std::string_view text) {
  MUSTER_RETURN_IF_ERROR(CheckText(field, text, kMaxSelectorBytes));
  absl::StatusOr<Selector> selector = Selector::Parse(text);
  if (!selector.ok()) return Refuse(field, selector.status());
  return selector;
}

absl::StatusOr<Metrics> DecodeMetrics(const Field& field, const WireMetrics& metrics) {
  MUSTER_RETURN_IF_ERROR(CheckCount(field, metrics.size(), limits::kMaxMetrics));
  Metrics decoded;
  for (const auto& [name, value] : metrics) {
    if (absl::Status status = ValidateId("metric name", name); !status.ok()) {
      return Refuse(field, status);
    }
    if (!std::isfinite(value)) {
      return Refuse(field, StrCat(name, " is ", value, "; metrics are finite"));
    }
    decoded.emplace(name, value);
  }
  return decoded;
}

void EncodeMetrics(const Metrics& metrics, WireMetrics* out) {
  for (const auto& [name, value] : metrics) (*out)[name] = value;
}

absl::StatusOr<Labels> DecodeLabels(const Field& field, const WireLabels& labels) {
  MUSTER_RETURN_IF_ERROR(CheckCount(field, labels.size(), limits::kMaxLabels));
  Labels decoded;
  for (const auto& [key, value] : labels) {
    if (key.size() > limits::kMaxLabelLength || value.size() > limits::kMaxLabelLength) {
      return Refuse(field, StrCat("label '", key.substr(0, kShownBytes),
                                  "' has a key or value above the limit of ",
                                  limits::kMaxLabelLength, " characters"));
    }
    decoded.emplace(key, value);
  }
  if (absl::Status status = ValidateLabels(decoded); !status.ok()) return Refuse(field, status);
  return decoded;
}

void EncodeLabels(const Labels& labels, WireLabels* out) {
  for (const auto& [key, value] : labels) (*out)[key] = value;
}

}  // namespace muster::wire
