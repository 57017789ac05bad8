#include "proto/core/layout.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/core/suggest.h"

namespace muster {
namespace {

constexpr std::array<std::string_view, 3> kGroupNames = {"shared", "personal", "frozen"};
constexpr size_t kMaxListedNames = 40;  // in an error message

absl::Status ValidateName(const LayoutEntry& entry, size_t index) {
  if (entry.name.empty()) {
    return absl::InvalidArgumentError(StrCat("layout entry ", index, " has no name"));
  }
  if (entry.name.size() > limits::kMaxParameterNameLength) {
    return absl::InvalidArgumentError(StrCat("the name of layout entry ", index, " has ",
                                             entry.name.size(), " characters; at most ",
                                             limits::kMaxParameterNameLength, " are allowed"));
  }
  const bool printable = std::all_of(entry.name.begin(), entry.name.end(),
                                     [](char c) { return c > ' ' && c <= '~' && c != '*'; });
  if (!printable) {
    return absl::InvalidArgumentError(StrCat("the name of layout entry ", index, ", '",
                                             absl::CHexEscape(entry.name),
                                             "', must be printable ASCII without blanks and '*'"));
  }
  return absl::OkStatus();
}

absl::Status ValidateEntry(const LayoutEntry& entry, size_t index, uint64_t expected_offset) {
  MUSTER_RETURN_IF_ERROR(ValidateName(entry, index));
  const std::string where = StrCat("layout entry '", entry.name, "'");
  if (entry.shape.size() > limits::kMaxTensorRank) {
    return absl::InvalidArgumentError(StrCat(where, " has rank ", entry.shape.size(), "; at most ",
                                             limits::kMaxTensorRank, " is allowed"));
  }
  if (entry.size() == 0) {
    return absl::InvalidArgumentError(
        StrCat(where, " has shape [", StrJoin(entry.shape, ", "), "], which holds no element"));
  }
  if (entry.offset != expected_offset) {
    return absl::InvalidArgumentError(StrCat(where, " starts at offset ", entry.offset,
                                             ", but the entries before it end at ",
                                             expected_offset));
  }
  if (entry.size() > limits::kMaxParameters - expected_offset) {
    return absl::InvalidArgumentError(StrCat(where, " takes the model above the limit of ",
                                             limits::kMaxParameters, " parameters"));
  }
  return absl::OkStatus();
}

absl::Status NothingMatched(std::string_view pattern, std::string_view group,
                            const std::vector<LayoutEntry>& entries) {
  std::vector<std::string_view> names;
  for (const LayoutEntry& entry : entries) names.push_back(entry.name);
  const std::string hint = DidYouMean(pattern, names);
  const size_t left_off = names.size() > kMaxListedNames ? names.size() - kMaxListedNames : 0;
  names.resize(names.size() - left_off);
  return absl::InvalidArgumentError(
      StrCat("pattern '", pattern, "' for ", group, " parameters matches nothing", hint,
             "; the parameters are: ", StrJoin(names, ", "),
             left_off > 0 ? StrCat(" and ", left_off, " more") : std::string()));
}

// Which entries any of `patterns` matches; an error if one of them matches none.
absl::StatusOr<std::vector<bool>> MatchAll(const std::vector<LayoutEntry>& entries,
                                           const std::vector<std::string>& patterns,
                                           ParameterGroup group) {
  std::vector<bool> matched(entries.size(), false);
  for (const std::string& pattern : patterns) {
    bool any = false;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (!MatchesPattern(pattern, entries[i].name)) continue;
      matched[i] = any = true;
    }
    if (!any) return NothingMatched(pattern, GroupName(group), entries);
  }
  return matched;
}

}  // namespace

std::string_view GroupName(ParameterGroup group) {
  return kGroupNames.at(static_cast<size_t>(group));
}

absl::StatusOr<ParameterGroup> ParseGroup(std::string_view name) {
  const auto found = std::find(kGroupNames.begin(), kGroupNames.end(), name);
  if (found == kGroupNames.end()) {
    return absl::InvalidArgumentError(StrCat("unknown parameter group '", name, "'",
                                             DidYouMean(name, kGroupNames),
                                             "; use shared, personal or frozen"));
  }
  return static_cast<ParameterGroup>(found - kGroupNames.begin());
}

uint64_t LayoutEntry::size() const {
  uint64_t size = 1;
  for (uint32_t dimension : shape) {
    // Saturates, so that no shape can pass for a small one by wrapping round.
    if (__builtin_mul_overflow(size, uint64_t{dimension}, &size)) {
      return std::count(shape.begin(), shape.end(), 0u) > 0 ? 0
                                                            : std::numeric_limits<uint64_t>::max();
    }
  }
  return size;
}

absl::StatusOr<ParameterLayout> ParameterLayout::Create(std::vector<LayoutEntry> entries) {
  if (entries.size() > limits::kMaxLayoutEntries) {
    return absl::InvalidArgumentError(StrCat("the layout has ", entries.size(),
                                             " entries; at most ", limits::kMaxLayoutEntries,
                                             " are allowed"));
  }
  ParameterLayout layout;
  std::set<std::string_view> names;
  for (size_t i = 0; i < entries.size(); ++i) {
    const LayoutEntry& entry = entries[i];
    MUSTER_RETURN_IF_ERROR(ValidateEntry(entry, i, layout.total_));
    if (!names.insert(entry.name).second) {
      return absl::InvalidArgumentError(
          StrCat("layout entry ", i, " repeats the name '", entry.name, "'"));
    }
    layout.total_ += entry.size();
    if (entry.group == ParameterGroup::kShared) layout.shared_ += entry.size();
  }
  layout.entries_ = std::move(entries);
  return layout;
}

absl::StatusOr<ParameterLayout> AssignGroups(const ParameterLayout& layout,
                                             const GroupPatterns& patterns) {
  std::vector<LayoutEntry> entries = layout.entries();
  MUSTER_ASSIGN_OR_RETURN(const std::vector<bool> personal,
                          MatchAll(entries, patterns.personal, ParameterGroup::kPersonal));
  MUSTER_ASSIGN_OR_RETURN(const std::vector<bool> frozen,
                          MatchAll(entries, patterns.frozen, ParameterGroup::kFrozen));
  for (size_t i = 0; i < entries.size(); ++i) {
    if (personal[i] && frozen[i]) {
      return absl::InvalidArgumentError(
          StrCat("parameter '", entries[i].name,
                 "' matches both a personal and a frozen pattern; it can be only one"));
    }
    if (personal[i]) entries[i].group = ParameterGroup::kPersonal;
    if (frozen[i]) entries[i].group = ParameterGroup::kFrozen;
  }
  return ParameterLayout::Create(std::move(entries));
}

bool MatchesPattern(std::string_view pattern, std::string_view name) {
  // Greedy with one point of return, the last star: linear space, at most pattern x name steps.
  size_t p = 0, n = 0, star = std::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace muster
