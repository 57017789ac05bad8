// What secure aggregation needs of a store.
#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

class SecAggStore : public StoreContract {
 protected:
  void SetUp() override {
    StoreContract::SetUp();
    ASSERT_TRUE(Write([&](StoreTx& tx) -> absl::Status {
                  MUSTER_RETURN_IF_ERROR(tx.PutJob(SmallJob("j")));
                  MUSTER_RETURN_IF_ERROR(tx.PutRound(SmallRound("j", 1)));
                  return tx.PutRound(SmallRound("j", 2));
                }).ok());
  }
  SecAggSessionRecord Session(uint32_t round = 1) const {
    SecAggSessionRecord session;
    session.round = {JobId::Trusted("j"), round, 1};
    session.params = std::string("par\0ams", 7);
    return session;
  }
  SecAggMessageRecord Message(const std::string& device, SecAggStep step,
                              const std::string& text) const {
    return {.round = Session().round,
            .step = step,
            .device = DeviceId::Trusted(device),
            .message = text};
  }
  absl::Status Put(const SecAggSessionRecord& session) {
    return Write([&](StoreTx& tx) { return tx.PutSecAggSession(session); });
  }
  absl::Status Add(const SecAggMessageRecord& message) {
    return Write([&](StoreTx& tx) { return tx.AddSecAggMessage(message); });
  }
};

TEST_P(SecAggStore, ASessionIsReadBackAsItWasWritten) {
  SecAggSessionRecord session = Session();
  ASSERT_TRUE(Put(session).ok());
  session = Stored(session);
  session.roster_root = DigestOf("root");
  session.sharers = std::string("\x07\x00", 2);
  ASSERT_TRUE(Put(session).ok());
  const auto found = Read([&](const StoreReader& r) { return r.FindSecAggSession(session.round); });
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, Stored(session));
  EXPECT_TRUE(absl::IsAborted(Put(session)));
  EXPECT_TRUE(absl::IsNotFound(
      Read([&](const StoreReader& r) { return r.FindSecAggSession(Session(2).round); }).status()));
}

TEST_P(SecAggStore, TheSurvivorsAreWrittenOnce) {
  SecAggSessionRecord session = Session();
  ASSERT_TRUE(Put(session).ok());
  session = Stored(session);
  session.survivors = "\x0f";
  ASSERT_TRUE(Put(session).ok());
  session = Stored(session);
  for (const std::string& other : {std::string("\x1f"), std::string()}) {
    SecAggSessionRecord changed = session;
    changed.survivors = other;
    EXPECT_TRUE(absl::IsFailedPrecondition(Put(changed))) << Put(changed);
  }
  session.roster_root = DigestOf("root");
  EXPECT_TRUE(Put(session).ok());
}

TEST_P(SecAggStore, ADeviceSendsOneMessageInAStep) {
  EXPECT_TRUE(absl::IsFailedPrecondition(Add(Message("d1", SecAggStep::kAdvert, "a"))));
  ASSERT_TRUE(Put(Session()).ok());
  ASSERT_TRUE(Add(Message("d2", SecAggStep::kAdvert, "two")).ok());
  ASSERT_TRUE(Add(Message("d1", SecAggStep::kAdvert, std::string("o\0ne", 4))).ok());
  ASSERT_TRUE(Add(Message("d1", SecAggStep::kReveal, "share")).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Add(Message("d1", SecAggStep::kAdvert, "other"))));
  const RoundId round = Session().round;
  const auto adverts =
      *Read([&](const StoreReader& r) { return r.ListSecAggMessages(round, SecAggStep::kAdvert); });
  ASSERT_EQ(adverts.size(), 2u);
  EXPECT_EQ(adverts[0], Message("d1", SecAggStep::kAdvert, std::string("o\0ne", 4)));
  EXPECT_EQ(adverts[1].device.value(), "d2");
  const auto senders =
      *Read([&](const StoreReader& r) { return r.ListSecAggSenders(round, SecAggStep::kReveal); });
  EXPECT_EQ(senders, std::vector{DeviceId::Trusted("d1")});
  const auto found = Read([&](const StoreReader& r) {
    return r.FindSecAggMessage(round, SecAggStep::kReveal, DeviceId::Trusted("d1"));
  });
  EXPECT_EQ(found->message, "share");
}

TEST_P(SecAggStore, DeletingTheMessagesOfARoundLeavesItsSessionAndOtherRounds) {
  ASSERT_TRUE(Put(Session(1)).ok());
  ASSERT_TRUE(Put(Session(2)).ok());
  ASSERT_TRUE(Add(Message("d1", SecAggStep::kAdvert, "a")).ok());
  ASSERT_TRUE(Add(Message("d1", SecAggStep::kReveal, "b")).ok());
  SecAggMessageRecord other = Message("d1", SecAggStep::kReveal, "c");
  other.round = Session(2).round;
  ASSERT_TRUE(Add(other).ok());
  ASSERT_TRUE(Write([&](StoreTx& tx) { return tx.DeleteSecAggMessages(Session(1).round); }).ok());
  for (const SecAggStep step : {SecAggStep::kAdvert, SecAggStep::kReveal}) {
    EXPECT_TRUE(Read([&](const StoreReader& r) {
                  return r.ListSecAggMessages(Session(1).round, step);
                })->empty());
  }
  EXPECT_TRUE(
      Read([&](const StoreReader& r) { return r.FindSecAggSession(Session(1).round); }).ok());
  EXPECT_EQ(Read([&](const StoreReader& r) {
              return r.ListSecAggSenders(Session(2).round, SecAggStep::kReveal);
            })->size(),
            1u);
}

TEST_P(SecAggStore, AnAbortedTransactionLeavesNoMessage) {
  ASSERT_TRUE(Put(Session()).ok());
  EXPECT_TRUE(absl::IsCancelled(Write([&](StoreTx& tx) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(tx.AddSecAggMessage(Message("d1", SecAggStep::kShares, "x")));
    return absl::CancelledError("no");
  })));
  EXPECT_TRUE(absl::IsNotFound(Read([&](const StoreReader& r) {
                                 return r.FindSecAggMessage(Session().round, SecAggStep::kShares,
                                                            DeviceId::Trusted("d1"));
                               }).status()));
}

MUSTER_OVER_ALL_STORES(SecAggStore);

}  // namespace
}  // namespace muster
