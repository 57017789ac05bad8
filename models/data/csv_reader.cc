#include "models/data/csv_reader.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "models/data/csv_parser.h"
#include "models/data/open_file.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNamesInMessage = 12;

absl::StatusOr<std::ifstream> OpenStream(const fs::path& path) {
  MUSTER_RETURN_IF_ERROR(CheckRegularFile(path, "CSV"));
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return absl::UnavailableError(StrCat("cannot open ", path.string(), ": check its permissions"));
  }
  return in;
}

class CsvSource final : public ExampleSource {
 public:
  CsvSource(fs::path path, CsvOptions options)
      : path_(std::move(path)), options_(std::move(options)) {}

  // Reads every record once, for its label and its number of columns.
  absl::Status ReadLabels();

  const std::vector<uint32_t>& example_shape() const override { return shape_; }
  const std::vector<int64_t>& labels() const override { return labels_; }
  absl::Status VisitRows(std::span<const uint64_t> rows, Visitor visit) const override;

 private:
  absl::Status ParseFeatures(const std::vector<std::string>& fields, uint64_t line,
                             std::vector<float>& features) const;
  absl::Status CheckColumns(const std::vector<std::string>& fields, uint64_t line) const;
  absl::Status At(uint64_t line, size_t column, const absl::Status& status) const;

  fs::path path_;
  CsvOptions options_;
  std::vector<std::string> names_;  // empty without a header
  size_t columns_ = 0;
  size_t label_column_ = 0;
  std::vector<uint32_t> shape_;
  std::vector<int64_t> labels_;
};

absl::Status CsvSource::At(uint64_t line, size_t column, const absl::Status& status) const {
  std::string where = StrCat(path_.string(), " line ", line, ", column ", column);
  if (column < names_.size()) {
    StrAppend(&where, " (", absl::CHexEscape(names_[column].substr(0, 64)), ")");
  }
  // With no header expected, a failure on the first line is most likely the header.
  if (!options_.header && line == 1) {
    return Annotate(status, where + " (if this line holds the columns' names, set `header`)");
  }
  return Annotate(status, where);
}

absl::Status CsvSource::CheckColumns(const std::vector<std::string>& fields, uint64_t line) const {
  if (fields.size() == columns_) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat(path_.string(), " line ", line, " has ", fields.size(),
                                           " columns, the first record has ", columns_,
                                           ": fix or remove the row"));
}

absl::Status CsvSource::ReadLabels() {
  MUSTER_ASSIGN_OR_RETURN(std::ifstream in, OpenStream(path_));
  CsvParser parser(in);
  std::vector<std::string> fields;
  while (true) {
    absl::StatusOr<bool> more = parser.Next(fields);
    if (!more.ok()) return Annotate(more.status(), path_.string());
    if (!*more) break;
    if (columns_ == 0) {
      columns_ = fields.size();
      if (columns_ < 2) {
        return absl::InvalidArgumentError(
            StrCat(path_.string(),
                   " has one column: it needs a label and at least one feature, separated "
                   "by commas"));
      }
      absl::StatusOr<size_t> label = FindLabelColumn(fields, options_);
      if (!label.ok()) return Annotate(label.status(), path_.string());
      label_column_ = *label;
      if (options_.header) {
        names_ = fields;
        continue;
      }
    }
    MUSTER_RETURN_IF_ERROR(CheckColumns(fields, parser.line()));
    absl::StatusOr<int64_t> label = ParseCsvLabel(fields[label_column_]);
    if (!label.ok()) return At(parser.line(), label_column_, label.status());
    if (labels_.size() >= kMaxDatasetExamples) {
      return absl::ResourceExhaustedError(
          StrCat(path_.string(), " has more than ", kMaxDatasetExamples, " rows: split the file"));
    }
    labels_.push_back(*label);
  }
  if (labels_.empty()) {
    return absl::InvalidArgumentError(StrCat(path_.string(), " holds no rows of data"));
  }
  shape_ = {static_cast<uint32_t>(columns_ - 1)};
  return absl::OkStatus();
}

absl::Status CsvSource::ParseFeatures(const std::vector<std::string>& fields, uint64_t line,
                                      std::vector<float>& features) const {
  MUSTER_RETURN_IF_ERROR(CheckColumns(fields, line));
  features.clear();
  for (size_t column = 0; column < fields.size(); ++column) {
    if (column == label_column_) continue;
    absl::StatusOr<float> value = ParseCsvNumber(fields[column]);
    if (!value.ok()) return At(line, column, value.status());
    features.push_back(*value);
  }
  return absl::OkStatus();
}

absl::Status CsvSource::VisitRows(std::span<const uint64_t> rows, Visitor visit) const {
  MUSTER_ASSIGN_OR_RETURN(std::ifstream in, OpenStream(path_));
  CsvParser parser(in);
  std::vector<std::string> fields;
  std::vector<float> features;
  uint64_t next = 0;  // the row that the next record holds
  bool in_header = options_.header;
  for (size_t i = 0; i < rows.size();) {
    absl::StatusOr<bool> more = parser.Next(fields);
    if (!more.ok()) return Annotate(more.status(), path_.string());
    if (!*more) {
      return absl::DataLossError(StrCat(path_.string(), " became shorter than ", labels_.size(),
                                        " rows while it was read"));
    }
    if (std::exchange(in_header, false)) continue;
    if (next++ != rows[i]) continue;
    MUSTER_RETURN_IF_ERROR(ParseFeatures(fields, parser.line(), features));
    visit(i++, features);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<size_t> FindLabelColumn(std::span<const std::string> columns,
                                       const CsvOptions& options) {
  const std::string& wanted = options.label_column;
  if (wanted.empty()) {
    return absl::InvalidArgumentError(
        "no label column given: set `label_column` to a column's name or index");
  }
  if (options.header) {
    const auto found = std::find(columns.begin(), columns.end(), wanted);
    if (found != columns.end()) return static_cast<size_t>(found - columns.begin());
  }
  const auto count = static_cast<int64_t>(columns.size());
  int64_t index = 0;
  const bool is_index = absl::SimpleAtoi(wanted, &index);
  if (is_index && index >= -count && index < count) {
    return static_cast<size_t>(index < 0 ? index + count : index);
  }
  std::string message = StrCat("there is no column \"", absl::CHexEscape(wanted.substr(0, 64)),
                               "\" among ", count, " columns");
  if (options.header) {
    std::vector<std::string> shown;
    for (const std::string& name : columns.first(std::min(columns.size(), kNamesInMessage))) {
      shown.push_back(absl::CHexEscape(name.substr(0, 64)));
    }
    StrAppend(&message, " (", StrJoin(shown, ", "), shown.size() < columns.size() ? ", ...)" : ")");
  } else if (!is_index) {
    StrAppend(&message, ", which have no names: set `header`, or give an index from 0");
  }
  return absl::InvalidArgumentError(message);
}

absl::StatusOr<std::unique_ptr<ExampleSource>> OpenCsv(const fs::path& path,
                                                       const CsvOptions& options) {
  auto source = std::make_unique<CsvSource>(path, options);
  MUSTER_RETURN_IF_ERROR(source->ReadLabels());
  return source;
}

}  // namespace muster
