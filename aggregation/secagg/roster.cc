#include "aggregation/secagg/roster.h"

#include <cstdlib>
#include <string>
#include <utility>

#include "aggregation/secagg/transcript.h"

namespace muster::secagg {
namespace {

std::string_view View(const PublicKeyBytes& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

// RFC 6962, section 2.1: the first byte keeps leaves and inner nodes apart.
constexpr char kLeafPrefix = '\x00';
constexpr char kNodePrefix = '\x01';

Digest Node(const Digest& left, const Digest& right) {
  std::string bytes(1, kNodePrefix);
  bytes.append(left.bytes()).append(right.bytes());
  return Sha256(bytes);
}

}  // namespace

Digest LeafOf(const Advert& advert) {
  Transcript fields("muster/secagg/1/leaf");
  fields.Add(advert.client.value())
      .Add(View(advert.mask_key))
      .Add(View(advert.sharing_key))
      .Add(advert.nonce)
      .Add(advert.certificate)
      .Add(advert.signature);
  return Sha256(std::string(1, kLeafPrefix) + fields.bytes());
}

// Pairs from the left, level by level; a node without a partner rises as it is. That is the tree of
// RFC 6962, which splits at the largest power of two below the size.
MerkleTree::MerkleTree(std::vector<Digest> leaves) {
  if (leaves.empty()) std::abort();  // nobody freezes an empty roster
  levels_.push_back(std::move(leaves));
  while (levels_.back().size() > 1) {
    const std::vector<Digest>& below = levels_.back();
    std::vector<Digest> level;
    level.reserve((below.size() + 1) / 2);
    for (size_t i = 0; i + 1 < below.size(); i += 2) level.push_back(Node(below[i], below[i + 1]));
    if (below.size() % 2 != 0) level.push_back(below.back());
    levels_.push_back(std::move(level));
  }
}

const Digest& MerkleTree::root() const { return levels_.back().front(); }

std::vector<Digest> MerkleTree::Proof(uint32_t index) const {
  size_t at = index;
  if (at >= levels_.front().size()) std::abort();
  std::vector<Digest> proof;
  for (const std::vector<Digest>& level : levels_) {
    const size_t sibling = at ^ 1;
    if (sibling < level.size()) proof.push_back(level[sibling]);
    at /= 2;
  }
  return proof;
}

// RFC 9162, section 2.1.3.2.
bool VerifyInclusion(const Digest& leaf, uint32_t index, uint32_t size,
                     const std::vector<Digest>& proof, const Digest& root) {
  if (index >= size) return false;
  Digest node = leaf;
  size_t used = 0;
  uint32_t at = index;
  for (uint32_t last = size - 1; last > 0; last /= 2, at /= 2) {
    if (at == last && at % 2 == 0) continue;  // no partner on this level
    if (used == proof.size()) return false;
    const Digest& sibling = proof[used++];
    node = at % 2 == 0 ? Node(node, sibling) : Node(sibling, node);
  }
  return used == proof.size() && node == root;
}

}  // namespace muster::secagg
