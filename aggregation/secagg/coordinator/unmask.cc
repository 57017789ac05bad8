// Phase 3b: what each survivor is asked, what it must answer, and the masks taken out of the sum.
//
// A survivor u added to its vector its self mask and, for each neighbour v in U1, its pair mask
// with v: plus if u < v, else minus. Between two survivors the pair masks cancel in the sum. What
// stays is each survivor's self mask, and its pair masks with neighbours that did not survive.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "aggregation/secagg/coordinator/checks.h"
#include "aggregation/secagg/coordinator/coordinator.h"
#include "aggregation/secagg/coordinator/recover.h"
#include "aggregation/secagg/mask.h"
#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/transcript.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

// Expanded keys that stay in memory at once; each batch is one pass over the vector.
constexpr size_t kBatchMasks = 512;

// One pair mask that survivor `survivor` applied with `dropped`.
struct Leftover {
  uint32_t dropped = 0, survivor = 0;
};

// Whether `shares` are of exactly the clients in `due`, each once and of the right length.
absl::Status CheckShares(const Roster& roster, uint32_t index, std::string_view what,
                         const std::vector<RevealedShare>& shares,
                         const std::vector<uint32_t>& due) {
  std::vector<uint32_t> given;
  for (const RevealedShare& share : shares) {
    if (share.share.size() != kShareBytes) {
      return absl::InvalidArgumentError(StrCat(NameOf(roster, index), " sent a share of ",
                                               share.share.size(), " bytes; each has ",
                                               kShareBytes));
    }
    if (!std::binary_search(due.begin(), due.end(), share.index)) {
      return absl::InvalidArgumentError(StrCat(NameOf(roster, index), " sent a share of the ", what,
                                               " of client ", share.index,
                                               ", which it was not asked for"));
    }
    given.push_back(share.index);
  }
  std::sort(given.begin(), given.end());
  if (given != due) {
    return absl::InvalidArgumentError(StrCat(NameOf(roster, index), " sent ", given.size(),
                                             " shares of ", what, "s; it was asked for ",
                                             due.size(), ", each once"));
  }
  return absl::OkStatus();
}

absl::Status CheckInput(const UnmaskInput& input, const RingSum& sum) {
  const Roster& roster = input.roster;
  MUSTER_RETURN_IF_ERROR(CheckSets(roster, input.sharers, input.survivors));
  const Params& params = roster.params();
  if (sum.ring_bits() != params.ring_bits || sum.length() != VectorLength(params)) {
    return absl::InvalidArgumentError(StrCat("the sum has ", sum.length(), " elements of ",
                                             sum.ring_bits(), " bits; this session's vectors have ",
                                             VectorLength(params), " of ", params.ring_bits));
  }
  if (sum.clients() != Count(input.survivors)) {
    return absl::InvalidArgumentError(StrCat("the sum holds ", sum.clients(),
                                             " masked vectors, but ", Count(input.survivors),
                                             " clients survived"));
  }
  if (Count(input.survivors) < params.min_clients) {
    return absl::FailedPreconditionError(StrCat(Count(input.survivors), " clients survived; a sum ",
                                                "of fewer than ", params.min_clients,
                                                " is not revealed"));
  }
  for (const auto& [client, reply] : input.replies) {
    MUSTER_RETURN_IF_ERROR(CheckReply(roster, input.sharers, input.survivors, client, reply));
  }
  return absl::OkStatus();
}

// Calls `work` with every number below `count`, on `threads` threads; the first error wins.
absl::Status ForEach(size_t count, unsigned threads,
                     const std::function<absl::Status(size_t)>& work) {
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  constexpr size_t kLeastPerThread = 16;  // less is not worth a thread
  threads = static_cast<unsigned>(std::min<size_t>(threads, count / kLeastPerThread + 1));
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  absl::Status result;
  const auto run = [&] {
    for (size_t i = next++; i < count; i = next++) {
      const absl::Status status = work(i);
      if (status.ok()) continue;
      const std::lock_guard lock(mutex);
      if (result.ok()) result = status;
      return;
    }
  };
  std::vector<std::jthread> others;
  for (unsigned i = 1; i < threads; ++i) others.emplace_back(run);
  run();
  others.clear();  // joins
  return result;
}

