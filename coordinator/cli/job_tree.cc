#include "coordinator/cli/job_tree.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

absl::Status Wrong(const Place& place, std::string_view problem) {
  return absl::InvalidArgumentError(StrCat(place.ToString(), ": ", problem));
}

size_t NodesOf(const Tree& tree) {
  size_t nodes = 1;
  for (const Tree& item : tree.items) nodes += NodesOf(item);
  for (const Tree::Entry& entry : tree.entries) nodes += NodesOf(entry.value);
  return nodes;
}

// Makes a tree of the parser's events, within bounds. The first thing that is wrong stays in
// status(), and what comes after it is dropped.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view source, bool has_lines) : source_(source), has_lines_(has_lines) {}

  const absl::Status& status() const { return status_; }
  Tree Take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (Count(1, PlaceOf(mark))) Put({.place = PlaceOf(mark)}, anchor);
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                const std::string& value) override {
    if (!Count(1, PlaceOf(mark))) return;
    Put({.kind = Tree::Kind::kScalar, .text = value, .place = PlaceOf(mark)}, anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) return Refuse(PlaceOf(mark), "an alias inside its own anchor");
    if (!Count(NodesOf(found->second), PlaceOf(mark))) return;
    Put(found->second, 0);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open({.kind = Tree::Kind::kList, .place = PlaceOf(mark)}, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open({.kind = Tree::Kind::kMap, .place = PlaceOf(mark)}, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Frame {
    Tree tree;
    YAML::anchor_t anchor = 0;
    std::optional<std::string> key;  // of a map: read, and its value is due
    Place key_place;
  };

  Place PlaceOf(const YAML::Mark& mark) const {
    if (!has_lines_ || mark.is_null()) return {.source = source_};
    return {.source = source_, .line = mark.line + 1, .column = mark.column + 1};
  }

  void Refuse(const Place& place, std::string_view problem) {
    if (status_.ok()) status_ = Wrong(place, problem);
  }

  // Aliases count as what they stand for: a small file cannot become a large tree.
  bool Count(size_t nodes, const Place& place) {
    nodes_ += nodes;
    if (nodes_ > kMaxTreeNodes) Refuse(place, StrCat("holds more than ", kMaxTreeNodes, " values"));
    return status_.ok();
  }

  void Open(Tree tree, YAML::anchor_t anchor) {
    if (!Count(1, tree.place)) return;
    if (open_.size() >= kMaxTreeDepth) return Refuse(tree.place, "is nested too deeply");
    if (!open_.empty() && ExpectsKey()) return Refuse(tree.place, "a key must be a plain name");
    open_.push_back({.tree = std::move(tree), .anchor = anchor});
  }

  void Close() {
    if (!status_.ok()) return;
    Frame frame = std::move(open_.back());
    open_.pop_back();
    Put(std::move(frame.tree), frame.anchor);
  }

  bool ExpectsKey() const {
    return open_.back().tree.kind == Tree::Kind::kMap && !open_.back().key.has_value();
  }

  // A whole value: it becomes a key, an entry's value, an item, or the document.
  void Put(Tree tree, YAML::anchor_t anchor) {
    if (!status_.ok()) return;
    if (anchor != 0) anchors_[anchor] = tree;
    if (open_.empty()) {
      root_ = std::move(tree);
      return;
    }
    Frame& parent = open_.back();
    if (parent.tree.kind == Tree::Kind::kList) {
      parent.tree.items.push_back(std::move(tree));
    } else if (parent.key) {
      parent.tree.entries.push_back({*std::move(parent.key), parent.key_place, std::move(tree)});
      parent.key.reset();
    } else {
      TakeKey(parent, std::move(tree));
    }
  }

  void TakeKey(Frame& map, Tree key) {
    if (key.kind != Tree::Kind::kScalar) return Refuse(key.place, "a key must be a plain name");
    if (map.tree.Find(key.text) != nullptr) {
      return Refuse(key.place, StrCat("key '", key.text, "' is given twice"));
    }
    map.key_place = key.place;
    map.key = std::move(key.text);
  }

  const std::string source_;
  const bool has_lines_;
  absl::Status status_;
  std::vector<Frame> open_;
  std::map<YAML::anchor_t, Tree> anchors_;  // by name, whole
  size_t nodes_ = 0;
  Tree root_;
};

absl::StatusOr<Tree> Parse(std::string_view yaml, std::string_view source, bool has_lines) {
  if (yaml.size() > limits::kMaxJobFileBytes) {
    return absl::InvalidArgumentError(StrCat(source, ": is larger than ", limits::kMaxJobFileBytes,
                                             " bytes, the limit for such files"));
  }
  // Not YAML::LoadAll, which finds documents without end in some bad input.
  TreeBuilder builder(source, has_lines), second(source, has_lines);
  try {
    std::istringstream stream{std::string(yaml)};
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder) && builder.status().ok() &&
        parser.HandleNextDocument(second)) {
      return absl::InvalidArgumentError(
          StrCat(source,
                 ": holds more than one document (separated by ---), or text after its "
                 "end; use one document"));
    }
  } catch (const YAML::Exception& error) {
    MUSTER_RETURN_IF_ERROR(builder.status());
    Place place{.source = std::string(source)};
    if (has_lines && !error.mark.is_null()) {
      place.line = error.mark.line + 1;
      place.column = error.mark.column + 1;
    }
    return Wrong(place, StrCat("is no YAML: ", error.msg));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(StrCat(source, ": is no YAML: ", error.what()));
  }
  MUSTER_RETURN_IF_ERROR(builder.status());
  return builder.Take();
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
