#include "aggregation/secagg/roster.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/secagg/bytes.h"

namespace muster::secagg {
namespace {

Digest PlainLeaf(std::string_view data) { return Sha256(std::string(1, '\0').append(data)); }

std::vector<Digest> SomeLeaves(uint32_t count) {
  std::vector<Digest> leaves;
  for (uint32_t i = 0; i < count; ++i) leaves.push_back(PlainLeaf(std::to_string(i)));
  return leaves;
}

// RFC 6962's definition, straight: split at the largest power of two below the size.
Digest Defined(std::span<const Digest> leaves) {
  if (leaves.size() == 1) return leaves[0];
  size_t split = 1;
  while (2 * split < leaves.size()) split *= 2;
  std::string bytes(1, '\x01');
  bytes.append(Defined(leaves.first(split)).bytes());
  bytes.append(Defined(leaves.subspan(split)).bytes());
  return Sha256(bytes);
}

// The inputs and roots that implementations of Certificate Transparency (RFC 6962) share.
TEST(MerkleTree, KnownRootsOfCertificateTransparency) {
  const std::vector<std::string> inputs = {"",
                                           "00",
                                           "10",
                                           "2021",
                                           "3031",
                                           "40414243",
                                           "5051525354555657",
                                           "606162636465666768696a6b6c6d6e6f"};
  const std::vector<std::string> roots = {
      "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
      "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
      "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
      "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
      "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  std::vector<Digest> leaves;
  for (size_t i = 0; i < inputs.size(); ++i) {
    leaves.push_back(PlainLeaf(*HexDecode(inputs[i])));
    EXPECT_EQ(MerkleTree(leaves).root().hex(), roots[i]) << i + 1 << " leaves";
  }
}

TEST(MerkleTree, IsTheTreeOfTheDefinitionAndItsProofsVerify) {
  for (uint32_t size = 1; size <= 70; ++size) {
    const std::vector<Digest> leaves = SomeLeaves(size);
    const MerkleTree tree(leaves);
    ASSERT_EQ(tree.root(), Defined(leaves)) << size;
    for (uint32_t index = 0; index < size; ++index) {
      EXPECT_TRUE(VerifyInclusion(leaves[index], index, size, tree.Proof(index), tree.root()))
          << index << " of " << size;
    }
  }
}

TEST(VerifyInclusion, NoOtherLeafPlaceRootOrProofPasses) {
  for (const uint32_t size : {1u, 2u, 3u, 6u, 7u, 8u, 13u}) {
    const std::vector<Digest> leaves = SomeLeaves(size);
    const MerkleTree tree(leaves);
    for (uint32_t index = 0; index < size; ++index) {
      const std::vector<Digest> proof = tree.Proof(index);
      for (uint32_t other = 0; other < size + 3; ++other) {
        EXPECT_EQ(VerifyInclusion(leaves[index], other, size, proof, tree.root()), other == index);
      }
      EXPECT_FALSE(VerifyInclusion(PlainLeaf("x"), index, size, proof, tree.root()));
      EXPECT_FALSE(VerifyInclusion(leaves[index], index, size, proof, PlainLeaf("x")));
      EXPECT_FALSE(VerifyInclusion(leaves[index], index, 0, proof, tree.root()));
      std::vector<Digest> changed = proof;
      changed.push_back(Digest());
      EXPECT_FALSE(VerifyInclusion(leaves[index], index, size, changed, tree.root()));
      for (size_t i = 0; i < proof.size(); ++i) {
        changed = proof;
        changed[i] = PlainLeaf("x");
        EXPECT_FALSE(VerifyInclusion(leaves[index], index, size, changed, tree.root()));
        changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_FALSE(VerifyInclusion(leaves[index], index, size, changed, tree.root()));
      }
    }
  }
}

// Without the prefixes a tree's inner node could be shown as a leaf.
TEST(VerifyInclusion, AnInnerNodeIsNoLeaf) {
  const std::vector<Digest> leaves = SomeLeaves(4);
  const MerkleTree tree(leaves);
  const std::string children = std::string(leaves[0].bytes()).append(leaves[1].bytes());
  EXPECT_FALSE(VerifyInclusion(PlainLeaf(children), 0, 2, {tree.Proof(0).back()}, tree.root()));
}

TEST(LeafOf, EveryFieldOfAnAdvertChangesIt) {
  Advert advert;
  advert.client = DeviceId::Trusted("board-1");
  advert.mask_key.fill(1);
  advert.sharing_key.fill(2);
  advert.nonce = Sha256("nonce");
  advert.certificate = "certificate";
  advert.signature = "signature";
  const std::vector<std::function<void(Advert&)>> changes = {
      [](Advert&) {},
      [](Advert& a) { a.client = DeviceId::Trusted("board-2"); },
      [](Advert& a) { a.mask_key[0] ^= 1; },
      [](Advert& a) { a.sharing_key[31] ^= 0x80; },
      [](Advert& a) { std::swap(a.mask_key, a.sharing_key); },
      [](Advert& a) { a.nonce = Sha256("another"); },
      [](Advert& a) { a.certificate += "s"; },
      [](Advert& a) { a.signature += "s"; },
      [](Advert& a) { std::swap(a.certificate, a.signature); },
      [](Advert& a) {
        a.certificate = "certificates";
        a.signature = "ignature";
      },
  };
  std::set<Digest> leaves;
  for (const auto& change : changes) {
    Advert changed = advert;
    change(changed);
    leaves.insert(LeafOf(changed));
  }
  EXPECT_EQ(leaves.size(), changes.size());
}

}  // namespace
}  // namespace muster::secagg
