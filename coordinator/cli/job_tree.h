// A YAML document as a tree in which everything knows where it stands, so that whatever is wrong
// later can be shown by file, line and column. JSON is YAML, so JSON files are read as well.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace muster::cli {

inline constexpr int kMaxTreeDepth = 16;
inline constexpr size_t kMaxTreeNodes = 10'000;  // aliases count each time they are used

struct Place {
  std::string source;        // the file's name, or "-c key=value"
  int line = 0, column = 0;  // from 1; 0: the source has no lines

  std::string ToString() const;  // "job.yaml:3:5"
};

struct Tree {
  enum class Kind { kNull, kScalar, kList, kMap };
  struct Entry;

  Kind kind = Kind::kNull;
  std::string text;            // kScalar
  std::vector<Tree> items;     // kList
  std::vector<Entry> entries;  // kMap, in the document's order; keys are unique
  Place place;

  const Tree* Find(std::string_view key) const;
};
struct Tree::Entry {
  std::string key;
  Place place;
  Tree value;
};

// One document. InvalidArgument with file, line and column for what is no YAML, for repeated keys,
// and beyond the bounds above and limits::kMaxJobFileBytes. `source` is the name for messages.
absl::StatusOr<Tree> ParseTree(std::string_view yaml, std::string_view source);

// "train.learning_rate=0.1": puts the value, itself YAML, at that path of `root`, a map. What is
// there is replaced; what is missing on the way is made.
absl::Status ApplyOverride(std::string_view text, Tree& root);

}  // namespace muster::cli
