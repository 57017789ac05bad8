// The border at which LibTorch's exceptions become Status. No LibTorch in this header.
#pragma once

#include <exception>
#include <functional>
#include <new>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

absl::Status OutOfMemoryError(std::string_view what);
// The exception in flight as a Status: an allocation that failed is OutOfMemoryError, all else
// InvalidArgument with the exception's first lines. Call it in a catch block only.
absl::Status CurrentExceptionStatus(std::string_view what);

// Runs `body` (which returns a Status or StatusOr) and catches what LibTorch throws.
template <typename Body>
auto CatchTorch(std::string_view what, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (...) {
    return CurrentExceptionStatus(what);
  }
}

}  // namespace muster
