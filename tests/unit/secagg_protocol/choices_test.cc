#include <algorithm>
#include <set>

#include "aggregation/secagg/coordinator/recover.h"
#include "tests/unit/secagg_protocol/expect.h"

namespace muster::secagg {
namespace {

using testing::ElementsAre;

TEST(RecoveryChoices, TakeTheFirstOnesFirst) {
  for (const auto& [count, size] : {std::pair{5u, 3u}, {9u, 9u}, {57u, 30u}, {300u, 299u}}) {
    const std::vector<uint32_t> first = ChoicesOf(count, size).front();
    ASSERT_EQ(first.size(), size);
    for (uint32_t i = 0; i < size; ++i) EXPECT_EQ(first[i], i);
  }
}

TEST(RecoveryChoices, AreAllOfThemWhereTheyAreFew) {
  EXPECT_THAT(ChoicesOf(3, 2),
              ElementsAre(ElementsAre(0, 1), ElementsAre(0, 2), ElementsAre(1, 2)));
  const auto choices = ChoicesOf(8, 5);
  EXPECT_EQ(std::set(choices.begin(), choices.end()).size(), 56u);
}

TEST(RecoveryChoices, AreNoMoreThanTheBound) {
  for (const auto& [count, size] : {std::pair{100u, 99u}, {57u, 30u}, {1000u, 3u}, {66u, 64u}}) {
    const auto choices = ChoicesOf(count, size);
    EXPECT_EQ(choices.size(), kRecoveryTries);
    for (const auto& choice : choices) {
      EXPECT_EQ(choice.size(), size);
      EXPECT_TRUE(std::is_sorted(choice.begin(), choice.end()));
      EXPECT_EQ(std::set(choice.begin(), choice.end()).size(), size);
      EXPECT_LT(choice.back(), count);
    }
  }
}

TEST(RecoveryChoices, AvoidAnyOneBadShare) {
  for (const auto& [count, size] : {std::pair{64u, 63u}, {57u, 30u}, {100u, 98u}, {400u, 390u}}) {
    const auto choices = ChoicesOf(count, size);
    for (uint32_t bad = 0; bad < count; ++bad) {
      EXPECT_TRUE(std::any_of(choices.begin(), choices.end(),
                              [bad](const auto& choice) {
                                return !std::binary_search(choice.begin(), choice.end(), bad);
                              }))
          << bad << " of " << count;
    }
  }
}

TEST(RecoveryChoices, AreNoneOfTooFew) {
  EXPECT_TRUE(ChoicesOf(2, 3).empty());
  EXPECT_TRUE(ChoicesOf(3, 0).empty());
}

}  // namespace
}  // namespace muster::secagg
