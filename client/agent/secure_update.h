// Hands a trained update to secure aggregation: the device's side of one session, as the host of
// the step functions in aggregation/secagg/client.
//
//   Join -> Advertise -> await roster -> Share -> await shares -> mask and upload -> SubmitMasked
//     -> [malicious mode: await survivors -> Agree] -> await request -> Unmask
//
// Each state is sealed (secure_vault.h) and durable in the journal before anything of it is sent,
// and a retry sends the same stored bytes, so that kill -9 anywhere resumes the session where it
// stood. A state that cannot be opened is lost: the device says so and drops out of that round; it
// never masks twice. The masked vector is computed at most once per durable state: with the
// vector's digest durable, the inputs are gone.
//
// Metrics and examples leave the device inside the sum only.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/agent/bounds.h"
#include "client/agent/journal.h"
#include "client/agent/secure_vault.h"
#include "client/agent/state_dir.h"
#include "client/agent/uplink.h"
#include "proto/core/random.h"
#include "proto/core/time.h"

namespace muster {

// The seed of stochastic rounding comes from the invocation's, so that results can be reproduced:
// DeriveSeed(invocation.seed, kRoundingLabel). It need not be secret. Keys and noise are secret and
// come from `random`.
inline constexpr char kRoundingLabel[] = "secagg rounding";

class SecureUpdate {
 public:
  SecureUpdate(StateDir dir, Journal& journal, RandomSource& random, Clock& clock)
      : dir_(std::move(dir)),
        journal_(journal),
        random_(random),
        clock_(clock),
        vault_(dir_.secagg_key(), random) {}

  // For an entry whose invocation is secure and whose answer is an UpdateOffer. How it ended, in
  // words, once the coordinator has all it needs of this device, or the session is over for it. An
  // error is a failure to get through, not a refusal: the same call may succeed later.
  absl::StatusOr<std::string> Run(const JournalEntry& entry, const Uplink& uplink,
                                  const Bounds& bounds);

 private:
  const StateDir dir_;
  Journal& journal_;
  RandomSource& random_;
  Clock& clock_;
  SecureVault vault_;
};

}  // namespace muster
