#include "proto/core/status.h"

#include "proto/core/strings.h"

namespace muster {

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  return absl::Status(status.code(), StrCat(context, ": ", status.message()));
}

}  // namespace muster
