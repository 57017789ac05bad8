// Jobs, as researchers submit them and as stores keep them.
#include <string>

#include "proto/codec/job_codec.h"
#include "tests/fuzz/codec/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<muster::JobSpec> spec = muster::ParseJobSpec(bytes);
  if (!spec.ok()) return 0;
  const std::string stored = muster::SerializeJobSpec(*spec);
  const absl::StatusOr<muster::JobSpec> again = muster::ParseJobSpec(stored);
  muster::fuzz::Require(again.ok() && *again == *spec, "decode(encode(x)) == x");
  return 0;
}
