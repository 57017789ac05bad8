#include "models/torch/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "models/torch/functions.h"

namespace muster {
namespace {

constexpr char kOutOfMemoryPayload[] = "muster/out-of-memory";
constexpr size_t kMaxExceptionText = 1000;  // characters; the rest is a stack trace

// LibTorch's allocator has no exception type of its own, and the interpreter rewraps what it
// throws.
bool SpeaksOfAllocation(const std::string& text) {
  return text.find("you tried to allocate") != std::string::npos ||
         text.find("can't allocate memory") != std::string::npos ||
         text.find("std::bad_alloc") != std::string::npos;
}

std::string FirstLines(std::string text) {
  if (size_t trace = text.find("\nException raised from"); trace != std::string::npos) {
    text.resize(trace);
  }
  if (text.size() > kMaxExceptionText) text.resize(kMaxExceptionText);
  return text;
}

}  // namespace

absl::Status OutOfMemoryError(std::string_view what) {
  absl::Status status = absl::ResourceExhaustedError(std::string(what) + ": out of memory");
  status.SetPayload(kOutOfMemoryPayload, absl::Cord("1"));
  return status;
}

bool IsOutOfMemory(const absl::Status& status) {
  return status.GetPayload(kOutOfMemoryPayload).has_value();
}

absl::Status CurrentExceptionStatus(std::string_view what) {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return OutOfMemoryError(what);
  } catch (const std::exception& error) {
    const std::string text = error.what();
    if (SpeaksOfAllocation(text)) return OutOfMemoryError(what);
    return absl::InvalidArgumentError(absl::StrCat(std::string(what), ": ", FirstLines(text)));
  }
}

}  // namespace muster
