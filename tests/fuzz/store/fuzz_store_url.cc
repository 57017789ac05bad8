// A store's URL: anything at all is read or refused, and no refusal repeats what it was given.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "coordinator/store/postgres/conninfo.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kTelling = 12;  // a shorter one may be found in any text by chance
  const std::string url(reinterpret_cast<const char*>(data), size);
  const auto info = muster::ConnInfo::Parse(url);
  // One refusal for all, so that none can repeat what it was given.
  static const absl::Status refusal = muster::ConnInfo::Parse("[").status();
  if (!info.ok()) {
    if (info.status() != refusal) std::abort();
    return 0;
  }
  const std::string password((*info)->Get("password"));
  if (password.size() >= kTelling &&
      (*info)->Redacted("no, " + password + "!").find(password) != std::string::npos) {
    std::abort();
  }
  const auto parameters = (*info)->parameters();
  if (parameters.keywords.size() != parameters.values.size()) std::abort();
  return 0;
}
