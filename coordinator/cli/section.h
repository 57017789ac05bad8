// Reads one map of a Tree key by key, and keeps a list of everything that is wrong with it, each
// with its place: people mend a file in one go. Keys that nobody asked for are unknown.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/cli/job_tree.h"
#include "proto/core/labels.h"
#include "proto/core/time.h"

namespace muster::cli {

inline constexpr size_t kMaxProblems = 20;  // told at once
inline constexpr size_t kMaxListItems = 1000;

class Problems {
 public:
  void Add(const Place& place, std::string_view problem);
  bool empty() const { return lines_.empty(); }
  absl::Status ToStatus() const;  // InvalidArgument, one problem a line; OK if there is none

 private:
  std::vector<std::string> lines_;
};

// Where values stand, by dotted path: "train.loss".
using Places = std::map<std::string, Place>;

struct RealRange {
  double low = 0, high = std::numeric_limits<double>::max();
  bool low_open = false, high_open = false;
};

class Section {
 public:
  // `tree` is null or Null for a section that is not there: all its keys keep their defaults.
  Section(const Tree* tree, std::string path, Problems& problems, Places& places);

  bool present() const { return map_ != nullptr; }
  const Place& place() const { return place_; }

  // The value, or nothing. Every Take and every reader below makes its key a known one.
  const Tree* Take(std::string_view key);
  Section Child(std::string_view key);

  // These leave `out` alone where the key is absent or wrong, and tell whether they set it.
  bool Count(std::string_view key, uint64_t low, uint64_t high, uint64_t& out);
  bool Count(std::string_view key, uint64_t low, uint64_t high, uint32_t& out);
  bool Real(std::string_view key, const RealRange& range, double& out);
  bool Time(std::string_view key, Duration low, Duration high, Duration& out);
  bool Flag(std::string_view key, bool& out);
  bool Text(std::string_view key, std::string& out);
  bool Match(std::string_view key, Selector& out);
  bool Texts(std::string_view key, std::vector<std::string>& out);
  bool Counts(std::string_view key, uint32_t high, std::vector<uint32_t>& out);

  template <typename Enum, size_t N>
  bool Choice(std::string_view key, const std::array<std::pair<std::string_view, Enum>, N>& choices,
              Enum& out) {
    std::array<std::string_view, N> names;
    for (size_t i = 0; i < N; ++i) names[i] = choices[i].first;
    size_t index = 0;
    if (!ChoiceIndex(key, {names.data(), N}, index)) return false;
    out = choices[index].second;
    return true;
  }

  // Tells a problem with `key`'s value, or with the section where it has none.
  void Refuse(std::string_view key, std::string_view problem);
  // Call it last: what nobody asked for is an unknown key.
  void Finish();

 private:
  const std::string* Scalar(std::string_view key, std::string_view expected);
  bool ChoiceIndex(std::string_view key, std::span<const std::string_view> names, size_t& index);
  std::string PathOf(std::string_view key) const;
  void Expected(const Tree& value, std::string_view key, std::string_view expected);

  const Tree* map_ = nullptr;
  Place place_;
  std::string path_;
  Problems& problems_;
  Places& places_;
  std::vector<std::string> known_;
};

}  // namespace muster::cli
