#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "models/data/csv_parser.h"
#include "models/data/csv_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
  muster::CsvParser parser(in);
  std::vector<std::string> fields;
  size_t characters = 0;
  while (true) {
    const auto more = parser.Next(fields);
    if (!more.ok() || !*more) break;
    if (fields.empty() || parser.line() == 0) std::abort();
    for (const std::string& field : fields) {
      characters += field.size();
      const auto number = muster::ParseCsvNumber(field);
      if (number.ok() && !std::isfinite(*number)) std::abort();
      const auto label = muster::ParseCsvLabel(field);
      if (label.ok() && (*label < 0 || *label >= muster::kMaxClasses)) std::abort();
    }
    const auto column = muster::FindLabelColumn(fields, {.label_column = fields.back()});
    if (column.ok() && *column >= fields.size()) std::abort();
  }
  if (characters > size) std::abort();  // parsing only ever takes characters away
  return 0;
}
