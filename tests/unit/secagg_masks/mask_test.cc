#include "aggregation/secagg/mask.h"

#include <gtest/gtest.h>

#include <bit>
#include <set>

#include "tests/unit/secagg_masks/masks.h"

namespace muster::secagg {
namespace {

std::string HexMask(MaskCipher cipher, std::string_view key, MaskKernel kernel, uint64_t offset,
                    size_t size) {
  return HexEncode(MaskBytes(MaskSet(cipher, 32, OneMask(KeyOf(key)), kernel), offset, size));
}

// Counters from 0 with an all-zero key: the hash key, E(Y0) and E(Y1) of test cases 1 and 2, 13 and
// 14 in the specification of GCM (McGrew and Viega), which encrypt the counters 0, 1 and 2.
TEST(MaskKnownAnswers, AesCountsFromZero) {
  for (const MaskKernel kernel : KernelsHere()) {
    EXPECT_EQ(HexMask(MaskCipher::kAes128Ctr, std::string(32, '0'), kernel, 0, 48),
              "66e94bd4ef8a2c3b884cfa59ca342b2e"
              "58e2fccefa7e3061367f1d57a4e7455a"
              "0388dace60b6a392f328c2b971b2fe78")
        << KernelName(kernel);
    EXPECT_EQ(HexMask(MaskCipher::kAes256Ctr, std::string(64, '0'), kernel, 0, 48),
              "dc95c078a2408989ad48a21492842087"
              "530f8afbc74536b9a963b4f1c4cb738b"
              "cea7403d4d606b6e074ec5d3baf39d18")
        << KernelName(kernel);
  }
}

// SP 800-38A, F.5.1 and F.5.5: the keys. Its counters start elsewhere, so the answers are EVP's,
// which is first held against F.5 itself.
struct CtrVector {
  MaskCipher cipher;
  const EVP_CIPHER* evp;
  std::string key, first_output;  // of the counter f0f1...ff
};

std::string EvpKeystream(const EVP_CIPHER* evp, std::string_view key, std::string_view counter,
                         size_t size) {
  std::string zeros(size, '\0'), out(size, '\0');
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  const auto* raw_key = reinterpret_cast<const unsigned char*>(key.data());
  const auto* raw_counter = reinterpret_cast<const unsigned char*>(counter.data());
  EXPECT_EQ(EVP_EncryptInit_ex2(context, evp, raw_key, raw_counter, nullptr), 1);
  int written = 0;
  EXPECT_EQ(EVP_EncryptUpdate(context, reinterpret_cast<unsigned char*>(out.data()), &written,
                              reinterpret_cast<const unsigned char*>(zeros.data()),
                              static_cast<int>(size)),
            1);
  EVP_CIPHER_CTX_free(context);
  return out;
}

TEST(MaskKnownAnswers, KeysOfSp80038aGiveTheCounterMode) {
  const CtrVector vectors[] = {
      {MaskCipher::kAes128Ctr, EVP_aes_128_ctr(), "2b7e151628aed2a6abf7158809cf4f3c",
       "ec8cdf7398607cb0f2d21675ea9ea1e4"},
      {MaskCipher::kAes256Ctr, EVP_aes_256_ctr(),
       "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
       "0bdf7df1591716335e9a8b15c860c502"}};
  for (const CtrVector& v : vectors) {
    const std::string key = HexDecode(v.key).value();
    const std::string counter = HexDecode("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").value();
    ASSERT_EQ(HexEncode(EvpKeystream(v.evp, key, counter, 16)), v.first_output);
    const std::string whole = EvpKeystream(v.evp, key, std::string(16, '\0'), 40'000);
    for (const MaskKernel kernel : KernelsHere()) {
      const MaskSet masks(v.cipher, 16, OneMask(KeyOf(v.key)), kernel);
      EXPECT_EQ(MaskBytes(masks, 0, whole.size()), whole) << KernelName(kernel);
      EXPECT_EQ(MaskBytes(masks, 17'318, 5000), whole.substr(17'318, 5000)) << KernelName(kernel);
    }
  }
}

// RFC 8439, appendix A.1, test vectors 1 to 4: blocks 0, 1 and 2 with a nonce of zeros.
TEST(MaskKnownAnswers, ChaCha20CountsFromZero) {
  const auto block = [](std::string_view key, uint64_t number) {
    return HexMask(MaskCipher::kChaCha20, key, BestKernel(), number * 64, 64);
  };
  const std::string zeros(64, '0');
  EXPECT_EQ(block(zeros, 0),
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
            "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586");
  EXPECT_EQ(block(zeros, 1),
            "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
            "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f");
  EXPECT_EQ(block(std::string(62, '0') + "01", 1),
            "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
            "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0");
  EXPECT_EQ(block("00ff" + std::string(60, '0'), 2),
            "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
            "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096");
}

TEST(Mask, EveryBitOfTheKeyChangesIt) {
  SeededRandom random(7);
  for (const MaskCipher cipher : kAllCiphers) {
    const size_t key_bits = cipher == MaskCipher::kAes128Ctr ? 128 : 256;
    const MaskKey key = MaskKey::Fresh(random);
    std::set<std::string> masks{MaskBytes(MaskSet(cipher, 32, OneMask(key.Clone())), 0, 64)};
    for (size_t bit = 0; bit < key_bits; ++bit) {
      MaskKey flipped = key.Clone();
      flipped.writable()[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
      masks.insert(MaskBytes(MaskSet(cipher, 32, OneMask(std::move(flipped))), 0, 64));
    }
    EXPECT_EQ(masks.size(), key_bits + 1);
  }
}

TEST(Mask, Aes128TakesTheFirstSixteenBytesOfTheKey) {
  SeededRandom random(8);
  MaskKey key = MaskKey::Fresh(random);
  const std::string before =
      MaskBytes(MaskSet(MaskCipher::kAes128Ctr, 32, OneMask(key.Clone())), 0, 64);
  key.writable()[16] ^= 1;
  EXPECT_EQ(MaskBytes(MaskSet(MaskCipher::kAes128Ctr, 32, OneMask(std::move(key))), 0, 64), before);
}

// Every ring element can be hit, and all about equally often: no modulus cuts the ring short.
TEST(Mask, CoversTheWholeRing) {
  for (const MaskCipher cipher : kAllCiphers) {
    const std::string mask = MaskBytes(MaskSet(cipher, 16, RandomMasks(1, 3)), 0, 4u << 20);
    std::vector<int> hits(65'536);
    for (size_t i = 0; i < mask.size(); i += 2) {
      uint16_t element;
      std::memcpy(&element, &mask[i], sizeof(element));
      ++hits[element];
    }
    EXPECT_GT(hits[65'535], 0);
    EXPECT_GT(hits[0], 0);
    // 2^21 draws into 2^16 places: 32 expected in each, with a deviation of 5.7.
    EXPECT_LT(*std::max_element(hits.begin(), hits.end()), 32 + 10 * 5.7);
  }
}

TEST(Mask, HalfOfItsBitsAreOnes) {
  for (const MaskCipher cipher : kAllCiphers) {
    const std::string mask = MaskBytes(MaskSet(cipher, 64, RandomMasks(3, 4)), 0, 1u << 20);
    int64_t ones = 0;
    for (const char byte : mask) ones += std::popcount(static_cast<uint8_t>(byte));
    // 2^23 bits: a deviation of 1448.
    EXPECT_NEAR(static_cast<double>(ones), 4'194'304.0, 10 * 1448.0);
  }
}

TEST(Mask, WhatOneAddsTheOtherSubtracts) {
  for (const MaskCipher cipher : kAllCiphers) {
    for (const uint32_t bits : kAllBits) {
      SeededRandom random(bits);
      const std::vector<uint8_t> clear = RandomBytes(10'000, random);
      std::vector<SignedMask> add = RandomMasks(5, 11), subtract = RandomMasks(5, 11);
      for (SignedMask& mask : subtract) mask.subtract = !mask.subtract;
      std::vector<uint8_t> vector = clear;
      MaskSet(cipher, bits, std::move(add)).Apply(0, vector);
      EXPECT_NE(vector, clear);
      MaskSet(cipher, bits, std::move(subtract)).Apply(0, vector);
      EXPECT_EQ(vector, clear);
    }
  }
}

TEST(Mask, NoMasksChangeNothing) {
  SeededRandom random(1);
  const std::vector<uint8_t> clear = RandomBytes(2000, random);
  for (const MaskKernel kernel : KernelsHere()) {
    std::vector<uint8_t> vector = clear;
    const MaskSet none(MaskCipher::kAes128Ctr, 32, {}, kernel);
    none.Apply(4, vector);
    EXPECT_EQ(vector, clear);
    EXPECT_EQ(none.size(), 0u);
  }
}

TEST(Mask, AnyCutIntoPartsGivesTheSameVector) {
  for (const MaskKernel kernel : KernelsHere()) {
    for (const MaskCipher cipher : kAllCiphers) {
      SeededRandom random(static_cast<uint64_t>(cipher) + 21);
      const MaskSet masks(cipher, 32, RandomMasks(4, 9), kernel);
      const std::vector<uint8_t> clear = RandomBytes(100'004, random);
      std::vector<uint8_t> whole = clear;
      masks.Apply(0, whole);
      std::vector<uint8_t> parts = clear;
      for (size_t at = 0; at < parts.size();) {
        const size_t n = std::min<size_t>(4 * random.Below(5000), parts.size() - at);
        masks.Apply(at, std::span(parts).subspan(at, n));
        at += n;
      }
      EXPECT_EQ(parts, whole);
    }
  }
}

TEST(Mask, AnyNumberOfThreadsGivesTheSameVector) {
  const size_t size = (3u << 20) + 12;
  SeededRandom random(5);
  const std::vector<uint8_t> clear = RandomBytes(size, random);
  const MaskSet masks(MaskCipher::kAes128Ctr, 32, RandomMasks(3, 2));
  std::vector<uint8_t> whole = clear;
  masks.Apply(0, whole);
  for (const unsigned threads : {0u, 1u, 2u, 3u, 8u, 33u}) {
    std::vector<uint8_t> vector = clear;
    std::vector<uint64_t> reports;
    ApplyParallel(masks, vector, threads, [&reports](uint64_t done) { reports.push_back(done); });
    EXPECT_EQ(vector, whole) << threads;
    ASSERT_FALSE(reports.empty());
    EXPECT_TRUE(std::is_sorted(reports.begin(), reports.end()));
    EXPECT_EQ(reports.back(), size);
  }
  std::vector<uint8_t> empty;
  ApplyParallel(masks, empty, 4);
}

TEST(Mask, OneSetServesManyThreads) {
  SeededRandom random(6);
  const std::vector<uint8_t> clear = RandomBytes(200'000, random);
  for (const MaskKernel kernel : KernelsHere()) {
    const MaskSet masks(MaskCipher::kAes256Ctr, 16, RandomMasks(40, 2), kernel);
    std::vector<uint8_t> expected = clear, vector = clear;
    masks.Apply(0, expected);
    ApplyParallel(masks, vector, 4);
    EXPECT_EQ(vector, expected);
  }
}

}  // namespace
}  // namespace muster::secagg
