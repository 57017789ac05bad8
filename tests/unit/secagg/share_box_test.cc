#include "aggregation/secagg/share_box.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <functional>
#include <vector>

#include "proto/crypto/aes_gcm.h"
#include "tests/unit/secagg/bytes.h"

namespace muster::secagg {
namespace {

struct GcmCase {
  std::string_view key, vector, plain, associated, cipher, tag;
};

// The 256-bit cases (13 to 16) of the mode's submission to NIST: McGrew and Viega, "The
// Galois/Counter Mode of Operation", appendix B.
const std::vector<GcmCase>& GcmCases() {
  static const auto& cases = *new std::vector<GcmCase>{
      {"0000000000000000000000000000000000000000000000000000000000000000",
       "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
      {"0000000000000000000000000000000000000000000000000000000000000000",
       "000000000000000000000000", "00000000000000000000000000000000", "",
       "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
      {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
       "cafebabefacedbaddecaf888",
       "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
       "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
       "",
       "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
       "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
       "b094dac5d93471bdec1a502270e3cc6c"},
      {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
       "cafebabefacedbaddecaf888",
       "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
       "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
       "feedfacedeadbeeffeedfacedeadbeefabaddad2",
       "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
       "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
       "76fc6ece0f4e1768cddf8853bb2d551b"},
  };
  return cases;
}

GcmVector VectorOf(std::string_view hex) {
  const std::vector<uint8_t> bytes = FromHex(hex);
  GcmVector vector{};
  std::copy(bytes.begin(), bytes.end(), vector.begin());
  return vector;
}

TEST(AesGcm, KnownAnswersWithKeysOf256Bits) {
  for (const GcmCase& known : GcmCases()) {
    const auto key = Bytes32(known.key);
    const std::vector<uint8_t> plain = FromHex(known.plain);
    const std::string associated = *HexDecode(known.associated);
    std::vector<uint8_t> box(plain.size() + kGcmTagBytes);
    GcmSeal(key, VectorOf(known.vector), associated, plain, box);
    EXPECT_EQ(Hex(box), std::string(known.cipher) + std::string(known.tag));
    std::vector<uint8_t> opened(plain.size());
    EXPECT_TRUE(GcmOpen(key, VectorOf(known.vector), associated, box, opened));
    EXPECT_EQ(opened, plain);
  }
}

TEST(AesGcm, AnyFlippedBitIsNoticed) {
  const GcmCase& known = GcmCases().back();
  const auto key = Bytes32(known.key);
  const std::string associated = *HexDecode(known.associated);
  std::vector<uint8_t> box = FromHex(std::string(known.cipher) + std::string(known.tag));
  std::vector<uint8_t> opened(box.size() - kGcmTagBytes);
  for (size_t bit = 0; bit < 8 * box.size(); ++bit) {
    box[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(GcmOpen(key, VectorOf(known.vector), associated, box, opened)) << bit;
    box[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
  EXPECT_FALSE(GcmOpen(key, VectorOf(known.vector), associated + "x", box, opened));
}

class ShareBoxTest : public testing::Test {
 protected:
  SharePair Shares() const { return {.self_share = Repeated(1), .key_share = Repeated(2)}; }
  ShareBoxKey KeyFrom(uint32_t sender, uint32_t receiver) const {
    return *BoxKey(sid_, SharingAgreements(a_), PublicKeyOf(b_), sender, receiver);
  }
  BoxAddress Address() const {
    return {.sid = sid_, .sender = 3, .receiver = 8, .holder = 5, .commitment = Sha256("b")};
  }

  SeededRandom random_{4};
  const Digest sid_ = Sha256("sid");
  const SharingSecretKey a_ = SharingSecretKey::Fresh(random_);
  const SharingSecretKey b_ = SharingSecretKey::Fresh(random_);
};

TEST_F(ShareBoxTest, TheReceiverOpensWhatTheSenderSealed) {
  const std::string box = SealShares(KeyFrom(3, 8), Address(), Shares());
  EXPECT_EQ(box.size(), kBoxBytes);
  const auto key = BoxKey(sid_, SharingAgreements(b_), PublicKeyOf(a_), 3, 8);
  const auto opened = OpenShares(*key, Address(), box);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_TRUE(opened->self_share.ConstantTimeEquals(Repeated(1)));
  EXPECT_TRUE(opened->key_share.ConstantTimeEquals(Repeated(2)));
}

TEST_F(ShareBoxTest, AResentBoxHasTheSameBytes) {
  EXPECT_EQ(SealShares(KeyFrom(3, 8), Address(), Shares()),
            SealShares(KeyFrom(3, 8), Address(), Shares()));
}

TEST_F(ShareBoxTest, ABoxReflectedToItsSenderIsRefused) {
  const std::string box = SealShares(KeyFrom(3, 8), Address(), Shares());
  BoxAddress swapped = Address();
  std::swap(swapped.sender, swapped.receiver);
  // With the key that the sender would use for what comes back, and with its own for what it sent.
  for (const auto& [sender, receiver] : {std::pair(8u, 3u), std::pair(3u, 8u)}) {
    const auto opened = OpenShares(KeyFrom(sender, receiver), swapped, box);
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kUnauthenticated);
  }
  EXPECT_EQ(OpenShares(KeyFrom(8, 3), Address(), box).status().code(),
            absl::StatusCode::kUnauthenticated);
}

TEST_F(ShareBoxTest, EveryPartOfTheAddressIsAuthenticated) {
  const ShareBoxKey key = KeyFrom(3, 8);
  const std::string box = SealShares(key, Address(), Shares());
  const std::vector<std::function<void(BoxAddress&)>> changes = {
      [](BoxAddress& a) { a.sid = Sha256("another"); },
      [](BoxAddress& a) { ++a.sender; },
      [](BoxAddress& a) { ++a.receiver; },
      [](BoxAddress& a) { ++a.holder; },
      [](BoxAddress& a) { std::swap(a.receiver, a.holder); },
      [](BoxAddress& a) { a.commitment = Sha256("another"); },
  };
  for (const auto& change : changes) {
    BoxAddress address = Address();
    change(address);
    EXPECT_EQ(OpenShares(key, address, box).status().code(), absl::StatusCode::kUnauthenticated);
  }
}

TEST_F(ShareBoxTest, AnyFlippedBitOrOtherLengthIsRefused) {
  ERR_clear_error();
  const ShareBoxKey key = KeyFrom(3, 8);
  std::string box = SealShares(key, Address(), Shares());
  for (size_t bit = 0; bit < 8 * box.size(); ++bit) {
    box[bit / 8] = static_cast<char>(box[bit / 8] ^ 1 << bit % 8);
    EXPECT_EQ(OpenShares(key, Address(), box).status().code(), absl::StatusCode::kUnauthenticated);
    box[bit / 8] = static_cast<char>(box[bit / 8] ^ 1 << bit % 8);
  }
  EXPECT_FALSE(OpenShares(key, Address(), box + "x").ok());
  for (size_t size = 0; size < box.size(); ++size) {
    EXPECT_EQ(OpenShares(key, Address(), box.substr(0, size)).status().code(),
              absl::StatusCode::kUnauthenticated);
  }
  EXPECT_TRUE(OpenShares(key, Address(), box).ok());
  EXPECT_EQ(ERR_peek_error(), 0u);  // nothing stays for a TLS connection to trip over
}

}  // namespace
}  // namespace muster::secagg
