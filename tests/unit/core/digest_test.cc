#include "proto/core/digest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "proto/core/strings.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

// The examples of FIPS 180-4 (from the standard's companion of example values).
constexpr char kEmpty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kTwoBlocks[] = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
constexpr char kMillionA[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256, AnswersTheStandardsExamples) {
  EXPECT_EQ(Sha256("").hex(), kEmpty);
  EXPECT_EQ(Sha256("abc").hex(), kAbc);
  EXPECT_EQ(Sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex(), kTwoBlocks);
  EXPECT_EQ(Sha256(std::string(1'000'000, 'a')).hex(), kMillionA);
}

TEST(Sha256, DoesNotDependOnHowTheBytesAreCut) {
  for (size_t piece : {1u, 3u, 63u, 64u, 65u, 1000u}) {
    Sha256Hasher hasher;
    const std::string text(1'000'000, 'a');
    for (size_t i = 0; i < text.size(); i += piece) {
      hasher.Update(std::string_view(text).substr(i, piece));
    }
    EXPECT_EQ(hasher.Finish().hex(), kMillionA) << piece;
  }
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "digest_test_file";
  std::ofstream(path, std::ios::binary) << std::string(1'000'000, 'a');
  EXPECT_EQ(Sha256File(path)->hex(), kMillionA);
  std::filesystem::remove(path);
  const auto gone = Sha256File(path);
  EXPECT_EQ(gone.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(StdView(gone.status().message()), HasSubstr(path.string()));
}

TEST(Digest, HexAndBytesRoundTrip) {
  const Digest digest = Sha256("abc");
  EXPECT_EQ(*Digest::FromHex(digest.hex()), digest);
  EXPECT_EQ(*Digest::FromBytes(digest.bytes()), digest);
  EXPECT_FALSE(digest.empty());
  EXPECT_TRUE(Digest().empty());
}

TEST(Digest, RefusesAnythingButSixtyFourLowerCaseHexDigits) {
  std::string upper = kAbc;
  upper[0] = 'B';
  std::string not_hex = kAbc;
  not_hex[5] = 'g';
  EXPECT_FALSE(Digest::FromHex("").ok());
  EXPECT_FALSE(Digest::FromHex(std::string(kAbc) + "0").ok());
  EXPECT_FALSE(Digest::FromHex(std::string(kAbc).substr(1)).ok());
  EXPECT_FALSE(Digest::FromHex(upper).ok());
  EXPECT_THAT(StdView(Digest::FromHex(not_hex).status().message()), HasSubstr("position 5"));
  EXPECT_FALSE(Digest::FromBytes(std::string(31, 'x')).ok());
  EXPECT_FALSE(Digest::FromBytes(std::string(33, 'x')).ok());
}

TEST(Hex, RoundTripsEveryByteAndRefusesHalfOnes) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(*HexDecode(HexEncode(all)), all);
  EXPECT_EQ(HexEncode(std::string("\x00\xff\x0a", 3)), "00ff0a");
  EXPECT_FALSE(HexDecode("abc").ok());
  EXPECT_FALSE(HexDecode("0G").ok());
}

}  // namespace
}  // namespace muster
