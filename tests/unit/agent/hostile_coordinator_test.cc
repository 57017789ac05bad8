// A coordinator that lies, on the real wire, against the real device: each lie is refused, the
// reason is said and reported, and nothing that it asked for is revealed.
#include <atomic>

#include "aggregation/secagg/graph.h"
#include "aggregation/secagg/transcript.h"
#include "tests/unit/agent/secure_fixture.h"

namespace muster {
namespace {

using secagg::Awaited;
using secagg::Mode;
using secagg::RosterView;
using secagg::SharesView;
using secagg::UnmaskRequest;
using testing::AnyOf;
using testing::HasSubstr;

struct LieCase {
  const char* name;
  Mode mode;
  // Changes what the victim is told; false: this answer is none to lie in.
  std::function<bool(const secagg::Roster& roster, Awaited& answer)> lie;
  const char* reason;      // part of what the victim says
  const char* never_sent;  // the method that the victim must not have called
};

template <typename Wanted>
std::function<bool(const secagg::Roster&, Awaited&)> In(
    std::function<void(const secagg::Roster&, Wanted&)> change) {
  return [change](const secagg::Roster& roster, Awaited& answer) {
    auto* wanted = std::get_if<Wanted>(&answer);
    if (wanted == nullptr) return false;
    change(roster, *wanted);
    return true;
  };
}

std::vector<LieCase> Lies() {
  const auto semi = Mode::kSemiHonest, malicious = Mode::kMalicious;
  return {
      {"ANeighboursKeyIsSubstituted", semi,
       In<RosterView>([](auto&, RosterView& v) { v.others[0].advert.mask_key[5] ^= 1; }),
       "is not in the roster", "Share"},
      {"ANeighboursSharingKeyIsSubstituted", semi,
       In<RosterView>([](auto&, RosterView& v) { v.others[1].advert.sharing_key[0] ^= 4; }),
       "is not in the roster", "Share"},
      {"ItsOwnEntryIsChanged", semi,
       In<RosterView>([](auto&, RosterView& v) { v.own.advert.mask_key[0] ^= 1; }),
       "roster's entry for this client", "Share"},
      {"TheRosterIsBelowTheMinimum", semi, In<RosterView>([](auto&, RosterView& v) {
         v.size = 3;
         v.neighbours = 2;
         v.others.resize(2);
         v.own.index = 2;
         v.others[0].index = 0;
         v.others[1].index = 1;
       }),
       "", "Share"},
      {"TheThresholdIsWeak", semi, In<RosterView>([](auto&, RosterView& v) { v.threshold = 1; }),
       "threshold", "Share"},
      {"TheGraphIsAbsurd", semi, In<RosterView>([](auto&, RosterView& v) {
         v.size = 1000;
         v.neighbours = 4;
         v.threshold = 3;
       }),
       "", "Share"},
      {"ItsOwnSharesAreReflected", semi, In<SharesView>([](auto&, SharesView& v) {
         v.shares[0].ciphertext = v.shares[1].ciphertext;
       }),
       "the shares of", "SubmitMasked"},
      {"TwoSendersSharesAreSwapped", semi, In<SharesView>([](auto&, SharesView& v) {
         std::swap(v.shares[0].ciphertext, v.shares[1].ciphertext);
         std::swap(v.shares[0].commitment, v.shares[1].commitment);
         std::swap(v.shares[0].signature, v.shares[1].signature);
       }),
       "the commitment of", "SubmitMasked"},
      {"ACommitmentIsInvented", semi,
       In<SharesView>([](auto&, SharesView& v) { v.shares[0].commitment = Sha256("x"); }),
       "the commitment of", "SubmitMasked"},
      {"TooFewSharedWithIt", semi, In<SharesView>([](auto&, SharesView& v) { v.shares.resize(1); }),
       "", "SubmitMasked"},
      {"ItIsNotAmongTheSurvivors", semi,
       In<UnmaskRequest>([](const secagg::Roster& roster, UnmaskRequest& r) {
         r.survivors = secagg::MakeSet(roster.size());
         for (uint32_t i = 1; i < roster.size(); ++i) secagg::Insert(r.survivors, i);
       }),
       "is not among the survivors", "Unmask"},
      {"TheSurvivorsAreBelowTheMinimum", semi,
       In<UnmaskRequest>([](const secagg::Roster& roster, UnmaskRequest& r) {
         r.survivors = secagg::MakeSet(roster.size());
         for (uint32_t i = 0; i < 3; ++i) secagg::Insert(r.survivors, i);
       }),
       "", "Unmask"},
      {"OthersSurvivorsThanTheyAgreedOn", malicious,
       In<UnmaskRequest>([](const secagg::Roster& roster, UnmaskRequest& r) {
         r.survivors = secagg::MakeSet(roster.size());
         for (uint32_t i = 0; i + 1 < roster.size(); ++i) secagg::Insert(r.survivors, i);
       }),
       "", "Unmask"},
      {"NoNeighbourAgreed", malicious,
       In<UnmaskRequest>([](auto&, UnmaskRequest& r) { r.consents.clear(); }), "", "Unmask"},
      {"AConsentIsForged", malicious, In<UnmaskRequest>([](auto&, UnmaskRequest& r) {
         r.consents[0].signature = r.consents[1].signature;
       }),
       "the consent of", "Unmask"},
  };
}

class HostileCoordinator : public SecureFixture, public testing::WithParamInterface<LieCase> {};

INSTANTIATE_TEST_SUITE_P(Lies, HostileCoordinator, testing::ValuesIn(Lies()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(HostileCoordinator, IsRefusedWithTheReason) {
  const LieCase& given = GetParam();
  Start(MakeParams(given.mode));
  const DeviceId victim = devices_[0]->id();
  std::atomic<bool> told{false};
  fleet_->TellLies([&](const DeviceId& client, Awaited& answer) {
    if (client == victim && given.lie(fleet_->roster(), answer)) told = true;
  });
  SendAll();
  EXPECT_TRUE(told);
  const std::vector<secagg::Refusal> refusals = fleet_->refusals();
  ASSERT_GE(refusals.size(), 1u);
  EXPECT_THAT(refusals[0].reason, HasSubstr(given.reason));
  EXPECT_FALSE(refusals[0].reason.empty());
  EXPECT_THAT(devices_[0]->Outcome(), testing::StartsWith("given up: "));
  EXPECT_TRUE(fleet_->Sent(given.never_sent, victim).empty());
}

// The same device is asked twice, the second time for another set: what a coordinator would need
// for both shares of one client. A restart in between changes nothing.
TEST_F(SecureFixture, ASecondSetOfSurvivorsIsNeverAnswered) {
  Start(MakeParams());
  SecureDevice& victim = *devices_[0];
  // The first answer is lost after it counted, so that the device asks again after its restart.
  fleet_->Fail("Unmask", victim.id(), 100, /*counts=*/true);
  std::atomic<bool> swap{false};
  fleet_->TellLies([&](const DeviceId& client, Awaited& answer) {
    auto* request = std::get_if<UnmaskRequest>(&answer);
    if (request == nullptr || client != victim.id() || !swap) return;
    request->survivors = secagg::MakeSet(fleet_->roster().size());
    for (uint32_t i = 0; i + 1 < kDevices; ++i) secagg::Insert(request->survivors, i);
  });
  {
    std::vector<std::jthread> others;
    for (size_t i = 1; i < kDevices; ++i) {
      others.emplace_back([this, i] { EXPECT_TRUE(devices_[i]->Send().ok()); });
    }
    EXPECT_FALSE(victim.Send().ok());
  }
  swap = true;
  fleet_->Fail("Unmask", victim.id(), 0, false);
  victim.Restart();
  victim.Connect(*fleet_);
  victim.Send().IgnoreError();
  const std::vector<std::string> sent = fleet_->Sent("Unmask", victim.id());
  ASSERT_FALSE(sent.empty());
  for (const std::string& bytes : sent) EXPECT_EQ(bytes, sent[0]);
}

}  // namespace
}  // namespace muster
