#include "coordinator/cli/section.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>

#include "coordinator/cli/duration.h"
#include "proto/core/strings.h"
#include "proto/core/suggest.h"

namespace muster::cli {
namespace {

template <typename T>
bool ParseNumber(std::string_view text, T& out) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  return error == std::errc() && stop == end && !text.empty();
}

std::string Describe(const RealRange& range) {
  const bool bounded = range.high < std::numeric_limits<double>::max();
  if (!bounded) return StrCat("a number ", range.low_open ? "above " : "of at least ", range.low);
  return StrCat("a number ", range.low_open ? "above " : "from ", range.low,
                range.low_open ? " and " : " to ",
                range.high_open  ? "below "
                : range.low_open ? "at most "
                                 : "",
                range.high);
}

bool Within(const RealRange& range, double value) {
  if (!std::isfinite(value)) return false;
  const bool above = range.low_open ? value > range.low : value >= range.low;
  const bool below = range.high_open ? value < range.high : value <= range.high;
  return above && below;
}

std::string Shown(const Tree& value) {
  switch (value.kind) {
    case Tree::Kind::kNull:
      return "nothing";
    case Tree::Kind::kScalar:
      return StrCat("'", value.text, "'");
    case Tree::Kind::kList:
      return "a list";
    case Tree::Kind::kMap:
      return "keys";
  }
  return "";
}

}  // namespace

void Problems::Add(const Place& place, std::string_view problem) {
  if (lines_.size() < kMaxProblems) lines_.push_back(StrCat(place.ToString(), ": ", problem));
}

absl::Status Problems::ToStatus() const {
  return lines_.empty() ? absl::OkStatus() : absl::InvalidArgumentError(StrJoin(lines_, "\n"));
}

Section::Section(const Tree* tree, std::string path, Problems& problems, Places& places)
    : path_(std::move(path)), problems_(problems), places_(places) {
  if (tree == nullptr) return;
  place_ = tree->place;
  if (tree->kind == Tree::Kind::kMap) {
    map_ = tree;
  } else if (tree->kind != Tree::Kind::kNull) {
    problems_.Add(place_, StrCat(path_.empty() ? "the file" : path_,
                                 ": expected keys with values, got ", Shown(*tree)));
  }
}

std::string Section::PathOf(std::string_view key) const {
  return path_.empty() ? std::string(key) : StrCat(path_, ".", key);
}

const Tree* Section::Take(std::string_view key) {
  known_.emplace_back(key);
  if (map_ == nullptr) return nullptr;
  const Tree* value = map_->Find(key);
  if (value == nullptr || value->kind == Tree::Kind::kNull) return nullptr;
  places_[PathOf(key)] = value->place;
  return value;
}

Section Section::Child(std::string_view key) {
  return Section(Take(key), PathOf(key), problems_, places_);
}

void Section::Expected(const Tree& value, std::string_view key, std::string_view expected) {
  problems_.Add(value.place, StrCat(PathOf(key), ": expected ", expected, ", got ", Shown(value)));
}

void Section::Refuse(std::string_view key, std::string_view problem) {
  const Tree* value = map_ == nullptr ? nullptr : map_->Find(key);
  problems_.Add(value == nullptr ? place_ : value->place, StrCat(PathOf(key), ": ", problem));
}

const std::string* Section::Scalar(std::string_view key, std::string_view expected) {
  const Tree* value = Take(key);
  if (value == nullptr) return nullptr;
  if (value->kind == Tree::Kind::kScalar) return &value->text;
  Expected(*value, key, expected);
  return nullptr;
}

bool Section::Count(std::string_view key, uint64_t low, uint64_t high, uint64_t& out) {
  const std::string expected = high == std::numeric_limits<uint64_t>::max()
                                   ? StrCat("a whole number, ", low, " or above")
                                   : StrCat("a whole number from ", low, " to ", high);
  const std::string* text = Scalar(key, expected);
  if (text == nullptr) return false;
  uint64_t value = 0;
  if (!ParseNumber(*text, value) || value < low || value > high) {
    Expected(*map_->Find(key), key, expected);
    return false;
  }
  out = value;
  return true;
}

bool Section::Count(std::string_view key, uint64_t low, uint64_t high, uint32_t& out) {
  uint64_t value = 0;
  if (!Count(key, low, std::min<uint64_t>(high, std::numeric_limits<uint32_t>::max()), value)) {
    return false;
  }
  out = static_cast<uint32_t>(value);
  return true;
}

