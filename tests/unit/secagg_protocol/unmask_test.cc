#include "tests/support/secagg_session.h"
#include "tests/unit/secagg_protocol/expect.h"

namespace muster::secagg {
namespace {

ClientSet SetOf(uint32_t size, std::initializer_list<uint32_t> members) {
  ClientSet set = MakeSet(size);
  for (const uint32_t member : members) Insert(set, member);
  return set;
}

// Six clients, of which client 5 advertised and went. k = 5, t = 4.
class UnmaskPhase : public testing::Test {
 protected:
  explicit UnmaskPhase(Mode mode = Mode::kSemiHonest)
      : session_(SecAggOptions{.clients = 6, .mode = mode}) {
    EXPECT_TRUE(session_.Advertise().ok());
    EXPECT_TRUE(session_.Share([](uint32_t i) { return i != 5; }).ok());
    EXPECT_TRUE(session_.Mask().ok());
  }
  absl::StatusOr<Answered> ClientSays(const UnmaskRequest& request) {
    return secagg::Unmask(session_.params, session_.clients[0].state, request, session_.notary);
  }
  UnmaskRequest Good() {
    return RequestFor(session_.roster(), 0, session_.survivors, session_.consents);
  }

  SecAggSession session_;
};

class MaliciousUnmaskPhase : public UnmaskPhase {
 protected:
  MaliciousUnmaskPhase() : UnmaskPhase(Mode::kMalicious) {}
  const Masked& MaskedState() { return std::get<Masked>(session_.clients[0].state); }
  absl::StatusOr<Agreed> ClientAgrees(const ClientSet& survivors) {
    return Agree(session_.params, MaskedState(), survivors, session_.clients[0].signer);
  }
};

TEST_F(UnmaskPhase, SurvivorsMustBeASetThatTheClientCanAnswerFor) {
  const auto says = [this](ClientSet survivors) {
    return ClientSays({.survivors = std::move(survivors)});
  };
  ExpectRefusal(says("much too long"), kInvalid, "the set of surviving clients");
  ExpectRefusal(says(SetOf(6, {1, 2, 3, 4})), kPrecondition,
                "this client (index 0) is not among the survivors");
  ExpectRefusal(says(SetOf(6, {0, 1, 2})), kPrecondition, "3 clients survived, fewer than the 4");
  ExpectRefusal(says(SetOf(6, {0, 1, 2, 3, 4, 5})), kInvalid,
                "client 'c00005' (index 5) is among the survivors but sent this client no shares");
  ExpectRefusal(says(SetOf(6, {0, 1, 2, 3})), kPrecondition,
                "3 of this client's 5 neighbours survived, fewer than the threshold of 4");
  EXPECT_TRUE(says(SetOf(6, {0, 1, 2, 3, 4})).ok());
}

TEST_F(UnmaskPhase, SemiHonestRequestsCarryNoConsents) {
  UnmaskRequest request = Good();
  EXPECT_TRUE(request.consents.empty());
  request.consents.push_back({.index = 1, .signature = "x"});
  ExpectRefusal(ClientSays(request), kInvalid, "carries 1 consents");
}

TEST_F(UnmaskPhase, SemiHonestSurvivorsSignNothing) {
  ExpectRefusal(Agree(session_.params, std::get<Masked>(session_.clients[0].state),
                      session_.survivors, session_.clients[0].signer),
                kPrecondition, "semi-honest");
  ExpectRefusal(CheckConsent(session_.roster(), 0, session_.survivors, {}, session_.notary),
                kPrecondition, "semi-honest");
}

TEST_F(UnmaskPhase, OnlyAMaskedClientAnswers) {
  const UnmaskRequest request = Good();
  ClientState& state = session_.clients[0].state;
  state = *ClientSays(request);
  ExpectRefusal(ClientSays(request), kPrecondition, "in state 'answered'");
  state = Refused{.reason = "test"};
  ExpectRefusal(ClientSays(request), kPrecondition, "in state 'refused'");
}

TEST_F(UnmaskPhase, RepliesMustBeExactlyWhatWasAskedFor) {
  const UnmaskReply good = ClientSays(Good())->reply;
  const auto says = [this](const UnmaskReply& reply, uint32_t index = 0) {
    return CheckReply(session_.roster(), session_.sharers, session_.survivors, index, reply);
  };
  EXPECT_EQ(good.self_shares.size(), 4u);
  EXPECT_TRUE(good.key_shares.empty());
  UnmaskReply reply = good;
  std::reverse(reply.self_shares.begin(), reply.self_shares.end());
  EXPECT_TRUE(says(reply).ok()) << "any order will do";
  reply = good;
  reply.self_shares.pop_back();
  ExpectRefusal(says(reply), kInvalid, "sent 3 shares of self-mask seeds; it was asked for 4");
  reply = good;
  reply.self_shares[1] = reply.self_shares[0];
  ExpectRefusal(says(reply), kInvalid, "each once");
  reply = good;
  reply.self_shares[1].share.pop_back();
  ExpectRefusal(says(reply), kInvalid, "a share of 31 bytes; each has 32");
  reply = good;
  reply.key_shares.push_back(reply.self_shares[0]);
  ExpectRefusal(says(reply), kInvalid, "a share of the mask key of client 1, which it was not");
  ExpectRefusal(says(good, 1), kInvalid, "client 1, which it was not asked for");
  ExpectRefusal(says(good, 5), kInvalid, "answers but is not among the survivors");
  ExpectRefusal(says(good, 6), kInvalid, "there is no client 6");
}

TEST_F(UnmaskPhase, CanRecoverCountsTheHoldersThatAnswered) {
  const auto can = [this](std::initializer_list<uint32_t> answered) {
    return CanRecover(session_.roster(), session_.sharers, session_.survivors, SetOf(6, answered));
  };
  EXPECT_TRUE(can({0, 1, 2, 3, 4}));
  EXPECT_FALSE(can({0, 1, 2, 3}));  // three hold shares of client 0's seed
  EXPECT_FALSE(can({}));
}

TEST_F(MaliciousUnmaskPhase, AConsentIsForOneSetOfSurvivors) {
  const auto agreed = ClientAgrees(session_.survivors);
  ASSERT_TRUE(agreed.ok()) << agreed.status();
  EXPECT_TRUE(
      CheckConsent(session_.roster(), 0, session_.survivors, agreed->consent, session_.notary)
          .ok());
  EXPECT_TRUE(CheckRepeated(*agreed, session_.survivors).ok());
  ExpectRefusal(CheckRepeated(*agreed, SetOf(6, {0, 1, 2, 3, 4, 5})), kPrecondition,
                "consented to another set");
  ExpectRefusal(
      CheckConsent(session_.roster(), 0, SetOf(6, {0, 1, 2, 3}), agreed->consent, session_.notary),
      kUnauthenticated, "the signature of client 'c00000'");
  ExpectRefusal(
      CheckConsent(session_.roster(), 5, session_.survivors, agreed->consent, session_.notary),
      kInvalid, "is not among the survivors");
  ExpectRefusal(
      CheckConsent(session_.roster(), 6, session_.survivors, agreed->consent, session_.notary),
      kInvalid, "there is no client 6");
}

TEST_F(MaliciousUnmaskPhase, ConsentIsRefusedForWhatWouldNotBeAnswered) {
  ExpectRefusal(ClientAgrees(SetOf(6, {1, 2, 3, 4})), kPrecondition, "not among the survivors");
  ExpectRefusal(ClientAgrees(SetOf(6, {0, 1})), kPrecondition, "2 clients survived");
  ExpectRefusal(ClientAgrees(SetOf(6, {0, 1, 2, 3, 5})), kInvalid, "sent this client no shares");
  ExpectRefusal(ClientAgrees(SetOf(6, {0, 1, 2, 3})), kPrecondition, "fewer than the threshold");
}

TEST_F(MaliciousUnmaskPhase, WithoutConsentThereIsNoAnswer) {
  ExpectRefusal(ClientSays(Good()), kPrecondition,
                "in state 'masked' answers no unmask request; it must be in state 'agreed'");
}

TEST_F(MaliciousUnmaskPhase, FewerThanTheThresholdOfConsentsAreRefused) {
  session_.Consent();
  UnmaskRequest request = Good();
  ASSERT_EQ(request.consents.size(), 4u);
  EXPECT_TRUE(ClientSays(request).ok());
  request.consents.pop_back();
  ExpectRefusal(ClientSays(request), kPrecondition,
                "3 of this client's 5 neighbours signed these survivors, fewer than");
}

TEST_F(MaliciousUnmaskPhase, ForgedStrangeAndRepeatedConsentsAreRefused) {
  session_.Consent();
  UnmaskRequest request = Good();
  FlipBit(request.consents[2].signature);
  ExpectRefusal(ClientSays(request), kUnauthenticated, "the consent of client 'c00003'");
  request = Good();
  request.consents[3] = request.consents[2];
  ExpectRefusal(ClientSays(request), kInvalid, "the consent of client 'c00003' (index 3) comes");
  request = Good();
  request.consents[3].index = 5;
  ExpectRefusal(ClientSays(request), kInvalid, "client 5, which is no surviving neighbour");
  request.consents[3].index = 0;
  ExpectRefusal(ClientSays(request), kInvalid, "client 0, which is no surviving neighbour");
}

TEST(MaliciousCoordinator, CannotShowDifferentSurvivorsToDifferentClients) {
  SecAggSession session({.clients = 10, .mode = Mode::kMalicious});  // k = 9, t = 7
  ASSERT_TRUE(session.Advertise().ok() && session.Share().ok() && session.Mask().ok());
  const ClientSet all = session.survivors;
  ClientSet without_last = MakeSet(10);
  for (uint32_t i = 0; i < 9; ++i) Insert(without_last, i);
  std::vector<Consent> consents;
  ClientState victim;
  for (uint32_t i = 0; i < 9; ++i) {
    const auto& masked = std::get<Masked>(session.clients[i].state);
    auto agreed =
        Agree(session.params, masked, i < 5 ? all : without_last, session.clients[i].signer);
    ASSERT_TRUE(agreed.ok()) << "either set is fine by itself";
    consents.push_back(agreed->consent);
    if (i == 0) victim = *std::move(agreed);
  }
  const auto asks = [&](const ClientSet& survivors, uint32_t end) {
    UnmaskRequest request{.survivors = survivors};
    for (uint32_t i = 1; i < end; ++i) {
      request.consents.push_back({.index = i, .signature = consents[i].signature});
    }
    return Unmask(session.params, victim, request, session.notary);
  };
  ExpectRefusal(asks(all, 5), kPrecondition, "4 of this client's 9 neighbours signed");
  ExpectRefusal(asks(all, 9), kUnauthenticated, "the consent of client 'c00005'");
  ExpectRefusal(asks(without_last, 9), kPrecondition,
                "about other survivors than this client consented to");
}

// Enough clients for one to drop and one share to be bad.
class UnmaskedSum : public testing::Test {
 protected:
  UnmaskedSum() {
    EXPECT_TRUE(session_.Advertise().ok());
    EXPECT_TRUE(session_.Share().ok());
    EXPECT_TRUE(session_.Mask([](uint32_t i) { return i != 3; }).ok());
    session_.Answer();
  }
  void Break(std::vector<RevealedShare>& shares, uint32_t of) {
    for (RevealedShare& share : shares) {
      if (share.index == of) FlipBit(share.share, 100);
    }
  }
  void ExpectUnchanged(const absl::Status& status, absl::StatusCode code, const char* part) {
    ExpectRefusal(status, code, part);
    EXPECT_EQ(session_.sum(), *before_) << "a refused unmasking changed the sum";
  }

