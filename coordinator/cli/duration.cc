#include "coordinator/cli/duration.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <limits>
#include <utility>

#include "proto/core/strings.h"

namespace muster::cli {
namespace {

constexpr int64_t kSecond = 1'000'000;
// Longer units first where one starts with another.
constexpr std::array<std::pair<std::string_view, int64_t>, 6> kUnits = {{
    {"us", 1},
    {"ms", 1000},
    {"s", kSecond},
    {"m", 60 * kSecond},
    {"h", 3600 * kSecond},
    {"d", 24 * 3600 * kSecond},
}};

absl::Status Refuse(std::string_view text) {
  return absl::InvalidArgumentError(
      StrCat("'", text, "' is no length of time; write a number with a unit, such as 30s or 5m"));
}

}  // namespace

absl::StatusOr<Duration> ParseDuration(std::string_view text) {
  int64_t total = 0;
  std::string_view rest = text;
  if (rest.empty()) return Refuse(text);
  while (!rest.empty()) {
    int64_t number = 0;
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error != std::errc() || number < 0) return Refuse(text);
    rest.remove_prefix(static_cast<size_t>(stop - rest.data()));
    int64_t unit = 0;
    size_t length = 0;
    for (const auto& [name, us] : kUnits) {
      if (rest.starts_with(name) && name.size() > length) {
        unit = us;
        length = name.size();
      }
    }
    if (unit == 0) return Refuse(text);
    rest.remove_prefix(length);
    int64_t part = 0;
    if (__builtin_mul_overflow(number, unit, &part) ||
        __builtin_add_overflow(total, part, &total)) {
      return Refuse(text);
    }
  }
  return Duration(total);
}

std::string FormatDuration(Duration duration) {
  const int64_t us = duration.count();
  char text[64];
  if (us < kSecond) {
    std::snprintf(text, sizeof(text), "%lld ms", static_cast<long long>(us / 1000));
  } else if (us < 60 * kSecond) {
    std::snprintf(text, sizeof(text), "%.1f s", static_cast<double>(us) / kSecond);
  } else if (us < 3600 * kSecond) {
    std::snprintf(text, sizeof(text), "%lld min %lld s", static_cast<long long>(us / kSecond / 60),
                  static_cast<long long>(us / kSecond % 60));
  } else {
    std::snprintf(text, sizeof(text), "%lld h %lld min",
                  static_cast<long long>(us / kSecond / 3600),
                  static_cast<long long>(us / kSecond / 60 % 60));
  }
  return text;
}

}  // namespace muster::cli
