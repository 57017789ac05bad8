// The coordinator's side: what it checks in each message, what it freezes between phases, and the
// unmasking. Pure functions over values; the host keeps the messages in its store and the phase in
// its round machine.
//
//   adverts --FreezeRoster--> Roster --bundles, FreezeSharers--> U1 --masked vectors,
//   FreezeSurvivors--> U2 (write once) --consents (malicious mode)--> --replies--> UnmaskSum
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "aggregation/secagg/finder.h"
#include "aggregation/secagg/graph.h"
#include "aggregation/secagg/notary.h"
#include "aggregation/secagg/ring_sum.h"
#include "aggregation/secagg/roster.h"
#include "proto/core/secagg_messages.h"

namespace muster::secagg {

// The frozen roster: deterministic from the parameters and the adverts. Immutable, thread-safe.
class Roster {
 public:
  const Params& params() const { return params_; }
  uint32_t size() const { return static_cast<uint32_t>(adverts_.size()); }
  uint32_t neighbours() const { return plan_.neighbours; }
  uint32_t threshold() const { return plan_.threshold; }
  const GraphPlan& plan() const { return plan_; }
  const Digest& root() const { return tree_.root(); }
  const Digest& sid() const { return sid_; }
  const Graph& graph() const { return graph_; }
  const Advert& advert(uint32_t index) const { return adverts_[index]; }
  std::optional<uint32_t> IndexOf(const DeviceId& client) const;
  RosterView ViewFor(uint32_t index) const;

 private:
  friend absl::StatusOr<Roster> FreezeRoster(const Params& params, std::vector<Advert> adverts);
  Roster(Params params, std::vector<Advert> adverts, GraphPlan plan);

  Params params_;
  std::vector<Advert> adverts_;  // ascending by client
  GraphPlan plan_;
  MerkleTree tree_;
  Digest sid_;
  Graph graph_;
};

// Phase 0 (advertise.cc). Unauthenticated or InvalidArgument, with the reason: a client other than
// the caller, an all-zero key, equal keys, a certificate or signature that fails.
absl::Status CheckAdvert(const Params& params, const DeviceId& caller, const Advert& advert,
                         const Notary& notary);
// Any order; each client once. FailedPrecondition, with the numbers, if they are too few or too
// many or no k and t are safe.
absl::StatusOr<Roster> FreezeRoster(const Params& params, std::vector<Advert> adverts);

// Phase 1 (share.cc).
absl::Status CheckBundle(const Roster& roster, uint32_t index, const ShareBundle& bundle,
                         const Notary& notary);
// U1 from those whose bundles came. FailedPrecondition below min_clients.
absl::StatusOr<ClientSet> FreezeSharers(const Roster& roster, const ClientSet& shared);
// `bundle_of` is asked only for members of U1.
SharesView SharesFor(const Roster& roster, uint32_t index, const ClientSet& sharers,
                     const std::function<const ShareBundle&(uint32_t)>& bundle_of);

// Phase 2 (masked.cc). A member of U1, over the neighbours that it was given.
absl::Status CheckMasked(const Roster& roster, const ClientSet& sharers, uint32_t index,
                         const MaskedReport& report, const Notary& notary);
// U2. FailedPrecondition below min_clients.
absl::StatusOr<ClientSet> FreezeSurvivors(const Roster& roster, const ClientSet& sharers,
                                          const ClientSet& reported);

// Phase 3a (consistency.cc).
absl::Status CheckConsent(const Roster& roster, uint32_t index, const ClientSet& survivors,
                          const Consent& consent, const Notary& notary);
// Phase 3b (unmask.cc). `consents` by index: of the neighbours that are in it, malicious mode only.
UnmaskRequest RequestFor(const Roster& roster, uint32_t index, const ClientSet& survivors,
                         const std::map<uint32_t, Consent>& consents);
// Exactly the shares that were asked for, in any order, of the right length.
absl::Status CheckReply(const Roster& roster, const ClientSet& sharers, const ClientSet& survivors,
                        uint32_t index, const UnmaskReply& reply);
// Whether the answers of `answered` hold t shares of every secret that is needed.
bool CanRecover(const Roster& roster, const ClientSet& sharers, const ClientSet& survivors,
                const ClientSet& answered);

struct UnmaskInput {
  const Roster& roster;
  const ClientSet& sharers;    // U1
  const ClientSet& survivors;  // U2: exactly those whose vectors are in the sum
  // commitments of U1's members, and the replies, by index
  const std::map<uint32_t, Digest>& commitments;
  const std::map<uint32_t, UnmaskReply>& replies;
};
// Recovers the self-mask seeds of U2 and the mask keys of U1 without U2, verifies each (recomputed
// public key, commitment), and takes all masks out of `sum`. Bad shares are sought out: while a
// secret fails to verify, other t holders are tried, up to kRecoveryTries. FailedPrecondition if
// too few shares came, DataLoss naming the client whose secret cannot be recovered; then `sum` is
// unchanged.
inline constexpr uint32_t kRecoveryTries = 64;
absl::Status UnmaskSum(const UnmaskInput& input, RingSum& sum, unsigned threads,
                       const std::function<void(double fraction)>& progress = nullptr);

}  // namespace muster::secagg
