#include "aggregation/secagg/keys.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <set>
#include <type_traits>
#include <vector>

#include "aggregation/secagg/x25519.h"
#include "proto/crypto/hkdf.h"
#include "tests/unit/secagg/bytes.h"

namespace muster::secagg {
namespace {

static_assert(!std::is_copy_constructible_v<MaskSecretKey>);
static_assert(!std::is_convertible_v<SharingSecretKey, MaskSecretKey>);

std::string Agreed(const std::array<uint8_t, 32>& secret, const PublicKeyBytes& peer) {
  const auto shared = X25519Key(secret).Agree(peer);
  return shared.has_value() ? Hex(shared->span()) : "nothing";
}

TEST(X25519, VectorsOfRfc7748Section52) {
  EXPECT_EQ(Agreed(Bytes32("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                   Bytes32("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")),
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  EXPECT_EQ(Agreed(Bytes32("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
                   Bytes32("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493")),
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

TEST(X25519, IterationsOfRfc7748Section52) {
  std::array<uint8_t, 32> k{}, u{};
  k[0] = u[0] = 9;
  for (int i = 1; i <= 1000; ++i) {
    const auto shared = X25519Key(k).Agree(u);
    ASSERT_TRUE(shared.has_value());
    u = k;
    std::ranges::copy(shared->span(), k.begin());
    if (i == 1) {
      EXPECT_EQ(Hex(k), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
  }
  EXPECT_EQ(Hex(k), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

TEST(X25519, DiffieHellmanOfRfc7748Section61) {
  const auto a = Bytes32("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const auto b = Bytes32("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  EXPECT_EQ(Hex(X25519Key(a).PublicKey()),
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(Hex(X25519Key(b).PublicKey()),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const std::string shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
  EXPECT_EQ(Agreed(a, X25519Key(b).PublicKey()), shared);
  EXPECT_EQ(Agreed(b, X25519Key(a).PublicKey()), shared);
}

std::string HkdfHex(std::string_view salt, std::string_view input, std::string_view info,
                    size_t size) {
  const auto label = HexDecode(info);
  std::vector<uint8_t> out(size);
  Hkdf(FromHex(salt), FromHex(input), *label, out);
  return Hex(out);
}

TEST(Hkdf, Sha256TestCasesOfRfc5869) {
  EXPECT_EQ(HkdfHex("000102030405060708090a0b0c", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
                    "f0f1f2f3f4f5f6f7f8f9", 42),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  std::vector<uint8_t> bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<uint8_t>(i));
  const auto range = [&](size_t from) { return Hex(std::span(bytes).subspan(from, 80)); };
  EXPECT_EQ(HkdfHex(range(0x60), range(0x00), range(0xb0), 82),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
            "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
            "cc30c58179ec3e87c14c01d5c1f3434f1d87");
  EXPECT_EQ(HkdfHex("", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", 42),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(Hkdf, AnyLengthIsAPrefixOfTheLongest) {
  const std::vector<uint8_t> input(32, 5);
  std::vector<uint8_t> longest(255 * 32);
  Hkdf(input, input, "info", longest);
  for (const size_t size : {size_t{1}, size_t{31}, size_t{32}, size_t{33}, size_t{8159}}) {
    std::vector<uint8_t> out(size);
    Hkdf(input, input, "info", out);
    EXPECT_TRUE(std::equal(out.begin(), out.end(), longest.begin())) << size;
  }
}

// Points of order 1, 2, 4 and 8, in every encoding that 32 bytes allow for them.
std::vector<PublicKeyBytes> SmallOrderKeys() {
  std::vector<PublicKeyBytes> keys;
  for (const std::string_view hex :
       {"0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"}) {
    keys.push_back(Bytes32(hex));
    keys.push_back(keys.back());
    keys.back()[31] |= 0x80;  // the bit that RFC 7748 ignores
  }
  return keys;
}

class KeysTest : public testing::Test {
 protected:
  SeededRandom random_{21};
  const Digest sid_ = Sha256("sid");
  const Digest other_sid_ = Sha256("other sid");
  const MaskSecretKey mask_a_ = MaskSecretKey::Fresh(random_);
  const MaskSecretKey mask_b_ = MaskSecretKey::Fresh(random_);
  const SharingSecretKey box_a_ = SharingSecretKey::Fresh(random_);
  const SharingSecretKey box_b_ = SharingSecretKey::Fresh(random_);
};

TEST_F(KeysTest, KeysOfSmallOrderAreRefused) {
  ERR_clear_error();
  for (const PublicKeyBytes& peer : SmallOrderKeys()) {
    EXPECT_EQ(PairMaskKey(sid_, MaskAgreements(mask_a_), 0, peer, 1).status().code(),
              absl::StatusCode::kInvalidArgument)
        << Hex(peer);
    EXPECT_EQ(BoxKey(sid_, SharingAgreements(box_a_), peer, 0, 1).status().code(),
              absl::StatusCode::kInvalidArgument)
        << Hex(peer);
  }
  EXPECT_EQ(ERR_peek_error(), 0u);  // nothing stays for a TLS connection to trip over
}

TEST_F(KeysTest, BothSidesDeriveTheSamePairMask) {
  const auto from_a = PairMaskKey(sid_, MaskAgreements(mask_a_), 3, PublicKeyOf(mask_b_), 8);
  const auto from_b = PairMaskKey(sid_, MaskAgreements(mask_b_), 8, PublicKeyOf(mask_a_), 3);
  ASSERT_TRUE(from_a.ok() && from_b.ok());
  EXPECT_TRUE(from_a->ConstantTimeEquals(*from_b));
}

TEST_F(KeysTest, BothSidesDeriveTheSameBoxKeyForOneDirection) {
  const auto sealed = BoxKey(sid_, SharingAgreements(box_a_), PublicKeyOf(box_b_), 3, 8);
  const auto opened = BoxKey(sid_, SharingAgreements(box_b_), PublicKeyOf(box_a_), 3, 8);
  ASSERT_TRUE(sealed.ok() && opened.ok());
  EXPECT_TRUE(sealed->ConstantTimeEquals(*opened));
}

TEST_F(KeysTest, TheTwoDirectionsHaveDifferentBoxKeys) {
  const auto there = BoxKey(sid_, SharingAgreements(box_a_), PublicKeyOf(box_b_), 3, 8);
  const auto back = BoxKey(sid_, SharingAgreements(box_a_), PublicKeyOf(box_b_), 8, 3);
  ASSERT_TRUE(there.ok() && back.ok());
  EXPECT_FALSE(there->ConstantTimeEquals(*back));
}

TEST_F(KeysTest, NobodyHasAKeyWithItself) {
  EXPECT_EQ(PairMaskKey(sid_, MaskAgreements(mask_a_), 3, PublicKeyOf(mask_b_), 3).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(BoxKey(sid_, SharingAgreements(box_a_), PublicKeyOf(box_b_), 3, 3).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// The same 32 bytes stand for every secret here, so only labels, indices and session ids differ.
TEST_F(KeysTest, EveryPurposeIndexAndSessionHasAKeyOfItsOwn) {
  const SecretBytes<32> bytes = Repeated(9);
  const MaskSecretKey mask(bytes.span());
  const SharingSecretKey sharing(bytes.span());
  const PublicKeyBytes peer = PublicKeyOf(mask_b_);
  std::set<std::string> keys;
  for (const Digest& sid : {sid_, other_sid_}) {
    for (const auto& [low, high] : {std::pair(3u, 8u), std::pair(3u, 9u), std::pair(4u, 8u)}) {
      keys.insert(Hex(PairMaskKey(sid, MaskAgreements(mask), low, peer, high)->span()));
      keys.insert(Hex(BoxKey(sid, SharingAgreements(sharing), peer, low, high)->span()));
      keys.insert(Hex(BoxKey(sid, SharingAgreements(sharing), peer, high, low)->span()));
    }
    for (const uint32_t index : {3u, 4u}) {
      keys.insert(Hex(SelfMaskKey(sid, SelfSeed(bytes.span()), index).span()));
    }
  }
  EXPECT_EQ(keys.size(), 2u * (3 * 3 + 2));
}

int DifferingBits(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  int bits = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    bits += std::popcount(static_cast<unsigned>(a[i] ^ b[i]));
  }
  return bits;
}

// Half of 256 bits, give or take eight standard deviations.
void ExpectUnrelated(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  EXPECT_GT(DifferingBits(a, b), 64);
  EXPECT_LT(DifferingBits(a, b), 192);
}

TEST_F(KeysTest, TheSameIdentitiesHaveUnrelatedKeysInTwoSessions) {
  const auto pair = PairMaskKey(sid_, MaskAgreements(mask_a_), 0, PublicKeyOf(mask_b_), 1);
  const auto other_pair =
      PairMaskKey(other_sid_, MaskAgreements(mask_a_), 0, PublicKeyOf(mask_b_), 1);
  ExpectUnrelated(pair->span(), other_pair->span());
  const auto box = BoxKey(sid_, SharingAgreements(box_a_), PublicKeyOf(box_b_), 0, 1);
  const auto other_box = BoxKey(other_sid_, SharingAgreements(box_a_), PublicKeyOf(box_b_), 0, 1);
  ExpectUnrelated(box->span(), other_box->span());
  const SelfSeed seed(Repeated(9));
  ExpectUnrelated(SelfMaskKey(sid_, seed, 0).span(), SelfMaskKey(other_sid_, seed, 0).span());
}

TEST_F(KeysTest, FlippingAnyBitOfASeedGivesAnUnrelatedKey) {
  const SelfSeed seed(Repeated(9));
  const MaskKey key = SelfMaskKey(sid_, seed, 0);
  for (size_t bit = 0; bit < 256; ++bit) {
    SelfSeed flipped = seed.Clone();
    flipped.writable()[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    ExpectUnrelated(key.span(), SelfMaskKey(sid_, flipped, 0).span());
  }
}

}  // namespace
}  // namespace muster::secagg
