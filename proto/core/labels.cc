#include "proto/core/labels.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proto/core/ids.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

static_assert(limits::kMaxLabelLength == kMaxIdLength, "keys and values are ids");

// The terms between commas, blanks around them dropped; none for blank text.
std::vector<std::string> SplitTerms(std::string_view text) {
  if (absl::StripAsciiWhitespace(AbslView(text)).empty()) return {};
  std::vector<std::string> terms = absl::StrSplit(AbslView(text), ',');
  for (std::string& term : terms) absl::StripAsciiWhitespace(&term);
  return terms;
}

absl::Status CheckCount(size_t count, std::string_view what) {
  if (count <= limits::kMaxLabels) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat(count, " ", what, "; at most ", limits::kMaxLabels, " are allowed"));
}

absl::Status ValidateLabel(std::string_view key, std::string_view value) {
  MUSTER_RETURN_IF_ERROR(ValidateId("label key", key));
  return ValidateId(StrCat("value of label '", key, "'"), value);
}

std::string Stripped(std::string_view text) {
  return std::string(absl::StripAsciiWhitespace(AbslView(text)));
}

}  // namespace

absl::Status ValidateLabels(const Labels& labels) {
  MUSTER_RETURN_IF_ERROR(CheckCount(labels.size(), "labels"));
  for (const auto& [key, value] : labels) MUSTER_RETURN_IF_ERROR(ValidateLabel(key, value));
  return absl::OkStatus();
}

absl::StatusOr<Labels> ParseLabels(std::string_view text) {
  const std::vector<std::string> terms = SplitTerms(text);
  MUSTER_RETURN_IF_ERROR(CheckCount(terms.size(), "labels"));
  Labels labels;
  for (const std::string& term : terms) {
    const size_t equals = term.find('=');
    if (equals == std::string::npos) {
      return absl::InvalidArgumentError(
          StrCat("label '", term, "' has no '='; write KEY=VALUE,KEY=VALUE"));
    }
    const std::string_view view = term;
    std::string key = Stripped(view.substr(0, equals));
    std::string value = Stripped(view.substr(equals + 1));
    MUSTER_RETURN_IF_ERROR(ValidateLabel(key, value));
    if (!labels.emplace(key, std::move(value)).second) {
      return absl::InvalidArgumentError(
          StrCat("label '", key, "' is given twice; a device has one value per key"));
    }
  }
  return labels;
}

std::string FormatLabels(const Labels& labels) {
  return absl::StrJoin(labels, ",", absl::PairFormatter("="));
}

absl::StatusOr<Selector> Selector::Parse(std::string_view text) {
  const std::vector<std::string> terms = SplitTerms(text);
  MUSTER_RETURN_IF_ERROR(CheckCount(terms.size(), "terms in a selector"));
  Selector selector;
  for (const std::string& term : terms) {
    const size_t equals = term.find('=');
    if (equals == std::string::npos) {
      return absl::InvalidArgumentError(
          StrCat("selector term '", term, "' has no '='; write KEY=VALUE or KEY!=VALUE"));
    }
    const bool unequal = equals > 0 && term[equals - 1] == '!';
    const std::string_view view = term;
    Term parsed{.key = Stripped(view.substr(0, unequal ? equals - 1 : equals)),
                .value = Stripped(view.substr(equals + 1)),
                .equal = !unequal};
    if (absl::Status status = ValidateLabel(parsed.key, parsed.value); !status.ok()) {
      return Annotate(status, StrCat("selector term '", term, "'"));
    }
    selector.terms_.push_back(std::move(parsed));
  }
  return selector;
}

bool Selector::Matches(const Labels& labels) const {
  for (const Term& term : terms_) {
    const auto found = labels.find(term.key);
    const bool has = found != labels.end() && found->second == term.value;
    if (has != term.equal) return false;
  }
  return true;
}

std::string Selector::ToString() const {
  std::string text;
  for (const Term& term : terms_) {
    StrAppend(&text, text.empty() ? "" : ",", term.key, term.equal ? "=" : "!=", term.value);
  }
  return text;
}

}  // namespace muster
