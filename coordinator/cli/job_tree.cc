#include "coordinator/cli/job_tree.h"

#include <yaml-cpp/yaml.h>

#include <utility>

#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

absl::Status Wrong(const Place& place, std::string_view problem) {
  return absl::InvalidArgumentError(StrCat(place.ToString(), ": ", problem));
}

// Turns yaml-cpp's nodes into trees, within bounds: aliases may refer to themselves.
class Builder {
 public:
  explicit Builder(std::string_view source, bool has_lines)
      : source_(source), has_lines_(has_lines) {}

  absl::StatusOr<Tree> Build(const YAML::Node& node, int depth = 0) {
    Tree tree{.place = PlaceOf(node)};
    if (depth > kMaxTreeDepth) return Wrong(tree.place, "is nested too deeply");
    if (++nodes_ > kMaxTreeNodes) {
      return Wrong(tree.place, StrCat("holds more than ", kMaxTreeNodes, " values"));
    }
    if (node.IsScalar()) {
      tree.kind = Tree::Kind::kScalar;
      tree.text = node.Scalar();
    } else if (node.IsSequence()) {
      tree.kind = Tree::Kind::kList;
      for (const YAML::Node& item : node) {
        MUSTER_ASSIGN_OR_RETURN(Tree child, Build(item, depth + 1));
        tree.items.push_back(std::move(child));
      }
    } else if (node.IsMap()) {
      tree.kind = Tree::Kind::kMap;
      MUSTER_RETURN_IF_ERROR(BuildEntries(node, depth, tree));
    }
    return tree;
  }

 private:
  absl::Status BuildEntries(const YAML::Node& node, int depth, Tree& tree) {
    for (const auto& pair : node) {
      const Place place = PlaceOf(pair.first);
      if (!pair.first.IsScalar()) return Wrong(place, "a key must be a plain name");
      std::string key = pair.first.Scalar();
      if (tree.Find(key) != nullptr) return Wrong(place, StrCat("key '", key, "' is given twice"));
      MUSTER_ASSIGN_OR_RETURN(Tree value, Build(pair.second, depth + 1));
      tree.entries.push_back({std::move(key), place, std::move(value)});
    }
    return absl::OkStatus();
  }

  Place PlaceOf(const YAML::Node& node) const {
    const YAML::Mark mark = node.Mark();
    if (!has_lines_ || mark.is_null()) return {.source = source_};
    return {.source = source_, .line = mark.line + 1, .column = mark.column + 1};
  }

  std::string source_;
  bool has_lines_;
  size_t nodes_ = 0;
};

absl::StatusOr<Tree> Parse(std::string_view yaml, std::string_view source, bool has_lines) {
  if (yaml.size() > limits::kMaxJobFileBytes) {
    return absl::InvalidArgumentError(StrCat(source, ": is larger than ", limits::kMaxJobFileBytes,
                                             " bytes, the limit for such files"));
  }
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(yaml));
    if (documents.size() > 1) {
      return absl::InvalidArgumentError(
          StrCat(source, ": holds ", documents.size(), " documents (separated by ---); use one"));
    }
    return Builder(source, has_lines).Build(documents.empty() ? YAML::Node() : documents.front());
  } catch (const YAML::Exception& error) {
    Place place{.source = std::string(source)};
    if (has_lines && !error.mark.is_null()) {
      place.line = error.mark.line + 1;
      place.column = error.mark.column + 1;
    }
    return Wrong(place, StrCat("is no YAML: ", error.msg));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(StrCat(source, ": is no YAML: ", error.what()));
  }
}

Tree* FindOrMake(Tree& map, std::string_view key, const Place& place) {
  for (Tree::Entry& entry : map.entries) {
    if (entry.key == key) return &entry.value;
  }
  map.entries.push_back({std::string(key), place, Tree{.place = place}});
  return &map.entries.back().value;
}

}  // namespace

std::string Place::ToString() const {
  return line == 0 ? source : StrCat(source, ":", line, ":", column);
}

const Tree* Tree::Find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

absl::StatusOr<Tree> ParseTree(std::string_view yaml, std::string_view source) {
  return Parse(yaml, source, /*has_lines=*/true);
}

absl::Status ApplyOverride(std::string_view text, Tree& root) {
  const Place place{.source = StrCat("-c ", text)};
  const size_t equals = text.find('=');
  std::string_view path = text.substr(0, equals);
  if (equals == std::string_view::npos || path.empty()) {
    return Wrong(place, "write KEY=VALUE, such as -c train.learning_rate=0.1");
  }
  MUSTER_ASSIGN_OR_RETURN(Tree value, Parse(text.substr(equals + 1), place.source, false));
  Tree* at = &root;
  for (int depth = 0; !path.empty(); ++depth) {
    const size_t dot = path.find('.');
    const std::string_view key = path.substr(0, dot);
    path = dot == std::string_view::npos ? "" : path.substr(dot + 1);
    if (key.empty() || depth > kMaxTreeDepth) return Wrong(place, "the key is no dotted path");
    if (at->kind == Tree::Kind::kNull) *at = {.kind = Tree::Kind::kMap, .place = place};
    if (at->kind != Tree::Kind::kMap) {
      return Wrong(place,
                   StrCat("there are no keys below a plain value; '", key, "' has no place"));
    }
    at = FindOrMake(*at, key, place);
  }
  *at = std::move(value);
  return absl::OkStatus();
}

}  // namespace muster::cli
