// Sessions of up to 200 clients, drawn from a seed: mode, cipher, ring, dropouts at any step, order
// of arrival, chunks, crashes after every step, and answers with wrong shares. Whatever happens:
//   - the unmasked sum is exactly the plain sum of the survivors' vectors, or the session ends with
//     a reason and the sum stays masked
//   - it does not end if no more clients dropped out than it was planned for, and all told the
//   truth
// MUSTER_SIM_SEEDS sets how many seeds are played, MUSTER_SIM_SEED plays one; a failure prints
// seed=.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "tests/support/secagg_session.h"

namespace muster::secagg {
namespace {

constexpr uint64_t kDefaultSeeds = 100;

struct Plan {
  SecAggOptions options;
  std::vector<LastStep> last;
  uint32_t dropped = 0;  // after they advertised
  uint32_t liars = 0;    // that answer with wrong shares
};

Plan Draw(uint64_t seed) {
  SeededRandom dice(seed);
  Plan plan;
  SecAggOptions& options = plan.options;
  // Most sessions are small, and quickly played.
  options.clients =
      static_cast<uint32_t>(dice.Below(40) == 0 ? 20 + dice.Below(181) : 4 + dice.Below(13));
  options.mode = dice.Below(2) == 0 ? Mode::kSemiHonest : Mode::kMalicious;
  options.cipher = std::array{MaskCipher::kAes128Ctr, MaskCipher::kAes256Ctr,
                              MaskCipher::kChaCha20}[dice.Below(3)];
  options.ring_bits = std::array{16u, 32u, 64u}[dice.Below(3)];
  options.dimension = 1 + dice.Below(300);
  options.drop = 0.1 + 0.15 * dice.Unit();
  options.corrupt = 0.1 * dice.Unit();
  options.seed = seed;
  options.arrival_seed = dice.Next64();
  options.crashes = dice.Below(4) == 0;
  // From nobody to somewhat more than the session is planned for.
  const double rate = options.drop * 1.3 * dice.Unit();
  for (uint32_t i = 0; i < options.clients; ++i) {
    LastStep last = LastStep::kUnmask;
    if (dice.Unit() < rate) last = static_cast<LastStep>(dice.Below(5));
    if (last != LastStep::kNothing && last != LastStep::kUnmask) ++plan.dropped;
    plan.last.push_back(last);
  }
  if (dice.Below(3) == 0) plan.liars = static_cast<uint32_t>(dice.Below(3));
  return plan;
}

// The first ones to have answered reveal wrong shares.
uint32_t Lie(SecAggSession& session, uint32_t liars) {
  uint32_t lied = 0;
  for (auto& [index, reply] : session.replies) {
    if (lied == liars) break;
    for (auto* shares : {&reply.self_shares, &reply.key_shares}) {
      for (RevealedShare& share : *shares) share.share[index % 32] ^= 1;
    }
    ++lied;
  }
  return lied;
}

class SessionSimulation : public testing::Test {
 protected:
  void Play(uint64_t seed) {
    const Plan plan = Draw(seed);
    SecAggSession session(plan.options);
    const absl::Status status = PlaySteps(session, plan);
    if (status.ok()) {
      ++sums_;
      EXPECT_EQ(session.sum(), session.Expected());
      return;
    }
    EXPECT_FALSE(status.message().empty());
    EXPECT_TRUE(status.code() == absl::StatusCode::kFailedPrecondition ||
                (plan.liars > 0 && status.code() == absl::StatusCode::kDataLoss))
        << status;
    // The roster may be too small to be safe at all; after that only dropouts are an excuse.
    if (frozen_ && plan.liars == 0) {
      EXPECT_GT(plan.dropped, std::floor(plan.options.drop * session.roster().size())) << status;
    }
  }

  uint64_t sums_ = 0;

 private:
  absl::Status PlaySteps(SecAggSession& session, const Plan& plan) {
    const auto until = [&plan](LastStep step) -> SecAggSession::Takes {
      return [&plan, step](uint32_t client) { return plan.last[client] >= step; };
    };
    frozen_ = false;
    MUSTER_RETURN_IF_ERROR(session.Advertise(until(LastStep::kAdvertise)));
    frozen_ = true;
    MUSTER_RETURN_IF_ERROR(session.Share(until(LastStep::kShare)));
    MUSTER_RETURN_IF_ERROR(session.Mask(until(LastStep::kMasked)));
    if (plan.options.mode == Mode::kMalicious) session.Consent(until(LastStep::kConsent));
    session.Answer(until(LastStep::kUnmask));
    ClientSet answered = MakeSet(session.roster().size());
    for (const auto& [index, reply] : session.replies) Insert(answered, index);
    const bool enough = CanRecover(session.roster(), session.sharers, session.survivors, answered);
    const uint32_t lied = Lie(session, plan.liars);
    const RingSum before = session.sum();
    const absl::Status status = session.Finish();
    if (!status.ok()) {
      EXPECT_EQ(session.sum(), before) << "a failed unmasking changed the sum";
    }
    if (lied == 0) {
      EXPECT_EQ(status.ok(), enough) << status;
    }
    return status;
  }

  bool frozen_ = false;
};

TEST_F(SessionSimulation, GivesThePlainSumOrEndsWithAReason) {
  const char* one = std::getenv("MUSTER_SIM_SEED");
  const char* many = std::getenv("MUSTER_SIM_SEEDS");
  const uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const uint64_t count = one != nullptr    ? 1
                         : many != nullptr ? std::strtoull(many, nullptr, 10)
                                           : kDefaultSeeds;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    Play(seed);
    if (HasFailure()) return;
  }
  if (count >= 20) {
    EXPECT_GE(sums_, count / 2) << "few sessions give a sum: the dice are too hostile";
  }
}

}  // namespace
}  // namespace muster::secagg
