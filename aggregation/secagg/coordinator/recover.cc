#include "aggregation/secagg/coordinator/recover.h"

#include <algorithm>

#include "aggregation/secagg/coordinator/checks.h"
#include "aggregation/secagg/transcript.h"
#include "proto/core/random.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

constexpr size_t kMaxCachedRecoveries = 4096;

// Binomial coefficient, or `most` + 1 where it is larger.
uint64_t CountChoices(uint32_t count, uint32_t size, uint64_t most) {
  const uint32_t smaller = std::min(size, count - size);
  uint64_t choices = 1;
  for (uint32_t i = 1; i <= smaller; ++i) {
    choices = choices * (count - smaller + i) / i;
    if (choices > most) return most + 1;
  }
  return choices;
}

std::vector<std::vector<uint32_t>> AllChoices(uint32_t count, uint32_t size) {
  std::vector<std::vector<uint32_t>> choices;
  std::vector<bool> taken(count, false);
  std::fill_n(taken.begin(), size, true);
  do {
    std::vector<uint32_t>& choice = choices.emplace_back();
    for (uint32_t i = 0; i < count; ++i) {
      if (taken[i]) choice.push_back(i);
    }
  } while (std::prev_permutation(taken.begin(), taken.end()));
  return choices;
}

// All but `count - size` of them, cyclically from `from` on.
std::vector<uint32_t> LeavingOutBlock(uint32_t count, uint32_t size, uint32_t from) {
  std::vector<uint32_t> choice;
  const uint32_t left_out = count - size;
  for (uint32_t i = 0; i < count; ++i) {
    if ((i + count - from) % count >= left_out) choice.push_back(i);
  }
  return choice;
}

