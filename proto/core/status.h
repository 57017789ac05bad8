// Early returns for absl::Status and absl::StatusOr. Every error message says what was wrong,
// where, and what to do next.
#pragma once

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define MUSTER_CONCAT_INNER(a, b) a##b
#define MUSTER_CONCAT(a, b) MUSTER_CONCAT_INNER(a, b)

#define MUSTER_RETURN_IF_ERROR(expression)                                                    \
  do {                                                                                        \
    if (absl::Status muster_status = (expression); !muster_status.ok()) return muster_status; \
  } while (false)

#define MUSTER_ASSIGN_OR_RETURN(lhs, expression) \
  MUSTER_ASSIGN_OR_RETURN_INNER(MUSTER_CONCAT(muster_or_, __LINE__), lhs, expression)

#define MUSTER_ASSIGN_OR_RETURN_INNER(holder, lhs, expression) \
  auto holder = (expression);                                  \
  if (!holder.ok()) return std::move(holder).status();         \
  lhs = *std::move(holder)

namespace muster {

// The same code with `context` in front of the message: "reading client.yaml: no such file".
absl::Status Annotate(const absl::Status& status, std::string_view context);

}  // namespace muster
