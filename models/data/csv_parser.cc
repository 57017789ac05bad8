#include "models/data/csv_parser.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "models/data/dataset.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr int kEof = std::char_traits<char>::eof();
constexpr size_t kQuotedInMessage = 40;

// Decimal only: absl also takes hexadecimal, which in a table of numbers is more likely an
// accident.
bool ParseDecimal(absl::string_view text, double* value) {
  return text.find_first_of("xX") == absl::string_view::npos && absl::SimpleAtod(text, value);
}

std::string Quote(std::string_view text) {
  return StrCat("\"", absl::CHexEscape(AbslView(text.substr(0, kQuotedInMessage))),
                text.size() > kQuotedInMessage ? "...\"" : "\"");
}

}  // namespace

absl::Status CsvParser::Wrong(std::string_view what) const {
  return absl::InvalidArgumentError(StrCat("line ", line_, ": ", what));
}

absl::Status CsvParser::Append(std::string& field, int c) const {
  if (c == '\0') return Wrong("holds a NUL byte: this is not a text file");
  if (field.size() >= kMaxCsvFieldBytes) {
    return Wrong(StrCat("a field is longer than ", kMaxCsvFieldBytes,
                        " bytes: look for a quote that is never closed"));
  }
  field.push_back(static_cast<char>(c));
  return absl::OkStatus();
}

void CsvParser::SkipByteOrderMark() {
  static constexpr std::string_view kMark = "\xEF\xBB\xBF";
  if (in_.sgetc() != static_cast<uint8_t>(kMark[0])) return;
  for (char expected : kMark) {
    if (in_.sgetc() == static_cast<uint8_t>(expected)) in_.sbumpc();
  }
}

absl::StatusOr<bool> CsvParser::Next(std::vector<std::string>& fields) {
  if (!started_) SkipByteOrderMark();
  started_ = true;
  while (true) {
    fields.clear();
    record_line_ = line_;
    if (in_.sgetc() == kEof) return false;
    FieldEnd end = FieldEnd::kComma;
    while (end == FieldEnd::kComma) {
      if (fields.size() >= kMaxCsvColumns) {
        return Wrong(StrCat("more than ", kMaxCsvColumns, " columns"));
      }
      MUSTER_ASSIGN_OR_RETURN(end, ParseField(fields.emplace_back()));
    }
    const bool blank = fields.size() == 1 && fields[0].empty();
    if (!blank) return true;
    if (end == FieldEnd::kFile) return false;
  }
}

absl::StatusOr<CsvParser::FieldEnd> CsvParser::ParseField(std::string& field) {
  if (in_.sgetc() == '"') {
    in_.sbumpc();
    return ParseQuoted(field);
  }
  while (true) {
    const int c = in_.sbumpc();
    if (c == ',' || c == '\n' || c == '\r' || c == kEof) return EndOfField(c);
    if (c == '"')
      return Wrong("a quote within a field: quote the whole field and double the quote");
    MUSTER_RETURN_IF_ERROR(Append(field, c));
  }
}

absl::StatusOr<CsvParser::FieldEnd> CsvParser::ParseQuoted(std::string& field) {
  const uint64_t opened = line_;
  while (true) {
    int c = in_.sbumpc();
    if (c == kEof) return Wrong(StrCat("the quote opened on line ", opened, " never closes"));
    if (c == '"') {
      if (in_.sgetc() != '"') break;
      in_.sbumpc();
    }
    if (c == '\n') ++line_;
    MUSTER_RETURN_IF_ERROR(Append(field, c));
  }
  const int c = in_.sbumpc();
  if (c == ',' || c == '\n' || c == '\r' || c == kEof) return EndOfField(c);
  return Wrong("text after a closing quote: put a comma there, or double the quote");
}

absl::StatusOr<CsvParser::FieldEnd> CsvParser::EndOfField(int c) {
  if (c == kEof) return FieldEnd::kFile;
  if (c == ',') return FieldEnd::kComma;
  if (c == '\r' && in_.sbumpc() != '\n') {
    return Wrong("a carriage return without a line feed: end lines with LF or CRLF");
  }
  ++line_;
  return FieldEnd::kRecord;
}

absl::StatusOr<float> ParseCsvNumber(std::string_view text) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(AbslView(text));
  if (trimmed.empty()) {
    return absl::InvalidArgumentError("is empty: fill in the value or remove the row");
  }
  double value = 0;
  if (!ParseDecimal(trimmed, &value)) {
    return absl::InvalidArgumentError(StrCat(Quote(text), " is not a number"));
  }
  const auto narrow = static_cast<float>(value);
  if (!std::isfinite(narrow)) {
    return absl::InvalidArgumentError(
        StrCat(Quote(text), " is not a finite 32-bit number: fix or remove the row"));
  }
  return narrow;
}

absl::StatusOr<int64_t> ParseCsvLabel(std::string_view text) {
  double value = 0;
  if (!ParseDecimal(absl::StripAsciiWhitespace(AbslView(text)), &value)) {
    return absl::InvalidArgumentError(
        StrCat(Quote(text), " is not a label: number the classes from 0"));
  }
  if (!(value >= 0) || value >= static_cast<double>(kMaxClasses) || value != std::floor(value)) {
    return absl::InvalidArgumentError(
        StrCat(Quote(text), " is not a label: use whole numbers from 0 to ", kMaxClasses - 1));
  }
  return static_cast<int64_t>(value);
}

}  // namespace muster
