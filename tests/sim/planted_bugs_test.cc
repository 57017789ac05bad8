// Whether the simulation would find what it is there to find: each bug is planted between the
// driver and its store, never in the product, and must come to light within a thousand seeds.
#include <gmock/gmock.h>

#include <iostream>

#include "proto/core/log.h"
#include "tests/sim/history.h"

namespace muster::sim {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

class PlantedBug : public testing::Test {
 protected:
  static constexpr uint64_t kSeeds = 1000;

  PlantedBug() { SetLogLevel(static_cast<LogLevel>(1 + static_cast<int>(LogLevel::kError))); }

  // What the first history that breaks a promise says.
  static std::string Find(Plant plant) {
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      const HistoryResult result = Play({.seed = seed, .plant = plant});
      if (result.failure.empty()) continue;
      RecordProperty("seed", std::to_string(seed));
      std::cout << "found at seed=" << seed << ": " << result.failure << "\n";
      return result.failure;
    }
    return "not found";
  }
};

TEST_F(PlantedBug, AnAcknowledgementBeforeTheCommit) {
  EXPECT_THAT(Find(Plant::kEarlyAck), HasSubstr("acknowledged and is not durable"));
}

TEST_F(PlantedBug, ADoubleCount) {
  EXPECT_THAT(Find(Plant::kDoubleCount),
              AnyOf(HasSubstr("are said to count"), HasSubstr("the weights are not what"),
                    HasSubstr("the survivors are not those who count")));
}

TEST_F(PlantedBug, AChangedSetOfSurvivors) {
  EXPECT_THAT(Find(Plant::kChangedSurvivors),
              AnyOf(HasSubstr("changed"), HasSubstr("both secrets")));
}

TEST_F(PlantedBug, ALostTimer) {
  EXPECT_THAT(Find(Plant::kLostTimer), AnyOf(HasSubstr("is lost while it is")));
}

TEST_F(PlantedBug, NoneIsFoundWhereNoneIs) {
  EXPECT_EQ(Play({.seed = 1, .plant = Plant::kNone}).failure, "");
}

}  // namespace
}  // namespace muster::sim
