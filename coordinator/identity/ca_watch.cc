#include "coordinator/identity/ca_watch.h"

#include "coordinator/identity/authority.h"
#include "proto/core/log.h"

namespace muster {

bool CaWatch::Changed() {
  const auto state = ReadCaState(dir_);
  if (state.ok() && *state == present_) return false;
  const auto authority = state.ok() ? CertificateAuthority::OpenAs(dir_, *state) : state.status();
  if (authority.ok()) return true;
  const std::string why(authority.status().message());
  if (why != complained_) {
    LogError("the CA's folder changed to what cannot be used; going on with what was there",
             {{"error", why}});
    complained_ = why;
  }
  return false;
}

}  // namespace muster
