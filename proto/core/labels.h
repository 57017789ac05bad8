// Labels on devices and selectors over them: "site=a,role!=evaluator". Keys and values are ids.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

using Labels = std::map<std::string, std::string>;

absl::Status ValidateLabels(const Labels& labels);
// "site=a,rack=3" -> Labels.
absl::StatusOr<Labels> ParseLabels(std::string_view text);
std::string FormatLabels(const Labels& labels);

// A conjunction of equalities and inequalities. The empty selector matches everything. `key!=value`
// also matches devices without the key.
class Selector {
 public:
  Selector() = default;
  static absl::StatusOr<Selector> Parse(std::string_view text);
  bool Matches(const Labels& labels) const;
  std::string ToString() const;
  friend bool operator==(const Selector&, const Selector&) = default;

 private:
  struct Term {
    std::string key, value;
    bool equal = true;
    friend bool operator==(const Term&, const Term&) = default;
  };
  std::vector<Term> terms_;
};

}  // namespace muster
