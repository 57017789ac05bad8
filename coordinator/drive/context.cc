#include "coordinator/drive/context.h"

#include "proto/core/strings.h"

namespace muster {
namespace {

// Each retry means that another writer got through, so contention resolves itself quickly.
constexpr int kMaxCommitAttempts = 32;

}  // namespace

absl::Status Transact(DriveContext& context,
                      const std::function<absl::Status(StoreTx&, AfterCommit&)>& work) {
  absl::Status status;
  for (int attempt = 0; attempt < kMaxCommitAttempts; ++attempt) {
    AfterCommit after;
    status = context.store.Write([&](StoreTx& tx) {
      after.Clear();
      return work(tx, after);
    });
    if (status.ok()) {
      for (const std::string& key : after.keys()) context.wakeups.Wake(key);
      context.store.Hint({after.keys().begin(), after.keys().end()});
      return status;
    }
    if (!absl::IsAborted(status)) return status;
  }
  return absl::UnavailableError(
      StrCat("gave up after ", kMaxCommitAttempts, " conflicting commits: ", status.message()));
}

HintListener::HintListener(StateStore& store, WakeUps& wakeups) : store_(store) {
  store_.OnHint([&wakeups](const std::string& key) { wakeups.Wake(key); });
}

HintListener::~HintListener() { store_.OnHint(nullptr); }

std::string DeviceKey(const DeviceId& device) { return "device/" + device.value(); }
std::string PhaseKey(const RoundId& round) { return "phase/" + round.ToString(); }
std::string JobKey(const JobId& job) { return "job/" + job.value(); }

}  // namespace muster
