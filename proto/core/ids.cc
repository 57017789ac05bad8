#include "proto/core/ids.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kMaxQuoted = 80;  // of bad input in a message

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetterOrDigit(char c) { return (c >= 'a' && c <= 'z') || IsDigit(c); }
bool IsIdCharacter(char c) { return IsLetterOrDigit(c) || c == '.' || c == '_' || c == '-'; }

std::string Quote(std::string_view text) {
  const std::string shown = absl::CHexEscape(AbslView(text.substr(0, kMaxQuoted)));
  return StrCat("'", shown, text.size() > kMaxQuoted ? "...'" : "'");
}

}  // namespace

absl::Status ValidateId(std::string_view what, std::string_view text) {
  if (text.empty()) {
    return absl::InvalidArgumentError(StrCat(what, " is empty; it needs 1 to ", kMaxIdLength,
                                             " characters of a-z, 0-9, '.', '_', '-'"));
  }
  if (text.size() > kMaxIdLength) {
    return absl::InvalidArgumentError(StrCat(what, " ", Quote(text), " has ", text.size(),
                                             " characters; at most ", kMaxIdLength,
                                             " are allowed"));
  }
  const auto bad = std::find_if_not(text.begin(), text.end(), IsIdCharacter);
  if (bad != text.end()) {
    return absl::InvalidArgumentError(StrCat(what, " ", Quote(text), " has ", Quote({&*bad, 1}),
                                             " at position ", bad - text.begin(),
                                             "; only a-z, 0-9, '.', '_' and '-' are allowed"));
  }
  if (!IsLetterOrDigit(text.front())) {
    return absl::InvalidArgumentError(
        StrCat(what, " ", Quote(text), " must start with a letter or digit"));
  }
  return absl::OkStatus();
}

std::string RoundId::ToString() const { return StrCat(job.value(), "/r", number, ".a", attempt); }

std::string ModelVersion::ToString() const { return StrCat(name.value(), "@", version); }

absl::StatusOr<ModelVersion> ModelVersion::Parse(std::string_view text) {
  const size_t at = text.find('@');
  if (at == std::string_view::npos) {
    return absl::InvalidArgumentError(
        StrCat("model version ", Quote(text), " has no '@'; write NAME@VERSION, as in lenet@3"));
  }
  absl::StatusOr<ModelName> name = ModelName::Parse(text.substr(0, at));
  if (!name.ok()) return name.status();
  const std::string_view number = text.substr(at + 1);
  uint32_t version = 0;
  // SimpleAtoi would take blanks and signs as well, and one version must have one spelling.
  const bool plain = !number.empty() && std::all_of(number.begin(), number.end(), IsDigit) &&
                     number.front() != '0';
  if (!plain || !absl::SimpleAtoi(AbslView(number), &version)) {
    return absl::InvalidArgumentError(
        StrCat("model version ", Quote(text), " has version ", Quote(number),
               "; write a whole number from 1 to 4294967295, as in lenet@3"));
  }
  return ModelVersion{*std::move(name), version};
}

}  // namespace muster
