// Whatever the bytes: a backup's manifest is refused or says the same when it is written again, and
// no bundle of keys opens that nobody sealed.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "coordinator/upkeep/backup_manifest.h"
#include "coordinator/upkeep/key_bundle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace muster;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto manifest = BackupManifest::FromJson(bytes);
  if (manifest.ok()) {
    const auto again = BackupManifest::FromJson(manifest->ToJson());
    if (!again.ok() || !(*again == *manifest)) std::abort();
  }
  // Little work for scrypt: the rest is what matters here.
  std::string bundle(bytes);
  if (bundle.size() > 8) bundle[8] = 1;
  if (OpenKeys(bundle, "a passphrase that nobody used").ok()) std::abort();
  return 0;
}
