// A seed is a history: the same one, to the byte, whatever was played before in the process.
#include <gtest/gtest.h>

#include <sstream>

#include "proto/core/log.h"
#include "tests/sim/history.h"

namespace muster::sim {
namespace {

class Replay : public testing::Test {
 protected:
  Replay() { SetLogLevel(static_cast<LogLevel>(1 + static_cast<int>(LogLevel::kError))); }
  static std::string TraceOf(uint64_t seed) {
    std::ostringstream trace;
    const HistoryResult result = Play({.seed = seed, .trace = &trace});
    EXPECT_EQ(result.failure, "") << "seed=" << seed;
    EXPECT_EQ(result.hash, Sha256(trace.str())) << "the hash is that of the whole trace";
    return trace.str();
  }
};

TEST_F(Replay, ASeedReplaysToTheByte) {
  std::vector<std::string> traces;
  constexpr uint64_t kSeeds = 20;  // with SQLite among them
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) traces.push_back(TraceOf(seed));
  for (uint64_t seed = kSeeds; seed >= 1; --seed) {
    const std::string again = TraceOf(seed);
    ASSERT_TRUE(again == traces[seed - 1]) << "seed=" << seed;
    EXPECT_GT(again.size(), 1000u) << "seed=" << seed;
  }
}

TEST_F(Replay, SeedsDiffer) { EXPECT_NE(TraceOf(1), TraceOf(2)); }

}  // namespace
}  // namespace muster::sim
