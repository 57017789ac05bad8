// What garbage collection lets go.
#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class Cleanup : public StoreContract {};
MUSTER_OVER_ALL_STORES(Cleanup);

TEST_P(Cleanup, AModelVersionGoesAloneAndAbsentIsFine) {
  ASSERT_OK(Write([](StoreTx& tx) -> absl::Status {
    for (const uint32_t version : {1, 2}) {
      ModelRecord model;
      model.id = {ModelName::Trusted("m"), version};
      MUSTER_RETURN_IF_ERROR(tx.PutModel(model));
    }
    MUSTER_RETURN_IF_ERROR(tx.DeleteModel({ModelName::Trusted("m"), 1}));
    return tx.DeleteModel({ModelName::Trusted("other"), 1});
  }));
  const auto models = Read([](const StoreReader& r) { return r.ListModels("", {}); });
  ASSERT_THAT(*models, SizeIs(1));
  EXPECT_EQ((*models)[0].id.version, 2u);
}

TEST_P(Cleanup, InvocationsOfOneJobGoPortionByPortion) {
  ASSERT_OK(Write([](StoreTx& tx) -> absl::Status {
    for (const char* job : {"j", "k"}) {
      MUSTER_RETURN_IF_ERROR(tx.PutJob(SmallJob(job)));
      const RoundRecord round = SmallRound(job, 1);
      MUSTER_RETURN_IF_ERROR(tx.PutRound(round));
      for (int i = 0; i < 5; ++i) {
        MUSTER_RETURN_IF_ERROR(
            tx.PutInvocation(SmallInvocation(StrCat("i-", job, i), StrCat("d", i), round.id)));
      }
    }
    return absl::OkStatus();
  }));
  const auto remove = [&] {
    size_t removed = 0;
    EXPECT_TRUE(Write([&](StoreTx& tx) -> absl::Status {
                  MUSTER_ASSIGN_OR_RETURN(removed, tx.DeleteInvocations(JobId::Trusted("j"), 3));
                  return absl::OkStatus();
                }).ok());
    return removed;
  };
  EXPECT_EQ(remove(), 3u);
  EXPECT_EQ(remove(), 2u);
  EXPECT_EQ(remove(), 0u);
  const auto left = [&](const char* job) {
    return *Read([&](const StoreReader& r) {
      return r.ListInvocations({JobId::Trusted(job), 1, 1}, FunctionKind::kTrain);
    });
  };
  EXPECT_THAT(left("j"), IsEmpty());
  EXPECT_THAT(left("k"), SizeIs(5));
  const auto open =
      Read([](const StoreReader& r) { return r.ListOpenInvocations(DeviceId::Trusted("d0")); });
  EXPECT_THAT(*open, SizeIs(1)) << "the other job's";
  // Their seats are free again.
  ASSERT_OK(Write([](StoreTx& tx) {
    return tx.PutInvocation(SmallInvocation("i-new", "d0", {JobId::Trusted("j"), 1, 1}));
  }));
}

TEST_P(Cleanup, UsageOfOneJobGoes) {
  size_t removed = 0;
  ASSERT_OK(Write([&](StoreTx& tx) -> absl::Status {
    for (const char* job : {"j", "serving"}) {
      for (const char* device : {"a", "b"}) {
        MUSTER_RETURN_IF_ERROR(
            tx.AddUsage({.job = job, .device = DeviceId::Trusted(device), .invocations = 1}));
      }
    }
    MUSTER_ASSIGN_OR_RETURN(removed, tx.DeleteUsage("j"));
    return absl::OkStatus();
  }));
  EXPECT_EQ(removed, 2u);
  const auto left = Read([](const StoreReader& r) { return r.ListUsage("", ""); });
  ASSERT_THAT(*left, SizeIs(2));
  EXPECT_EQ((*left)[0].job, "serving");
}

}  // namespace
}  // namespace muster
