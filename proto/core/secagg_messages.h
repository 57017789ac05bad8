// What the parties of a secure aggregation session tell each other, as validated values: SecAgg+
// (Bell et al., CCS 2020) with signed keys. The codec makes them from wire messages; the protocol
// itself is in aggregation/secagg.
//
// A client is known in a session by its index in the roster: clients sorted by device id, from 0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "proto/core/device_messages.h"
#include "proto/core/digest.h"
#include "proto/core/ids.h"
#include "proto/core/mask_cipher.h"
#include "proto/core/time.h"

namespace muster::secagg {

using PublicKeyBytes = std::array<uint8_t, 32>;  // X25519 (RFC 7748)

enum class Mode { kSemiHonest, kMalicious };
using ::muster::MaskCipher;

// Noise that each client adds to its own vector (Agarwal et al. 2021): Skellam with variance
// `variance_per_client`, in ring units, after a randomized Hadamard transform.
struct ClientNoise {
  double variance_per_client = 0;
  Digest rotation_seed;  // of the transform's signs; public
  friend bool operator==(const ClientNoise&, const ClientNoise&) = default;
};

// All that a session fixes before anybody advertises. Both sides hash the canonical encoding, and
// every signature binds it.
//
// A vector has `dimension` values (their next power of two with client noise), then the lanes:
// weight, "unclipped" if clip_lane, then one for each metric.
struct Params {
  JobId job;
  uint32_t round = 0;
  uint32_t attempt = 0;
  Digest model;            // package that every participant must have trained from
  uint64_t dimension = 0;  // shared parameters
  std::vector<std::string> metrics;
  bool clip_lane = false;     // count whose update was within the clip (Andrew et al. 2021)
  bool weighted = true;       // false: every client weighs 1
  uint64_t examples_cap = 1;  // weight of a client = min(examples, cap) / cap
  uint32_t ring_bits = 32;    // 16, 32 or 64
  double clip = 0;            // L2 norm
  double scale = 0;           // ring units per unit of the update
  uint32_t min_clients = 0;   // fewest in any frozen set
  uint32_t max_clients = 0;   // most in the roster
  double drop = 0;            // fraction of clients that may drop out
  double corrupt = 0;         // fraction of clients that may collude with the coordinator
  Mode mode = Mode::kSemiHonest;
  MaskCipher cipher = MaskCipher::kAes128Ctr;
  std::optional<ClientNoise> noise;
  Digest nonce;  // fresh from the coordinator
  friend bool operator==(const Params&, const Params&) = default;
};

// Phase 0. Signed over the pre-session id.
struct Advert {
  DeviceId client;
  PublicKeyBytes mask_key{};     // whose secret half becomes public if the client drops out
  PublicKeyBytes sharing_key{};  // whose secret half never does
  Digest nonce;
  std::string certificate;  // DER, of the enrolment key
  std::string signature;    // DER ECDSA
  friend bool operator==(const Advert&, const Advert&) = default;
};
struct RosterEntry {
  uint32_t index = 0;
  Advert advert;
  std::vector<Digest> proof;  // Merkle inclusion (RFC 6962 hashing), leaf to root
  friend bool operator==(const RosterEntry&, const RosterEntry&) = default;
};
// The frozen roster as one client sees it.
struct RosterView {
  uint32_t size = 0;        // n
  uint32_t neighbours = 0;  // k
  uint32_t threshold = 0;   // t
  Digest root;
  RosterEntry own;
  std::vector<RosterEntry> others;  // its k neighbours, ascending by index
  friend bool operator==(const RosterView&, const RosterView&) = default;
};

// Phase 1. One ciphertext for each neighbour, in the order of RosterView::others.
struct ShareBundle {
  Digest commitment;  // to the self-mask seed
  std::vector<std::string> ciphertexts;
  std::string signature;
  friend bool operator==(const ShareBundle&, const ShareBundle&) = default;
};
struct IncomingShare {
  uint32_t index = 0;  // of the sender
  Digest commitment;
  std::string signature;
  std::string ciphertext;  // for this client
  friend bool operator==(const IncomingShare&, const IncomingShare&) = default;
};
// From every neighbour in U1, ascending by index.
struct SharesView {
  std::vector<IncomingShare> shares;
  friend bool operator==(const SharesView&, const SharesView&) = default;
};

// Phase 2. The masked vector itself is a staged upload named by its digest.
struct MaskedReport {
  Digest vector;
  Digest neighbours;  // of this client's neighbours in U1
  std::string signature;
  friend bool operator==(const MaskedReport&, const MaskedReport&) = default;
};

// A set of clients as one bit for each index: bit i of byte i / 8.
using ClientSet = std::string;

// Phase 3a, malicious mode: what each survivor signs, and the signatures of its neighbours.
struct Consent {
  std::string signature;  // over the survivors' digest
  friend bool operator==(const Consent&, const Consent&) = default;
};
struct NeighbourConsent {
  uint32_t index = 0;
  std::string signature;
  friend bool operator==(const NeighbourConsent&, const NeighbourConsent&) = default;
};

// Phase 3b.
struct UnmaskRequest {
  ClientSet survivors;                     // U2
  std::vector<NeighbourConsent> consents;  // malicious mode only
  friend bool operator==(const UnmaskRequest&, const UnmaskRequest&) = default;
};
struct RevealedShare {
  uint32_t index = 0;  // whose secret it is a share of
  std::string share;
  friend bool operator==(const RevealedShare&, const RevealedShare&) = default;
};
struct UnmaskReply {
  std::vector<RevealedShare> self_shares;  // of neighbours in U2: self-mask seed
  std::vector<RevealedShare> key_shares;   // of neighbours in U1 but not in U2: mask key
  friend bool operator==(const UnmaskReply&, const UnmaskReply&) = default;
};

// What devices ask. Each names the invocation whose update it is about; the session is that of the
// invocation's round and attempt.
struct JoinAsk {
  InvocationId invocation;
  friend bool operator==(const JoinAsk&, const JoinAsk&) = default;
};
struct AdvertOffer {
  InvocationId invocation;
  Advert advert;
  Metering metering;  // what the update cost to compute
  friend bool operator==(const AdvertOffer&, const AdvertOffer&) = default;
};
struct ShareOffer {
  InvocationId invocation;
  ShareBundle bundle;
  friend bool operator==(const ShareOffer&, const ShareOffer&) = default;
};
struct MaskedOffer {
  InvocationId invocation;
  MaskedReport report;
  Metering metering;
  friend bool operator==(const MaskedOffer&, const MaskedOffer&) = default;
};
struct ConsentOffer {
  InvocationId invocation;
  Consent consent;
  friend bool operator==(const ConsentOffer&, const ConsentOffer&) = default;
};
struct UnmaskOffer {
  InvocationId invocation;
  UnmaskReply reply;
  friend bool operator==(const UnmaskOffer&, const UnmaskOffer&) = default;
};
enum class Phase { kAdvertise, kShare, kMasked, kConsistency, kUnmask };
struct Refusal {
  InvocationId invocation;
  Phase phase = Phase::kAdvertise;  // that the client should have gone on to
  std::string reason;
  friend bool operator==(const Refusal&, const Refusal&) = default;
};
enum class AwaitedPhase { kRoster, kShares, kSurvivors, kUnmask, kOutcome };
struct AwaitAsk {
  InvocationId invocation;
  AwaitedPhase phase = AwaitedPhase::kRoster;
  Duration wait{0};  // how long the call may be held; whole milliseconds
  friend bool operator==(const AwaitAsk&, const AwaitAsk&) = default;
};

// What the coordinator answers. Adverts, shares, vectors, consents and replies get an OfferAnswer.
//
// There is no session, or none any more, that the caller could take part in.
struct Closed {
  std::string reason;
  friend bool operator==(const Closed&, const Closed&) = default;
};
using JoinAnswer = std::variant<Params, Closed>;
struct Pending {  // ask again
  friend bool operator==(const Pending&, const Pending&) = default;
};
struct Survivors {
  ClientSet clients;  // U2
  friend bool operator==(const Survivors&, const Survivors&) = default;
};
struct Outcome {
  bool committed = false;
  std::string reason;  // why not, where not committed
  friend bool operator==(const Outcome&, const Outcome&) = default;
};
using Awaited =
    std::variant<Pending, RosterView, SharesView, Survivors, UnmaskRequest, Outcome, Closed>;

}  // namespace muster::secagg
