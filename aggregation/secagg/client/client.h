// The client's side as step functions: (state, what the coordinator sent) -> next state. Each state
// holds the message that it sends, so that a retry sends the same bytes; the host stores a state
// before it sends anything of it. An error is a refusal: the client takes no further part, says
// why, and never masks again under these keys.
//
//   Begin -> Advertised --roster--> Shared --shares of U1--> (masks) --y is stored--> Masked
//     --survivors--> Agreed (malicious mode) --request--> Answered
//     Masked --request--> Answered (semi-honest mode)
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "aggregation/secagg/keys.h"
#include "aggregation/secagg/mask.h"
#include "aggregation/secagg/notary.h"
#include "aggregation/secagg/shamir.h"
#include "aggregation/secagg/share_box.h"
#include "proto/core/secagg_messages.h"

namespace muster::secagg {

struct Advertised {
  MaskSecretKey mask_key;
  SharingSecretKey sharing_key;
  SelfSeed seed;
  Advert advert;  // sent in phase 0
};
struct Shared {
  MaskSecretKey mask_key;
  SharingSecretKey sharing_key;
  SelfSeed seed;
  RosterView roster;
  Digest sid;
  ShareBundle bundle;  // sent in phase 1
};
// A share that this client holds for a neighbour in U1.
struct HeldShare {
  uint32_t index = 0;
  SharePair shares;
};
struct Masked {
  RosterView roster;
  Digest sid;
  std::vector<HeldShare> held;  // ascending by index; exactly the neighbours in U1
  MaskedReport report;          // sent in phase 2, after the vector itself
};
struct Agreed {
  Masked masked;
  Digest survivors;
  Consent consent;  // sent in phase 3a
};
struct Answered {
  Digest sid;
  Digest survivors;   // the one set that was answered
  UnmaskReply reply;  // sent in phase 3b
};
struct Refused {
  std::string reason;
};
using ClientState = std::variant<Advertised, Shared, Masked, Agreed, Answered, Refused>;
std::string_view StateName(const ClientState& state);  // "advertised", ...

// Phase 0 (advertise.cc). InvalidArgument if the parameters are unsafe: overflow, min_clients below
// kMinClients or beyond max_clients, corrupt or drop out of range, a model other than `trained`.
absl::StatusOr<Advertised> Advertise(const Params& params, const Digest& trained,
                                     const Signer& signer, RandomSource& random);

// Phase 1 (share.cc). Refuses: own entry missing or changed, neighbours that are not the graph's,
// proofs that fail, certificates or signatures that fail, equal keys, all-zero DH, a roster outside
// [min_clients, max_clients], k or t that are not safe.
absl::StatusOr<Shared> Share(const Params& params, const Advertised& state,
                             const RosterView& roster, const Notary& notary, const Signer& signer,
                             RandomSource& random);

// Phase 2 (masked.cc), before the vector: opens the shares and derives the masks. Refuses: a sender
// that is no neighbour or comes twice, fewer than t, signatures or boxes that fail.
struct Masking {
  std::vector<SignedMask> masks;  // one for each neighbour in U1, and the self mask
  Masked next;                    // complete but for the report
};
absl::StatusOr<Masking> PrepareMasks(const Params& params, const Shared& state,
                                     const SharesView& view, const Notary& notary);
// After the masked vector is stored under `vector`.
absl::StatusOr<Masked> FinishMasked(Masking masking, const Digest& vector, const Signer& signer);

// Phase 3a (consistency.cc), malicious mode. Refuses: this client or fewer than t neighbours in the
// set, fewer than min_clients in it, a neighbour outside U1.
absl::StatusOr<Agreed> Agree(const Params& params, const Masked& state, const ClientSet& survivors,
                             const Signer& signer);
// The set came again: OK, and the same consent is due, if it is the one that was agreed to.
absl::Status CheckRepeated(const Agreed& state, const ClientSet& survivors);

// Phase 3b (unmask.cc). Same refusals as Agree; in malicious mode also a set other than the agreed
// one, or fewer than t neighbours' signatures on it. Wants Masked in semi-honest mode and Agreed in
// malicious mode.
absl::StatusOr<Answered> Unmask(const Params& params, const ClientState& state,
                                const UnmaskRequest& request, const Notary& notary);
// A repeated request: OK if it asks for the set that was answered.
absl::Status CheckRepeated(const Answered& state, const UnmaskRequest& request);

// What the host stores (encrypted): contains secrets. Strict reading (InvalidArgument).
std::string EncodeState(const ClientState& state);  // wipe after use (OPENSSL_cleanse)
absl::StatusOr<ClientState> ParseState(std::string_view bytes);

}  // namespace muster::secagg