  SecAggSession session_{SecAggOptions{.clients = 10}};  // k = 9, t = 7
  std::optional<RingSum> before_;
};

TEST_F(UnmaskedSum, IsThePlainSumOfTheSurvivors) {
  EXPECT_NE(session_.sum(), session_.Expected());
  ASSERT_TRUE(session_.Finish().ok());
  EXPECT_EQ(session_.sum(), session_.Expected());
}

TEST_F(UnmaskedSum, IsTheSameOnAnyNumberOfThreads) {
  ASSERT_TRUE(session_.Finish(3).ok());
  EXPECT_EQ(session_.sum(), session_.Expected());
}

TEST_F(UnmaskedSum, ProgressEndsAtOne) {
  const auto commitments = session_.Commitments();
  double last = 0;
  ASSERT_TRUE(UnmaskSum({.roster = session_.roster(),
                         .sharers = session_.sharers,
                         .survivors = session_.survivors,
                         .commitments = commitments,
                         .replies = session_.replies},
                        session_.sum(), 1,
                        [&](double fraction) {
                          EXPECT_GE(fraction, last);
                          last = fraction;
                        })
                  .ok());
  EXPECT_EQ(last, 1);
}

TEST_F(UnmaskedSum, BadSharesAreSoughtOut) {
  for (const uint32_t liar : {0u, 6u}) {
    for (RevealedShare& share : session_.replies[liar].self_shares) FlipBit(share.share, 9);
  }
  Break(session_.replies[5].key_shares, 3);
  Break(session_.replies[8].key_shares, 3);
  // Eight holders of each seed answered and nine of the mask key; seven right shares are needed.
  before_ = session_.sum();
  ExpectUnchanged(session_.Finish(), absl::StatusCode::kDataLoss, "self-mask seed of client");
  for (RevealedShare& share : session_.replies[6].self_shares) FlipBit(share.share, 9);
  ASSERT_TRUE(session_.Finish().ok());
  EXPECT_EQ(session_.sum(), session_.Expected());
}

TEST_F(UnmaskedSum, ASecretThatCannotBeRecoveredNamesItsClientAndChangesNothing) {
  before_ = session_.sum();
  for (const uint32_t liar : {0u, 1u, 2u}) Break(session_.replies[liar].key_shares, 3);
  ExpectUnchanged(session_.Finish(), absl::StatusCode::kDataLoss,
                  "the mask key of client 'c00003' (index 3) cannot be recovered: 9 shares came, "
                  "and none of 36 choices of 7");
}

TEST_F(UnmaskedSum, TooFewSharesChangeNothing) {
  before_ = session_.sum();
  for (const uint32_t gone : {0u, 1u}) session_.replies.erase(gone);
  ExpectUnchanged(session_.Finish(), kPrecondition, "fewer than the threshold of 7");
}

TEST_F(UnmaskedSum, AMissingCommitmentChangesNothing) {
  before_ = session_.sum();
  session_.bundles.erase(7);
  ExpectUnchanged(session_.Finish(), kPrecondition, "the commitment of client 'c00007'");
}

TEST_F(UnmaskedSum, AReplyThatDoesNotFitChangesNothing) {
  before_ = session_.sum();
  session_.replies[7].self_shares.pop_back();
  ExpectUnchanged(session_.Finish(), kInvalid, "client 'c00007' (index 7) sent 7 shares");
}

TEST_F(UnmaskedSum, TheSumMustBeOfExactlyTheSurvivors) {
  session_.sum().FinishClient();
  before_ = session_.sum();
  ExpectUnchanged(session_.Finish(), kInvalid, "the sum holds 10 masked vectors, but 9");
}

TEST_F(UnmaskedSum, TheSumMustHaveTheSessionsShape) {
  const auto commitments = session_.Commitments();
  const UnmaskInput input{.roster = session_.roster(),
                          .sharers = session_.sharers,
                          .survivors = session_.survivors,
                          .commitments = commitments,
                          .replies = session_.replies};
  RingSum other(32, session_.sum().length() + 1);
  ExpectRefusal(UnmaskSum(input, other, 1), kInvalid, "elements of 32 bits");
  RingSum wider(64, session_.sum().length());
  ExpectRefusal(UnmaskSum(input, wider, 1), kInvalid, "elements of 64 bits");
}

}  // namespace
}  // namespace muster::secagg
