// A model's parameters as one flat float32 vector. The layout names its pieces, so that whoever
// adds, scales or ships the vector needs no LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

// Which pieces leave the device (FedPer, Arivazhagan et al. 2019; FedBN, Li et al. 2021).
enum class ParameterGroup {
  kShared,    // trained and sent as part of the update
  kPersonal,  // trained, kept on the device, never sent
  kFrozen,    // neither trained nor sent
};

std::string_view GroupName(ParameterGroup group);
absl::StatusOr<ParameterGroup> ParseGroup(std::string_view name);

struct LayoutEntry {
  std::string name;             // "conv1.weight", as PyTorch names it
  std::vector<uint32_t> shape;  // empty: a scalar
  uint64_t offset = 0;          // in elements, from the start of the flat vector
  ParameterGroup group = ParameterGroup::kShared;
  bool trainable = true;  // false for buffers such as running means: averaged, not trained

  uint64_t size() const;  // elements
  friend bool operator==(const LayoutEntry&, const LayoutEntry&) = default;
};

class ParameterLayout {
 public:
  ParameterLayout() = default;

  // Checks names (unique, not empty), offsets (dense, in order), ranks, and the named limits.
  static absl::StatusOr<ParameterLayout> Create(std::vector<LayoutEntry> entries);

  const std::vector<LayoutEntry>& entries() const { return entries_; }
  uint64_t total_size() const { return total_; }  // elements of the flat vector
  uint64_t shared_size() const {
    return shared_;
  }  // elements of an update: shared entries, in order

  friend bool operator==(const ParameterLayout&, const ParameterLayout&) = default;

 private:
  std::vector<LayoutEntry> entries_;
  uint64_t total_ = 0;
  uint64_t shared_ = 0;
};

// Assigns groups by name pattern ('*' matches any run of characters). A pattern that matches
// nothing is an error that lists the names there are.
struct GroupPatterns {
  std::vector<std::string> personal;
  std::vector<std::string> frozen;
  friend bool operator==(const GroupPatterns&, const GroupPatterns&) = default;
};
absl::StatusOr<ParameterLayout> AssignGroups(const ParameterLayout& layout,
                                             const GroupPatterns& patterns);

bool MatchesPattern(std::string_view pattern, std::string_view name);

}  // namespace muster
