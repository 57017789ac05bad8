// Every way in which up to six clients can drop out of a session: the unmasked sum is exactly the
// plain sum of those whose vectors came, or the session ends with a reason; and which of the two
// follows from counting alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "tests/support/secagg_session.h"

namespace muster::secagg {
namespace {

constexpr uint32_t kMinimum = 4;

// Plays all patterns of one number of clients, each step once for all patterns that begin alike.
class EveryPattern {
 public:
  EveryPattern(uint32_t clients, Mode mode)
      : mode_(mode),
        session_({.clients = clients, .min_clients = kMinimum, .mode = mode, .dimension = 3}) {
    std::vector<uint32_t> everybody(clients);
    std::iota(everybody.begin(), everybody.end(), 0u);
    Branch(session_, everybody);
    // Nobody begins, or goes on as far as each of the steps.
    EXPECT_EQ(patterns_, Power(Steps() + 1, clients));
  }
  uint64_t sums() const { return sums_; }

 private:
  size_t Steps() const { return mode_ == Mode::kMalicious ? 5 : 4; }
  static uint64_t Power(uint64_t base, size_t exponent) {
    uint64_t power = 1;
    while (exponent-- > 0) power *= base;
    return power;
  }

  // Of `alive`, which took every step so far, each set may take the next one.
  void Branch(const SecAggSession& before, const std::vector<uint32_t>& alive) {
    for (uint32_t set = 0; set < 1u << alive.size(); ++set) {
      std::vector<uint32_t> takers;
      for (size_t i = 0; i < alive.size(); ++i) {
        if ((set >> i & 1) != 0) takers.push_back(alive[i]);
      }
      SecAggSession session = before;
      taken_.push_back(takers);
      const absl::Status status = Step(session);
      SCOPED_TRACE(Describe());
      EXPECT_EQ(status.ok(), ShouldGoOn(session.params)) << status;
      if (status.ok() && taken_.size() < Steps()) {
        Branch(session, takers);
      } else {
        // When the takers would have dropped out later makes no difference any more.
        patterns_ += Power(Steps() + 1 - taken_.size(), takers.size());
        CheckEnd(session, status);
      }
      taken_.pop_back();
    }
  }

  absl::Status Step(SecAggSession& session) const {
    const SecAggSession::Takes takes = [this](uint32_t client) {
      return std::binary_search(taken_.back().begin(), taken_.back().end(), client);
    };
    if (taken_.size() == 1) return session.Advertise(takes);
    if (taken_.size() == 2) return session.Share(takes);
    if (taken_.size() == 3) return session.Mask(takes);
    if (taken_.size() < Steps()) {
      session.Consent(takes);
      return absl::OkStatus();
    }
    session.Answer(takes);
    return session.Finish();
  }

  // By counting alone, as everybody is everybody's neighbour: each secret needs t holders, and
  // nobody holds a share of its own.
  bool ShouldGoOn(const Params& params) const {
    const auto roster = static_cast<uint32_t>(taken_[0].size());
    const size_t now = taken_.back().size();
    const bool asked = mode_ == Mode::kMalicious && taken_.size() == 4;
    if (asked) return true;  // too few consents show when it comes to answers
    if (roster < kMinimum) return false;
    if (taken_.size() == 1) return true;
    const size_t threshold = PlanGraph(AssumptionsOf(params, roster))->threshold;
    if (taken_.size() < Steps()) return now >= kMinimum && now - 1 >= threshold;
    return now > threshold;
  }

  void CheckEnd(SecAggSession& session, const absl::Status& status) {
    if (!status.ok()) {
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
      EXPECT_FALSE(status.message().empty());
      return;
    }
    ++sums_;
    EXPECT_TRUE(session.refusals.empty());
    EXPECT_EQ(session.sum().clients(), taken_[2].size());
    EXPECT_EQ(session.sum(), session.Expected());
  }

  std::string Describe() const {
    std::string text = mode_ == Mode::kMalicious ? "malicious" : "semi-honest";
    for (const auto& takers : taken_) StrAppend(&text, " {", StrJoin(takers, " "), "}");
    return text;
  }

  Mode mode_;
  SecAggSession session_;
  std::vector<std::vector<uint32_t>> taken_;  // who took each step so far
  uint64_t patterns_ = 0, sums_ = 0;
};

TEST(DropoutPatterns, OfUpToThreeClientsNeverRevealASum) {
  for (const Mode mode : {Mode::kSemiHonest, Mode::kMalicious}) {
    for (uint32_t clients = 1; clients <= 3; ++clients) {
      EXPECT_EQ(EveryPattern(clients, mode).sums(), 0u);
    }
  }
}

TEST(DropoutPatterns, OfFourClients) {
  EXPECT_GT(EveryPattern(4, Mode::kSemiHonest).sums(), 0u);
  EXPECT_GT(EveryPattern(4, Mode::kMalicious).sums(), 0u);
}

TEST(DropoutPatterns, OfFiveClientsInSemiHonestMode) {
  EXPECT_GT(EveryPattern(5, Mode::kSemiHonest).sums(), 0u);
}

TEST(DropoutPatterns, OfFiveClientsInMaliciousMode) {
  EXPECT_GT(EveryPattern(5, Mode::kMalicious).sums(), 0u);
}

TEST(DropoutPatterns, OfSixClients) {
  EXPECT_GT(EveryPattern(6, Mode::kSemiHonest).sums(), 0u);
  EXPECT_GT(EveryPattern(6, Mode::kMalicious).sums(), 0u);
}

// At every point where a party stores something, all parties lose their memory.
TEST(CrashAndReplay, GivesTheSameBytesAtEveryStep) {
  for (const Mode mode : {Mode::kSemiHonest, Mode::kMalicious}) {
    for (const LastStep drop : {LastStep::kNothing, LastStep::kAdvertise, LastStep::kShare,
                                LastStep::kMasked, LastStep::kUnmask}) {
      std::vector<LastStep> last(10, LastStep::kUnmask);
      last[7] = drop;
      SecAggSession steady({.clients = 10, .mode = mode});
      SecAggSession crashing({.clients = 10, .mode = mode, .crashes = true});
      ASSERT_TRUE(steady.Run(last).ok());
      ASSERT_TRUE(crashing.Run(last).ok());
      EXPECT_EQ(crashing.roster().sid(), steady.roster().sid());
      EXPECT_EQ(crashing.bundles, steady.bundles);
      EXPECT_EQ(crashing.reports, steady.reports);
      EXPECT_EQ(crashing.consents, steady.consents);
      EXPECT_EQ(crashing.replies, steady.replies);
      EXPECT_EQ(crashing.sum(), steady.sum());
      EXPECT_EQ(crashing.sum(), crashing.Expected());
    }
  }
}

TEST(OrderOfArrival, AndCutsIntoChunksDoNotMatter) {
  std::optional<RingSum> first;
  for (uint64_t arrival = 1; arrival <= 10; ++arrival) {
    SecAggSession session({.clients = 8, .dimension = 1000, .arrival_seed = arrival});
    ASSERT_TRUE(session.Run().ok());
    if (!first) first = session.sum();
    EXPECT_EQ(session.sum(), *first);
  }
}

}  // namespace
}  // namespace muster::secagg
