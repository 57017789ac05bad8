// The roster: adverts sorted by client id, under a Merkle tree (RFC 6962 hashing) whose root every
// client checks its own and its neighbours' entries against.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/core/secagg_messages.h"

namespace muster::secagg {

Digest LeafOf(const Advert& advert);

class MerkleTree {
 public:
  explicit MerkleTree(std::vector<Digest> leaves);  // hashes as LeafOf gives them; at least one
  const Digest& root() const;
  std::vector<Digest> Proof(uint32_t index) const;

 private:
  std::vector<std::vector<Digest>> levels_;
};
bool VerifyInclusion(const Digest& leaf, uint32_t index, uint32_t size,
                     const std::vector<Digest>& proof, const Digest& root);

}  // namespace muster::secagg
