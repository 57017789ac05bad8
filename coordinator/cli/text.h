// Numbers, times and tables as people read them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/core/time.h"

namespace muster::cli {

std::string FormatCount(uint64_t count);                // "20,000"
std::string FormatBytes(uint64_t bytes);                // "4.9 MB": powers of 1000
std::string FormatPercent(double share);                // "81.2%"
std::string FormatNumber(double value);                 // "0.513"
std::string FormatTime(int64_t unix_us);                // "2026-01-02 03:04:05 UTC"; "-" for 0
std::string FormatAge(int64_t unix_us, Timestamp now);  // "3 min ago"; "never" for 0
// Without control characters: what comes over the wire may not steer the terminal.
std::string Printable(std::string_view text);

enum class Color { kNone, kGreen, kYellow, kRed };
// The usual color of a phase's short name: live and succeeded are green, failed is red.
Color ColorOf(std::string_view phase);
std::string Paint(std::string_view text, Color color, bool enabled);

// Columns as wide as their widest cell, two blanks between them.
class Table {
 public:
  struct Cell {
    std::string text;
    Color color = Color::kNone;
    Cell(std::string t) : text(std::move(t)) {}  // NOLINT: cells are mostly plain text
    Cell(const char* t) : text(t) {}             // NOLINT
    Cell(std::string t, Color c) : text(std::move(t)), color(c) {}
  };
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void Add(std::vector<Cell> row);  // as many cells as columns
  std::string Render(bool color) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace muster::cli
