#include "coordinator/cli/secagg_plan.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <string>
#include <utility>

#include "aggregation/secagg/mask.h"
#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/share_box.h"
#include "muster/v1/secagg.pb.h"
#include "proto/core/limits.h"
#include "proto/core/random.h"
#include "proto/core/status.h"

namespace muster::cli {
namespace {

// Typical lengths, in bytes, of what has no fixed one.
constexpr size_t kNameBytes = 24;  // a device's or an invocation's
constexpr size_t kCertificateBytes = 600;
constexpr size_t kSummedMetrics = 4;  // what training measures
constexpr size_t kKeyBytes = 32;
constexpr size_t kDigestBytes = Digest::kSize;

std::string Some(size_t bytes) { return std::string(bytes, 'x'); }
std::string Signature() { return Some(limits::kMaxSecAggSignatureBytes); }
std::string Bitmap(uint32_t clients) { return Some((clients + 7) / 8); }

v1::SecAggAdvert SomeAdvert() {
  v1::SecAggAdvert advert;
  advert.set_client(Some(kNameBytes));
  advert.set_mask_key(Some(kKeyBytes));
  advert.set_sharing_key(Some(kKeyBytes));
  advert.set_nonce(Some(kDigestBytes));
  advert.set_certificate(Some(kCertificateBytes));
  advert.set_signature(Signature());
  return advert;
}

void FillEntry(uint32_t clients, v1::SecAggRosterEntry& entry) {
  entry.set_index(clients - 1);
  *entry.mutable_advert() = SomeAdvert();
  const auto depth = static_cast<uint32_t>(std::bit_width(clients - 1));
  for (uint32_t level = 0; level < depth; ++level) {
    entry.add_proof(Some(kDigestBytes));
  }
}

PhaseBytes Advertise(uint32_t clients, uint32_t neighbours) {
  v1::AdvertiseRequest up;
  up.set_invocation(Some(kNameBytes));
  *up.mutable_advert() = SomeAdvert();
  v1::AwaitResponse down;
  v1::SecAggRosterView& roster = *down.mutable_roster();
  roster.set_size(clients);
  roster.set_neighbours(neighbours);
  roster.set_threshold(neighbours);
  roster.set_root(Some(kDigestBytes));
  FillEntry(clients, *roster.mutable_own());
  for (uint32_t i = 0; i < neighbours; ++i) FillEntry(clients, *roster.add_others());
  return {"advertise", up.ByteSizeLong(), down.ByteSizeLong()};
}

PhaseBytes Share(uint32_t clients, uint32_t neighbours) {
  v1::ShareRequest up;
  up.set_invocation(Some(kNameBytes));
  up.set_commitment(Some(kDigestBytes));
  up.set_signature(Signature());
  v1::AwaitResponse down;
  for (uint32_t i = 0; i < neighbours; ++i) {
    up.add_ciphertexts(Some(secagg::kBoxBytes));
    v1::SecAggIncomingShare& share = *down.mutable_shares()->add_shares();
    share.set_index(clients - 1);
    share.set_commitment(Some(kDigestBytes));
    share.set_signature(Signature());
    share.set_ciphertext(Some(secagg::kBoxBytes));
  }
  return {"share", up.ByteSizeLong(), down.ByteSizeLong()};
}

PhaseBytes Masked(uint64_t vector_bytes) {
  v1::SubmitMaskedRequest up;
  up.set_invocation(Some(kNameBytes));
  up.set_vector(Some(kDigestBytes));
  up.set_neighbours(Some(kDigestBytes));
  up.set_signature(Signature());
  v1::SecAggAnswer down;
  down.set_verdict(v1::VERDICT_ACCEPTED);
  return {"masked update", up.ByteSizeLong() + vector_bytes, down.ByteSizeLong()};
}

PhaseBytes Agree(uint32_t clients) {
  v1::AgreeRequest up;
  up.set_invocation(Some(kNameBytes));
  up.set_signature(Signature());
  v1::AwaitResponse down;
  down.mutable_survivors()->set_bitmap(Bitmap(clients));
  return {"agree", up.ByteSizeLong(), down.ByteSizeLong()};
}

PhaseBytes Unmask(uint32_t clients, uint32_t neighbours, bool malicious) {
  v1::UnmaskSharesRequest up;
  up.set_invocation(Some(kNameBytes));
  v1::AwaitResponse down;
  down.mutable_unmask()->set_survivors(Bitmap(clients));
  for (uint32_t i = 0; i < neighbours; ++i) {
    v1::RevealedShare& share = *up.add_self_shares();
    share.set_index(clients - 1);
    share.set_share(Some(secagg::kShareBytes));
    if (!malicious) continue;
    v1::SecAggNeighbourConsent& consent = *down.mutable_unmask()->add_consents();
    consent.set_index(clients - 1);
    consent.set_signature(Signature());
  }
  return {"unmask", up.ByteSizeLong(), down.ByteSizeLong()};
}

// The survivors' own masks, and those that the others share with them.
uint64_t MasksToTakeOff(const secagg::Assumptions& assumptions, uint32_t neighbours) {
  constexpr double kRounding = 1e-9;  // 0.3 of 10 is 3, whatever its binary form says
  const auto dropped = static_cast<uint64_t>(assumptions.drop * assumptions.clients + kRounding);
  const uint64_t survivors = assumptions.clients - dropped;
  const double shared =
      static_cast<double>(neighbours) * static_cast<double>(survivors) / (assumptions.clients - 1);
  return survivors + dropped * static_cast<uint64_t>(std::ceil(shared));
}

}  // namespace

absl::StatusOr<SecAggPlan> MakeSecAggPlan(const secagg::Assumptions& assumptions,
                                          uint64_t parameters, uint32_t ring_bits) {
  const uint32_t n = assumptions.clients;
  SecAggPlan plan;
  MUSTER_ASSIGN_OR_RETURN(plan.graph, secagg::PlanGraph(assumptions));
  secagg::Params params{.dimension = parameters,
                        .metrics = std::vector<std::string>(kSummedMetrics),
                        .clip_lane = true,
                        .ring_bits = ring_bits,
                        .min_clients = secagg::kMinClients,
                        .max_clients = n};
  MUSTER_ASSIGN_OR_RETURN(plan.magnitude, secagg::LargestMagnitude(params));
  plan.vector_bytes = secagg::VectorBytes(params);
  const uint32_t k = plan.graph.neighbours;
  const bool malicious = assumptions.mode == secagg::Mode::kMalicious;
  plan.phases = {Advertise(n, k), Share(n, k), Masked(plan.vector_bytes)};
  if (malicious) plan.phases.push_back(Agree(n));
  plan.phases.push_back(Unmask(n, k, malicious));
  for (const PhaseBytes& phase : plan.phases) {
    plan.up += phase.up;
    plan.down += phase.down;
  }
  plan.client_masks = k + uint64_t{1};
  plan.coordinator_masks = MasksToTakeOff(assumptions, k);
  return plan;
}

MaskSpeed MeasureMasking(uint32_t ring_bits) {
  constexpr size_t kBuffer = 1u << 20;
  constexpr size_t kMasks = 8;
  constexpr std::chrono::milliseconds kEnough{20};
  SystemRandom random;
  std::vector<secagg::SignedMask> masks(kMasks);
  for (secagg::SignedMask& mask : masks) mask.key = secagg::MaskKey::Fresh(random);
  const secagg::MaskSet set(secagg::MaskCipher::kAes128Ctr, ring_bits, std::move(masks));
  std::vector<uint8_t> buffer(kBuffer);
  set.Apply(0, buffer);  // maps the pages
  const auto start = std::chrono::steady_clock::now();
  std::chrono::duration<double> taken{};
  uint64_t bytes = 0;
  do {
    set.Apply(0, buffer);
    bytes += kBuffer * kMasks;
    taken = std::chrono::steady_clock::now() - start;
  } while (taken < kEnough);
  return {.kernel = secagg::KernelName(secagg::BestKernel()),
          .bytes_per_second = static_cast<double>(bytes) / taken.count()};
}

}  // namespace muster::cli
