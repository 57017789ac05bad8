// A std::map whose changes can be taken back.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace muster {

// Takes back everything since it was made, last change first, unless told to Keep().
class UndoLog {
 public:
  UndoLog() = default;
  UndoLog(const UndoLog&) = delete;
  UndoLog& operator=(const UndoLog&) = delete;
  ~UndoLog() {
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) (*step)();
  }
  void Keep() { steps_.clear(); }
  void Add(std::function<void()> step) { steps_.push_back(std::move(step)); }

 private:
  std::vector<std::function<void()>> steps_;
};

template <typename K, typename V>
class UndoMap {
 public:
  const std::map<K, V>& rows() const { return rows_; }
  const V* Find(const K& key) const {
    const auto it = rows_.find(key);
    return it == rows_.end() ? nullptr : &it->second;
  }

  void Set(UndoLog& undo, const K& key, V value) {
    Remember(undo, key);
    rows_.insert_or_assign(key, std::move(value));
  }
  void Erase(UndoLog& undo, const K& key) {
    Remember(undo, key);
    rows_.erase(key);
  }

 private:
  void Remember(UndoLog& undo, const K& key) {
    const V* before = Find(key);
    undo.Add([this, key, old = before ? std::optional<V>(*before) : std::nullopt]() mutable {
      if (old.has_value()) {
        rows_.insert_or_assign(key, *std::move(old));
      } else {
        rows_.erase(key);
      }
    });
  }

  std::map<K, V> rows_;
};

}  // namespace muster