// The first `size` of a Fisher-Yates shuffle.
std::vector<uint32_t> RandomChoice(uint32_t count, uint32_t size, RandomSource& random) {
  std::vector<uint32_t> order(count);
  for (uint32_t i = 0; i < count; ++i) order[i] = i;
  for (uint32_t i = 0; i < size; ++i) {
    std::swap(order[i], order[i + random.Below(count - i)]);
  }
  order.resize(size);
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace

std::vector<std::vector<uint32_t>> ChoicesOf(uint32_t count, uint32_t size) {
  if (size == 0 || size > count) return {};
  if (CountChoices(count, size, kRecoveryTries) <= kRecoveryTries) return AllChoices(count, size);
  std::vector<std::vector<uint32_t>> choices;
  const uint32_t block = count - size;
  // From the end on, where the least trusted are.
  for (uint32_t done = 0; done < count && choices.size() < kRecoveryTries; done += block) {
    choices.push_back(LeavingOutBlock(count, size, (2 * count - done - block) % count));
  }
  SeededRandom random(DeriveSeed(count, StrCat("recovery choices of ", size)));
  while (choices.size() < kRecoveryTries) choices.push_back(RandomChoice(count, size, random));
  return choices;
}

SecretRecovery::SecretRecovery(const UnmaskInput& input) : input_(input) {
  for (const auto& [client, reply] : input.replies) {
    for (const RevealedShare& share : reply.self_shares) seeds_[share.index][client] = share.share;
    for (const RevealedShare& share : reply.key_shares) keys_[share.index][client] = share.share;
  }
}

absl::StatusOr<SelfSeed> SecretRecovery::SeedOf(uint32_t index) {
  const auto commitment = input_.commitments.find(index);
  if (commitment == input_.commitments.end()) {
    return absl::FailedPreconditionError(
        StrCat("the commitment of ", NameOf(input_.roster, index), " is missing"));
  }
  const Digest& sid = input_.roster.sid();
  MUSTER_ASSIGN_OR_RETURN(
      Secret secret, Recover(index, "self-mask seed", seeds_, [&](const Secret& candidate) {
        return Commitment(sid, index, SelfSeed(candidate.span())) == commitment->second;
      }));
  return SelfSeed(std::move(secret));
}

absl::StatusOr<MaskSecretKey> SecretRecovery::KeyOf(uint32_t index) {
  MUSTER_ASSIGN_OR_RETURN(
      Secret secret, Recover(index, "mask key", keys_, [&](const Secret& candidate) {
        return PublicKeyOf(MaskSecretKey(candidate.span())) == input_.roster.advert(index).mask_key;
      }));
  return MaskSecretKey(std::move(secret));
}

absl::StatusOr<SecretRecovery::Secret> SecretRecovery::Recover(uint32_t index,
                                                               std::string_view what,
                                                               const Revealed& revealed,
                                                               const Verifier& verifies) {
  const uint32_t threshold = input_.roster.threshold();
  const std::vector<Piece> pieces = PiecesOf(index, revealed);
  if (pieces.size() < threshold) {
    return absl::FailedPreconditionError(StrCat(pieces.size(), " shares of the ", what, " of ",
                                                NameOf(input_.roster, index),
                                                " came, fewer than the threshold of ", threshold));
  }
  // The first choice is all that is needed unless a share is wrong.
  std::vector<std::vector<uint32_t>> choices;
  uint32_t tries = 0;
  do {
    std::vector<Piece> chosen;
    if (tries == 0) {
      chosen.assign(pieces.begin(), pieces.begin() + threshold);
    } else {
      for (const uint32_t i : choices[tries]) chosen.push_back(pieces[i]);
    }
    MUSTER_ASSIGN_OR_RETURN(Secret secret, Combine(chosen));
    if (verifies(secret)) {
      if (tries > 0) FindSuspects(chosen, pieces, secret);
      return secret;
    }
    if (tries == 0) choices = ChoicesOf(static_cast<uint32_t>(pieces.size()), threshold);
  } while (++tries < choices.size());
  return absl::DataLossError(StrCat(
      "the ", what, " of ", NameOf(input_.roster, index), " cannot be recovered: ", pieces.size(),
      " shares came, and none of ", tries, " choices of ", threshold,
      " of them gives what the client committed to; it or its neighbours sent wrong shares"));
}

// In order of preference: those of clients that never revealed a wrong share first.
std::vector<SecretRecovery::Piece> SecretRecovery::PiecesOf(uint32_t index,
                                                            const Revealed& revealed) const {
  std::vector<Piece> pieces;
  const auto shares = revealed.find(index);
  if (shares == revealed.end()) return pieces;
  const std::vector<uint32_t> holders = input_.roster.graph().NeighboursOf(index);
  for (uint32_t holder = 0; holder < holders.size(); ++holder) {
    const auto at = shares->second.find(holders[holder]);
    if (at == shares->second.end()) continue;
    const auto* bytes = reinterpret_cast<const uint8_t*>(at->second.data());
    pieces.push_back({.holder = holder,
                      .client = holders[holder],
                      .share = std::span<const uint8_t, kShareBytes>(bytes, kShareBytes)});
  }
  std::stable_partition(pieces.begin(), pieces.end(),
                        [this](const Piece& piece) { return !suspects_.contains(piece.client); });
  return pieces;
}

absl::StatusOr<SecretRecovery::Secret> SecretRecovery::Combine(std::vector<Piece> chosen) {
  std::sort(chosen.begin(), chosen.end(),
            [](const Piece& a, const Piece& b) { return a.holder < b.holder; });
  std::vector<uint32_t> holders;
  std::vector<std::span<const uint8_t, kShareBytes>> shares;
  for (const Piece& piece : chosen) {
    holders.push_back(piece.holder);
    shares.push_back(piece.share);
  }
  const auto at = recoveries_.find(holders);
  if (at != recoveries_.end()) return at->second.Combine(shares);
  MUSTER_ASSIGN_OR_RETURN(Recovery recovery, Recovery::For(input_.roster.neighbours(), holders));
  Secret secret = recovery.Combine(shares);
  if (recoveries_.size() < kMaxCachedRecoveries) {
    recoveries_.emplace(std::move(holders), std::move(recovery));
  }
  return secret;
}

// A share is right if it can stand in for one of those that gave the secret.
void SecretRecovery::FindSuspects(const std::vector<Piece>& good, const std::vector<Piece>& pieces,
                                  const Secret& secret) {
  for (const Piece& piece : pieces) {
    const bool used = std::any_of(good.begin(), good.end(),
                                  [&](const Piece& other) { return other.holder == piece.holder; });
    if (used) continue;
    std::vector<Piece> swapped = good;
    swapped.back() = piece;
    const auto result = Combine(std::move(swapped));
    if (!result.ok() || !result->ConstantTimeEquals(secret)) suspects_.insert(piece.client);
  }
}

}  // namespace muster::secagg
