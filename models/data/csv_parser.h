// RFC 4180 records from a stream, one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

inline constexpr size_t kMaxCsvFieldBytes = 64u << 10;
inline constexpr size_t kMaxCsvColumns = 1u << 20;

// Lines end in LF or CRLF; the last may lack its end. Quoted fields hold commas, line breaks and
// doubled quotes. Blank lines between records are skipped, and so is a UTF-8 byte order mark.
class CsvParser {
 public:
  explicit CsvParser(std::istream& in) : in_(*in.rdbuf()) {}

  // The next record's fields; false at the end. InvalidArgument with the line for a stray quote, a
  // quoted field that never ends, a lone CR, a NUL, or a field or record beyond the limits.
  absl::StatusOr<bool> Next(std::vector<std::string>& fields);

  uint64_t line() const { return record_line_; }  // where the last record starts, from 1

 private:
  enum class FieldEnd { kComma, kRecord, kFile };

  absl::StatusOr<FieldEnd> ParseField(std::string& field);
  absl::StatusOr<FieldEnd> ParseQuoted(std::string& field);
  absl::StatusOr<FieldEnd> EndOfField(int c);
  absl::Status Append(std::string& field, int c) const;
  absl::Status Wrong(std::string_view what) const;
  void SkipByteOrderMark();

  std::streambuf& in_;
  uint64_t line_ = 1;
  uint64_t record_line_ = 0;
  bool started_ = false;
};

// A finite number, spaces around it allowed. InvalidArgument says what the text is instead.
absl::StatusOr<float> ParseCsvNumber(std::string_view text);

// A class: a whole number in [0, kMaxClasses); "3.0" counts as 3.
absl::StatusOr<int64_t> ParseCsvLabel(std::string_view text);

}  // namespace muster
