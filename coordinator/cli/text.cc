#include "coordinator/cli/text.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "coordinator/cli/duration.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

constexpr int64_t kMicros = 1'000'000;

std::string Format(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

// Code points: a table is as wide as what is seen.
size_t Width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string FormatCount(uint64_t count) {
  const std::string digits = std::to_string(count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text.push_back(',');
    text.push_back(digits[i]);
  }
  return text;
}

std::string FormatBytes(uint64_t bytes) {
  static constexpr std::array<const char*, 4> kUnits = {"%.1f kB", "%.1f MB", "%.1f GB", "%.1f TB"};
  if (bytes < 1000) return StrCat(bytes, " B");
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return Format(kUnits[unit], value);
}

std::string FormatPercent(double share) { return Format("%.1f%%", share * 100); }
std::string FormatNumber(double value) { return Format("%.4g", value); }

std::string FormatTime(int64_t unix_us) {
  if (unix_us == 0) return "-";
  const time_t seconds = static_cast<time_t>(unix_us / kMicros);
  tm utc{};
  char text[64];
  if (gmtime_r(&seconds, &utc) == nullptr) return "-";
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &utc);
  return text;
}

std::string FormatAge(int64_t unix_us, Timestamp now) {
  if (unix_us == 0) return "never";
  const int64_t seconds = std::max<int64_t>(0, (now.unix_us - unix_us) / kMicros);
  if (seconds < 60) return StrCat(seconds, " s ago");
  if (seconds < 3600) return StrCat(seconds / 60, " min ago");
  if (seconds < 48 * 3600) return StrCat(seconds / 3600, " h ago");
  return StrCat(seconds / (24 * 3600), " days ago");
}

std::string Printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) c = c == '\n' || c == '\t' ? ' ' : '?';
  }
  return out;
}

Color ColorOf(std::string_view phase) {
  if (phase == "live" || phase == "succeeded" || phase == "committed") return Color::kGreen;
  if (phase == "failed" || phase == "abandoned" || phase == "revoked") return Color::kRed;
  if (phase == "cancelled" || phase == "rolled_back") return Color::kYellow;
  return Color::kNone;
}

std::string Paint(std::string_view text, Color color, bool enabled) {
  if (!enabled || color == Color::kNone) return std::string(text);
  const std::string_view code = color == Color::kGreen    ? "32"
                                : color == Color::kYellow ? "33"
                                                          : "31";
  return StrCat("\033[", code, "m", text, "\033[0m");
}

void Table::Add(std::vector<Cell> row) {
  for (Cell& cell : row) cell.text = Printable(cell.text);
  rows_.push_back(std::move(row));
}

std::string Table::Render(bool color) const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = Width(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, Width(row[i].text));
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](auto&& cell) {
    std::string text;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const auto& [plain, painted] = cell(i);
      const std::string pad(widths[i] - Width(plain), ' ');
      const bool right = columns_[i].align == Align::kRight;
      const bool last = i + 1 == columns_.size();
      if (i > 0) text.append(2, ' ');
      if (right) text += pad;
      text += painted;
      if (!right && !last) text += pad;
    }
    StrAppend(&out, text, "\n");
  };
  line([&](size_t i) { return std::pair(columns_[i].title, columns_[i].title); });
  for (const auto& row : rows_) {
    line([&](size_t i) { return std::pair(row[i].text, Paint(row[i].text, row[i].color, color)); });
  }
  return out;
}

}  // namespace muster::cli
