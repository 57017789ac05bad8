#include "tests/sim/trace.h"

#include "absl/strings/str_format.h"

namespace muster::sim {

void Trace::Say(Timestamp now, std::string_view who, std::string_view what) {
  // A line is written once into a buffer of its own size and hashed from there.
  const std::string line = absl::StrFormat("%17.6f %-5s %s\n", 1e-6 * now.unix_us, who, what);
  hasher_.Update(line);
  ++lines_;
  if (copy_ != nullptr) *copy_ << line;
}

}  // namespace muster::sim
