// Manifest JSON, as it lies in a package.
#include <string>

#include "proto/codec/model_codec.h"
#include "tests/fuzz/codec/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<muster::Manifest> manifest = muster::ManifestFromJson(json);
  if (!manifest.ok()) return 0;
  const absl::StatusOr<std::string> canonical = muster::ManifestToJson(*manifest);
  muster::fuzz::Require(canonical.ok(), "what was read can be written");
  const absl::StatusOr<muster::Manifest> again = muster::ManifestFromJson(*canonical);
  muster::fuzz::Require(again.ok() && *again == *manifest, "decode(encode(x)) == x");
  muster::fuzz::Require(*muster::ManifestToJson(*again) == *canonical, "JSON is canonical");
  return 0;
}
