// Secrets out of the shares that survivors revealed. Internal to the coordinator's steps.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "aggregation/secagg/coordinator/coordinator.h"
#include "aggregation/secagg/shamir.h"

namespace muster::secagg {

// Choices of `size` out of `count` things numbered from 0 in order of preference, one after the
// other, at most kRecoveryTries. The first takes the first ones. If there are no more choices than
// that, all come; otherwise first those that leave out one block after the other, which avoid any
// one bad thing, and then pseudo-random ones, the same in every run.
std::vector<std::vector<uint32_t>> ChoicesOf(uint32_t count, uint32_t size);

// Recovers the secrets of one session, one after the other; not thread-safe. Holders whose shares
// turned out wrong are asked last from then on.
class SecretRecovery {
 public:
  explicit SecretRecovery(const UnmaskInput& input);

  // FailedPrecondition if fewer than t shares came, DataLoss if no choice of shares gives what the
  // client committed to; both name the client.
  absl::StatusOr<SelfSeed> SeedOf(uint32_t index);
  absl::StatusOr<MaskSecretKey> KeyOf(uint32_t index);

 private:
  struct Piece {
    uint32_t holder = 0;  // which share, from 0
    uint32_t client = 0;  // who revealed it
    std::span<const uint8_t, kShareBytes> share;
  };
  using Secret = SecretBytes<kSecretBytes>;
  using Verifier = std::function<bool(const Secret&)>;
  using Revealed = std::map<uint32_t, std::map<uint32_t, std::string_view>>;

  absl::StatusOr<Secret> Recover(uint32_t index, std::string_view what, const Revealed& revealed,
                                 const Verifier& verifies);
  std::vector<Piece> PiecesOf(uint32_t index, const Revealed& revealed) const;
  absl::StatusOr<Secret> Combine(std::vector<Piece> chosen);
  void FindSuspects(const std::vector<Piece>& good, const std::vector<Piece>& pieces,
                    const Secret& secret);

  const UnmaskInput& input_;
  Revealed seeds_, keys_;                                 // whose secret -> who revealed -> share
  std::map<std::vector<uint32_t>, Recovery> recoveries_;  // by the holders, ascending
  std::set<uint32_t> suspects_;
};

}  // namespace muster::secagg
