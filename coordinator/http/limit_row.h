// One limit of the coordinator, as /metrics shows it: muster_limit{limit="NAME"}, what is in use of
// it now, and how often something was refused because of it.
#pragma once

#include <functional>
#include <optional>
#include <vector>

namespace muster {

struct LimitRow {
  const char* name;
  double limit = 0;
  std::optional<double> current;
  std::optional<double> refused;
};
using LimitRows = std::function<std::vector<LimitRow>()>;

}  // namespace muster
