// A round's sum in parts.
#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

class PartialSums : public StoreContract {
 protected:
  void SetUp() override {
    StoreContract::SetUp();
    ASSERT_TRUE(Write([&](StoreTx& tx) -> absl::Status {
                  MUSTER_RETURN_IF_ERROR(tx.PutJob(SmallJob("j")));
                  MUSTER_RETURN_IF_ERROR(tx.PutRound(SmallRound("j", 1)));
                  return tx.PutRound(SmallRound("j", 1, 2));
                }).ok());
  }
  static PartialSumRecord Part(const std::string& replica, uint32_t attempt = 1) {
    return {.round = {JobId::Trusted("j"), 1, attempt},
            .replica = replica,
            .blob = DigestOf("sum of " + replica)};
  }
  absl::Status Put(const PartialSumRecord& part) {
    return Write([&](StoreTx& tx) { return tx.PutPartialSum(part); });
  }
  std::vector<PartialSumRecord> List(uint32_t attempt = 1) {
    return *Read([&](const StoreReader& r) { return r.ListPartialSums(Part("", attempt).round); });
  }
};

TEST_P(PartialSums, EveryReplicaHasOneOfEachRound) {
  ASSERT_OK(Put(Part("b")));
  ASSERT_OK(Put(Part("a")));
  ASSERT_OK(Put(Part("a", 2)));
  EXPECT_EQ(List(), (std::vector{Stored(Part("a")), Stored(Part("b"))}));
  EXPECT_EQ(List(2), std::vector{Stored(Part("a", 2))});
  const auto found =
      Read([&](const StoreReader& r) { return r.FindPartialSum(Part("b").round, "b"); });
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, Stored(Part("b")));
  EXPECT_TRUE(absl::IsNotFound(
      Read([&](const StoreReader& r) { return r.FindPartialSum(Part("c").round, "c"); }).status()));
}

TEST_P(PartialSums, TwoWritersOfOnePartDoNotOverwriteEachOther) {
  ASSERT_OK(Put(Part("a")));
  EXPECT_TRUE(absl::IsAlreadyExists(Put(Part("a"))));
  PartialSumRecord next = Stored(Part("a"));
  next.blob = DigestOf("more");
  ASSERT_OK(Put(next));
  EXPECT_TRUE(absl::IsAborted(Put(next)));
  EXPECT_EQ(List(), std::vector{Stored(next)});
}

TEST_P(PartialSums, DeletingThemLeavesOtherRounds) {
  for (const PartialSumRecord& part : {Part("a"), Part("b"), Part("a", 2)}) ASSERT_OK(Put(part));
  ASSERT_OK(Write([&](StoreTx& tx) { return tx.DeletePartialSums(Part("a").round); }));
  EXPECT_TRUE(List().empty());
  EXPECT_EQ(List(2).size(), 1u);
}

TEST_P(PartialSums, OneWithoutItsRoundIsRefused) {
  const absl::Status refused = Put(Part("a", 9));
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr("round j/r1.a9"));
}

MUSTER_OVER_ALL_STORES(PartialSums);

}  // namespace
}  // namespace muster
