// What happened in a history, as lines: hashed as they come, and kept or printed where somebody
// wants to read them.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

#include "proto/core/digest.h"
#include "proto/core/time.h"

namespace muster::sim {

class Trace {
 public:
  // `copy`: where the lines go too, or nullptr.
  explicit Trace(std::ostream* copy) : copy_(copy) {}

  // Nothing that differs between two runs of a seed may come in here: no address, no folder.
  void Say(Timestamp now, std::string_view who, std::string_view what);
  size_t lines() const { return lines_; }
  Digest Finish() { return hasher_.Finish(); }  // once

 private:
  Sha256Hasher hasher_;
  std::ostream* copy_;
  size_t lines_ = 0;
};

}  // namespace muster::sim
