#include "tests/support/secagg_session.h"
#include "tests/unit/secagg_protocol/expect.h"

namespace muster::secagg {
namespace {

class MaskedPhase : public testing::Test {
 protected:
  MaskedPhase() {
    EXPECT_TRUE(session_.Advertise().ok());
    EXPECT_TRUE(session_.Share().ok());
    view_ = session_.SharesOf(2);
  }
  absl::StatusOr<Masking> ClientSays() {
    return PrepareMasks(session_.params, std::get<Shared>(session_.clients[2].state), view_,
                        session_.notary);
  }

  SecAggSession session_{SecAggOptions{.clients = 6}};
  SharesView view_;  // of client 2
};

TEST_F(MaskedPhase, TheLowerIndexAddsAndTheHigherSubtracts) {
  const auto masking = ClientSays();
  ASSERT_TRUE(masking.ok()) << masking.status();
  ASSERT_EQ(masking->masks.size(), 6u);
  const bool subtracts[] = {true, true, false, false, false, false};  // 0, 1, 3, 4, 5, self
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(masking->masks[i].subtract, subtracts[i]) << i;
  ASSERT_EQ(masking->next.held.size(), 5u);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(masking->next.held[i].index, i < 2 ? i : i + 1);
}

TEST_F(MaskedPhase, BothEndsOfAPairDeriveTheSameMask) {
  const Masking one = *ClientSays();
  const Masking other = PrepareMasks(session_.params, std::get<Shared>(session_.clients[3].state),
                                     session_.SharesOf(3), session_.notary)
                            .value();
  EXPECT_TRUE(one.masks[2].key.ConstantTimeEquals(other.masks[2].key));  // 2 with 3, 3 with 2
  EXPECT_FALSE(one.masks[1].key.ConstantTimeEquals(other.masks[1].key));
  EXPECT_FALSE(one.masks[5].key.ConstantTimeEquals(other.masks[5].key));  // the self masks
}

TEST_F(MaskedPhase, ClientRefusesASenderThatIsNoNeighbour) {
  view_.shares[0].index = 2;
  ExpectRefusal(ClientSays(), kInvalid, "from client 2, which is no neighbour");
  view_.shares[0].index = 99;
  ExpectRefusal(ClientSays(), kInvalid, "from client 99, which is no neighbour");
}

TEST_F(MaskedPhase, ClientRefusesASenderThatComesTwice) {
  view_.shares[1] = view_.shares[0];
  ExpectRefusal(ClientSays(), kInvalid, "client 'c00000' (index 0) come twice");
}

TEST_F(MaskedPhase, ClientRefusesFewerThanTheThreshold) {
  view_.shares.resize(4);
  EXPECT_TRUE(ClientSays().ok());
  view_.shares.resize(3);
  ExpectRefusal(ClientSays(), kPrecondition,
                "3 of this client's 5 neighbours sent shares, fewer than the threshold of 4");
}

TEST_F(MaskedPhase, ClientRefusesACommitmentThatIsNotSigned) {
  view_.shares[4].commitment = Sha256("another");
  ExpectRefusal(ClientSays(), kUnauthenticated, "the commitment of client 'c00005'");
}

TEST_F(MaskedPhase, ClientRefusesABoxThatIsNotItsOwn) {
  std::swap(view_.shares[0].ciphertext, view_.shares[1].ciphertext);
  ExpectRefusal(ClientSays(), kUnauthenticated, "the shares of client 'c00000'");
}

TEST_F(MaskedPhase, ClientRefusesOtherParametersThanBefore) {
  session_.params.clip /= 2;
  ExpectRefusal(ClientSays(), kPrecondition, "not those that this client's session began with");
}

TEST_F(MaskedPhase, AReportNamesItsVector) {
  ExpectRefusal(FinishMasked(*ClientSays(), Digest(), session_.clients[2].signer), kInvalid,
                "name its vector");
}

TEST_F(MaskedPhase, CoordinatorRefusesReportsThatDoNotFit) {
  const auto report = [this](SharesView view) {
    view_ = std::move(view);
    return FinishMasked(*ClientSays(), Sha256("vector"), session_.clients[2].signer)->report;
  };
  const auto says = [this](const MaskedReport& given, uint32_t index = 2) {
    return CheckMasked(session_.roster(), session_.sharers, index, given, session_.notary);
  };
  const SharesView all = view_;
  SharesView fewer = view_;
  fewer.shares.pop_back();
  const MaskedReport good = report(all);
  EXPECT_TRUE(says(good).ok()) << says(good);
  ExpectRefusal(says(report(fewer)), kInvalid, "other neighbours than the 5");
  MaskedReport changed = good;
  changed.vector = Sha256("another");
  ExpectRefusal(says(changed), kUnauthenticated, "the signature of client 'c00002'");
  changed.vector = Digest();
  ExpectRefusal(says(changed), kInvalid, "without its digest");
  ExpectRefusal(says(good, 3), kInvalid, "other neighbours");
  ExpectRefusal(says(good, 6), kInvalid, "there is no client 6");
}

TEST_F(MaskedPhase, CoordinatorRefusesAReportFromOutsideU1) {
  const MaskedReport good =
      FinishMasked(*ClientSays(), Sha256("vector"), session_.clients[2].signer)->report;
  ClientSet sharers = MakeSet(6);
  for (const uint32_t i : {0u, 1u, 3u, 4u, 5u}) Insert(sharers, i);
  ExpectRefusal(CheckMasked(session_.roster(), sharers, 2, good, session_.notary), kInvalid,
                "is not among the sharers");
}

TEST_F(MaskedPhase, CoordinatorGivesUpBelowTheMinimum) {
  ClientSet reported = MakeSet(6);
  for (const uint32_t i : {0u, 1u, 2u}) Insert(reported, i);
  ExpectRefusal(FreezeSurvivors(session_.roster(), session_.sharers, reported), kPrecondition,
                "3 of 6 clients sent masked vectors, but the session needs at least 4");
}

TEST_F(MaskedPhase, CoordinatorGivesUpEarlyWhereNoSharesCouldEverSuffice) {
  ClientSet reported = MakeSet(6);
  for (const uint32_t i : {0u, 1u, 2u, 3u}) Insert(reported, i);
  ExpectRefusal(FreezeSurvivors(session_.roster(), session_.sharers, reported), kPrecondition,
                "3 neighbours of client 'c00000' (index 0) sent masked vectors");
}

TEST_F(MaskedPhase, CoordinatorRefusesSurvivorsThatNeverShared) {
  ClientSet sharers = MakeSet(6), reported = MakeSet(6);
  for (uint32_t i = 0; i < 5; ++i) Insert(sharers, i);
  for (uint32_t i = 1; i < 6; ++i) Insert(reported, i);
  ExpectRefusal(FreezeSurvivors(session_.roster(), sharers, reported), kInvalid,
                "client 'c00005' (index 5) is among the survivors but never shared");
}

}  // namespace
}  // namespace muster::secagg
