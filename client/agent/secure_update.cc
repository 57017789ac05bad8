#include "client/agent/secure_update.h"

#include "client/agent/core.h"
#include "client/agent/secure_link.h"
#include "client/agent/secure_session.h"

namespace muster {

absl::StatusOr<std::string> SecureUpdate::Run(const JournalEntry& entry, const Uplink& uplink,
                                              const Bounds& bounds) {
  if (uplink.secagg == nullptr || uplink.identity == nullptr) {
    return absl::UnavailableError("no channel that this device is identified on");
  }
  if (entry.stage == Stage::kAnswered) {
    // The session ended here, and its keys are gone: asked once more, the device can only say so.
    if (entry.outcome.rfind("accepted", 0) == 0) return entry.outcome;
    SecureLink link(uplink, entry.invocation.id, bounds, entry.invocation.deadline);
    const absl::Status said = link.Refuse(secagg::Phase::kAdvertise, entry.outcome).status();
    if (!said.ok() && (IsTransient(said.code()) || IsRefusal(said.code()))) return said;
    return entry.outcome;
  }
  SecureSession session({dir_, journal_, vault_, random_, clock_}, entry, uplink, bounds);
  return session.Run();
}

}  // namespace muster
