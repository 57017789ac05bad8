#include "coordinator/identity/join_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(JoinToken, ParsesBackToItsIdAndHash) {
  SystemRandom random;
  JoinToken token = MintJoinToken(random);
  EXPECT_THAT(token.text, StartsWith("mjt_" + token.id.value() + "_"));
  auto parsed = ParseJoinToken(token.text);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->id, token.id);
  EXPECT_TRUE(SameSecretHash(parsed->secret_hash, token.secret_hash));
}

TEST(JoinToken, CarriesTwoHundredFiftySixSecretBitsOfItsOwn) {
  SystemRandom random;
  JoinToken a = MintJoinToken(random), b = MintJoinToken(random);
  EXPECT_EQ(a.text.size() - a.text.rfind('_') - 1, 64u);
  EXPECT_NE(a.text, b.text);
  EXPECT_FALSE(SameSecretHash(a.secret_hash, b.secret_hash));
}

TEST(JoinToken, StoredHashIsNoPlainHashOfTheSecret) {
  SystemRandom random;
  JoinToken token = MintJoinToken(random);
  const std::string secret = token.text.substr(token.text.rfind('_') + 1);
  EXPECT_NE(token.secret_hash, Sha256(secret));
  EXPECT_NE(token.secret_hash, Sha256(*HexDecode(secret)));
  EXPECT_NE(token.secret_hash, Sha256(token.text));
}

TEST(JoinToken, ASecretCountsOnlyUnderItsOwnId) {
  SystemRandom random;
  JoinToken a = MintJoinToken(random), b = MintJoinToken(random);
  const std::string mixed = "mjt_" + b.id.value() + a.text.substr(a.text.rfind('_'));
  EXPECT_NE(ParseJoinToken(mixed)->secret_hash, a.secret_hash);
}

TEST(JoinToken, RefusesEveryOtherFormWithoutRepeatingIt) {
  SystemRandom random;
  const std::string good = MintJoinToken(random).text;
  std::string upper = good, underscore = good;
  upper.back() = 'F';
  underscore[4 + 16] = '-';
  for (const std::string& bad : {std::string(), std::string("mjt_"), good.substr(1), good + "0",
                                 good.substr(0, good.size() - 1), " " + good, upper, underscore}) {
    absl::Status status = ParseJoinToken(bad).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(good.substr(25, 20))));
  }
}

}  // namespace
}  // namespace muster