// The masks that stay in the sum, with the signs that take them out. Everything is recovered and
// verified here, before the sum changes.
absl::StatusOr<std::vector<SignedMask>> MasksToUndo(const UnmaskInput& input, unsigned threads) {
  const Roster& roster = input.roster;
  const Digest& sid = roster.sid();
  SecretRecovery recovery(input);
  std::vector<SignedMask> masks;
  std::map<uint32_t, MaskAgreements> keys;  // of those that dropped out
  std::vector<Leftover> leftovers;
  for (uint32_t index = 0; index < roster.size(); ++index) {
    if (!Contains(input.sharers, index) || !NeedsSecret(roster, input.survivors, index)) continue;
    if (Contains(input.survivors, index)) {
      MUSTER_ASSIGN_OR_RETURN(const SelfSeed seed, recovery.SeedOf(index));
      masks.push_back({.key = SelfMaskKey(sid, seed, index), .subtract = true});
      continue;
    }
    MUSTER_ASSIGN_OR_RETURN(const MaskSecretKey key, recovery.KeyOf(index));
    keys.emplace(index, MaskAgreements(key));
    for (const uint32_t neighbour : roster.graph().NeighboursOf(index)) {
      if (Contains(input.survivors, neighbour)) leftovers.push_back({index, neighbour});
    }
  }
  const size_t first = masks.size();
  masks.resize(first + leftovers.size());
  MUSTER_RETURN_IF_ERROR(ForEach(leftovers.size(), threads, [&](size_t i) -> absl::Status {
    const auto& [dropped, survivor] = leftovers[i];
    auto key =
        PairMaskKey(sid, keys.at(dropped), dropped, roster.advert(survivor).mask_key, survivor);
    if (!key.ok()) {
      return absl::DataLossError(StrCat("the mask between ", NameOf(roster, dropped), " and ",
                                        NameOf(roster, survivor),
                                        " cannot be derived: ", key.status().message()));
    }
    // The survivor added the mask if its index is the lower one.
    masks[first + i] = {.key = *std::move(key), .subtract = survivor < dropped};
    return absl::OkStatus();
  }));
  return masks;
}

void Undo(const Params& params, std::vector<SignedMask> masks, RingSum& sum, unsigned threads,
          const std::function<void(double fraction)>& progress) {
  const std::span<uint8_t> vector = sum.bytes();
  const size_t batches = (masks.size() + kBatchMasks - 1) / kBatchMasks;
  for (size_t batch = 0; batch < batches; ++batch) {
    const auto begin = masks.begin() + static_cast<std::ptrdiff_t>(batch * kBatchMasks);
    const auto end = masks.begin() +
                     static_cast<std::ptrdiff_t>(std::min(masks.size(), (batch + 1) * kBatchMasks));
    const MaskSet set(
        params.cipher, params.ring_bits,
        std::vector<SignedMask>(std::make_move_iterator(begin), std::make_move_iterator(end)));
    ApplyParallel(set, vector, threads, [&](uint64_t done) {
      if (!progress) return;
      const double within = static_cast<double>(done) / static_cast<double>(vector.size());
      progress((static_cast<double>(batch) + within) / static_cast<double>(batches));
    });
  }
  if (progress) progress(1);
}

}  // namespace

UnmaskRequest RequestFor(const Roster& roster, uint32_t index, const ClientSet& survivors,
                         const std::map<uint32_t, Consent>& consents) {
  UnmaskRequest request{.survivors = survivors};
  if (roster.params().mode != Mode::kMalicious) return request;
  for (const uint32_t neighbour : roster.graph().NeighboursOf(index)) {
    const auto consent = consents.find(neighbour);
    if (consent == consents.end() || !Contains(survivors, neighbour)) continue;
    request.consents.push_back({.index = neighbour, .signature = consent->second.signature});
  }
  return request;
}

absl::Status CheckReply(const Roster& roster, const ClientSet& sharers, const ClientSet& survivors,
                        uint32_t index, const UnmaskReply& reply) {
  MUSTER_RETURN_IF_ERROR(CheckIndex(roster, index));
  if (!Contains(survivors, index)) {
    return absl::InvalidArgumentError(
        StrCat(NameOf(roster, index), " answers but is not among the survivors"));
  }
  std::vector<uint32_t> survived, dropped;
  for (const uint32_t neighbour : roster.graph().NeighboursOf(index)) {
    if (!Contains(sharers, neighbour)) continue;
    (Contains(survivors, neighbour) ? survived : dropped).push_back(neighbour);
  }
  MUSTER_RETURN_IF_ERROR(CheckShares(roster, index, "self-mask seed", reply.self_shares, survived));
  return CheckShares(roster, index, "mask key", reply.key_shares, dropped);
}

bool CanRecover(const Roster& roster, const ClientSet& sharers, const ClientSet& survivors,
                const ClientSet& answered) {
  for (uint32_t index = 0; index < roster.size(); ++index) {
    if (!Contains(sharers, index) || !NeedsSecret(roster, survivors, index)) continue;
    if (NeighboursIn(roster, index, answered) < roster.threshold()) return false;
  }
  return true;
}

absl::Status UnmaskSum(const UnmaskInput& input, RingSum& sum, unsigned threads,
                       const std::function<void(double fraction)>& progress) {
  MUSTER_RETURN_IF_ERROR(CheckInput(input, sum));
  MUSTER_ASSIGN_OR_RETURN(std::vector<SignedMask> masks, MasksToUndo(input, threads));
  Undo(input.roster.params(), std::move(masks), sum, threads, progress);
  return absl::OkStatus();
}

}  // namespace muster::secagg