bool Section::Real(std::string_view key, const RealRange& range, double& out) {
  const std::string* text = Scalar(key, Describe(range));
  if (text == nullptr) return false;
  double value = 0;
  if (!ParseNumber(*text, value) || !Within(range, value)) {
    Expected(*map_->Find(key), key, Describe(range));
    return false;
  }
  out = value;
  return true;
}

bool Section::Time(std::string_view key, Duration low, Duration high, Duration& out) {
  const std::string* text = Scalar(key, "a length of time, such as 30s");
  if (text == nullptr) return false;
  auto value = ParseDuration(*text);
  if (!value.ok()) {
    Refuse(key, StdView(value.status().message()));
    return false;
  }
  if (*value < low || *value > high) {
    Refuse(key, StrCat("is ", *text, "; it must be from ", FormatDuration(low), " to ",
                       FormatDuration(high)));
    return false;
  }
  out = *value;
  return true;
}

bool Section::Flag(std::string_view key, bool& out) {
  const std::string* text = Scalar(key, "true or false");
  if (text == nullptr) return false;
  const bool yes = *text == "true" || *text == "yes" || *text == "on";
  const bool no = *text == "false" || *text == "no" || *text == "off";
  if (!yes && !no) {
    Expected(*map_->Find(key), key, "true or false");
    return false;
  }
  out = yes;
  return true;
}

bool Section::Text(std::string_view key, std::string& out) {
  const std::string* text = Scalar(key, "a text");
  if (text == nullptr) return false;
  out = *text;
  return true;
}

bool Section::Match(std::string_view key, Selector& out) {
  const std::string* text = Scalar(key, "a selector, such as site=a,role!=evaluator");
  if (text == nullptr) return false;
  auto selector = Selector::Parse(*text);
  if (!selector.ok()) {
    Refuse(key, StdView(selector.status().message()));
    return false;
  }
  out = *std::move(selector);
  return true;
}

bool Section::Texts(std::string_view key, std::vector<std::string>& out) {
  const Tree* value = Take(key);
  if (value == nullptr) return false;
  std::vector<std::string> texts;
  bool good = value->kind == Tree::Kind::kList && value->items.size() <= kMaxListItems;
  for (size_t i = 0; good && i < value->items.size(); ++i) {
    const Tree& item = value->items[i];
    good = item.kind == Tree::Kind::kScalar && !item.text.empty();
    places_[StrCat(PathOf(key), "[", i, "]")] = item.place;
    texts.push_back(item.text);
  }
  if (!good) {
    Expected(*value, key, StrCat("a list of at most ", kMaxListItems, " texts, such as [a, b]"));
    return false;
  }
  out = std::move(texts);
  return true;
}

bool Section::Counts(std::string_view key, uint32_t high, std::vector<uint32_t>& out) {
  const Tree* value = Take(key);
  if (value == nullptr) return false;
  std::vector<uint32_t> counts;
  bool good = value->kind == Tree::Kind::kList && !value->items.empty() &&
              value->items.size() <= kMaxListItems;
  for (size_t i = 0; good && i < value->items.size(); ++i) {
    uint32_t count = 0;
    good = value->items[i].kind == Tree::Kind::kScalar &&
           ParseNumber(value->items[i].text, count) && count > 0 && count <= high;
    counts.push_back(count);
  }
  if (!good) {
    Expected(*value, key, StrCat("a list of whole numbers from 1 to ", high, ", such as [1, 28]"));
    return false;
  }
  out = std::move(counts);
  return true;
}

bool Section::ChoiceIndex(std::string_view key, std::span<const std::string_view> names,
                          size_t& index) {
  const std::string expected = StrCat(names.size() > 1 ? "one of " : "", StrJoin(names, ", "));
  const std::string* text = Scalar(key, expected);
  if (text == nullptr) return false;
  const auto found = std::find(names.begin(), names.end(), *text);
  if (found == names.end()) {
    Refuse(key, StrCat("expected ", expected, ", got '", *text, "'", DidYouMean(*text, names)));
    return false;
  }
  index = static_cast<size_t>(found - names.begin());
  return true;
}

void Section::Finish() {
  if (map_ == nullptr) return;
  const std::vector<std::string_view> known(known_.begin(), known_.end());
  for (const Tree::Entry& entry : map_->entries) {
    if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    const std::string hint = DidYouMean(entry.key, known);
    problems_.Add(entry.place,
                  StrCat("unknown key '", PathOf(entry.key), "'", hint,
                         hint.empty() ? StrCat("; the keys here are ", StrJoin(known, ", ")) : ""));
  }
}

}  // namespace muster::cli
