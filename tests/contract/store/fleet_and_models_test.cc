#include <limits>
#include <set>

#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FleetAndModels : public StoreContract {};
MUSTER_OVER_ALL_STORES(FleetAndModels);

TEST_P(FleetAndModels, ADeviceComesBackAsItWasPut) {
  DeviceRecord device = SmallDevice("d");
  device.labels = {{"rack", "3"}, {"site", "a"}};
  device.revoked = true;
  device.revoked_reason = "stolen";
  device.last_seen = At(100);
  device.certificate_serial = "00ff";
  device.certificate_expires = At(1000);
  device.certificate_ca = 2;
  device.trust_generation = 3;
  device.agent_version = "0.1.0";
  device.eligibility = {true, false, true, false, true, 600};
  device.applied_generation = 12;
  device.models = {{ModelName::Trusted("m"),
                    3,
                    ModelPhase::kFailed,
                    "gate: 0.81 < 0.85",
                    2,
                    true,
                    {{"int8_accuracy", 0.81}, {"latency_us", 41.5}}},
                   {ModelName::Trusted("n"), 1, ModelPhase::kLive, "", 1, false, {}}};
  device.last_report_id = "r-7";
  ASSERT_OK(Write([&](StoreTx& tx) { return tx.PutDevice(device); }));
  const auto found = Read([&](const StoreReader& r) { return r.FindDevice(device.id); });
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, Stored(device));
}

TEST_P(FleetAndModels, DevicesAreListedByIdPageByPageAndCounted) {
  ASSERT_OK(Write([](StoreTx& tx) -> absl::Status {
    for (const char* id : {"d2", "d1", "d10"})
      MUSTER_RETURN_IF_ERROR(tx.PutDevice(SmallDevice(id)));
    return absl::OkStatus();
  }));
  const auto ids = [&](const Page& page) {
    std::vector<std::string> names;
    const auto list = Read([&](const StoreReader& r) { return r.ListDevices(page); });
    EXPECT_TRUE(list.ok()) << list.status();
    for (const auto& device : *list) names.push_back(device.id.value());
    return names;
  };
  EXPECT_THAT(ids({}), ElementsAre("d1", "d10", "d2"));
  EXPECT_THAT(ids({.limit = 2}), ElementsAre("d1", "d10"));
  EXPECT_THAT(ids({.after = "d10", .limit = 2}), ElementsAre("d2"));
  EXPECT_THAT(ids({.after = "d2"}), IsEmpty());
  EXPECT_EQ(*Read([](const StoreReader& r) { return r.CountDevices(); }), 3u);
}

TEST_P(FleetAndModels, WhoWasSeenLatelyIsVisitedOnceAndNobodyElse) {
  constexpr int kDevices = 2500;  // more than a store reads at once
  const auto seen = [](int i) { return At(60 * i); };
  for (const bool again : {false, true}) {
    // The second time each row is changed: it was seen half an hour later.
    ASSERT_OK(Write([&](StoreTx& tx) -> absl::Status {
      for (int i = 0; i < kDevices; ++i) {
        DeviceRecord device = SmallDevice(StrCat("d", i));
        device.row_version = again ? 1 : 0;
        device.last_seen = seen(i) + (again ? std::chrono::minutes(30) : std::chrono::minutes(0));
        MUSTER_RETURN_IF_ERROR(tx.PutDevice(device));
      }
      return absl::OkStatus();
    }));
  }
  for (const int first : {0, 31, 1000, 1001, 1002, 1003, 1004, 1005, kDevices - 1, kDevices}) {
    std::multiset<std::string> expected, visited;
    for (int i = first; i < kDevices; ++i) expected.insert(StrCat("d", i));
    ASSERT_OK(Read([&](const StoreReader& r) {
      return r.VisitDevicesSeen(seen(first + 30), [&](DeviceRecord&& device) {
        visited.insert(device.id.value());
        return absl::OkStatus();
      });
    }));
    EXPECT_EQ(visited, expected) << first;
  }
  EXPECT_TRUE(absl::IsCancelled(Read([&](const StoreReader& r) {
    return r.VisitDevicesSeen(At(0), [](DeviceRecord&&) { return absl::CancelledError("no"); });
  })));
}

TEST_P(FleetAndModels, TokensComeBackAsTheyWerePutNewestFirst) {
  TokenRecord older{.id = TokenId::Trusted("a"),
                    .secret_hash = DigestOf("s"),
                    .uses = 10,
                    .used = 3,
                    .created = At(1),
                    .expires = At(99),
                    .labels = {{"site", "a"}},
                    .revoked = true};
  TokenRecord newer{.id = TokenId::Trusted("b"), .secret_hash = DigestOf("t"), .created = At(2)};
  ASSERT_OK(Write([&](StoreTx& tx) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(tx.PutToken(older));
    return tx.PutToken(newer);
  }));
  const auto list = Read([](const StoreReader& r) { return r.ListTokens(); });
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(*list, ElementsAre(Stored(newer), Stored(older)));
  EXPECT_EQ(*Read([&](const StoreReader& r) { return r.FindToken(older.id); }), Stored(older));
  const auto none = Read([](const StoreReader& r) { return r.FindToken(TokenId::Trusted("c")); });
  EXPECT_TRUE(absl::IsNotFound(none.status()));
}

ModelRecord SmallModel(const std::string& name, uint32_t version) {
  ModelRecord model;
  model.id = {ModelName::Trusted(name), version};
  model.weights = DigestOf(name);
  return model;
}

TEST_P(FleetAndModels, AModelComesBackAsItWasPut) {
  ModelRecord model = SmallModel("m", 3);
  model.package = DigestOf("package");
  model.module = DigestOf("module");
  model.manifest = DigestOf("manifest");
  model.optimizer_state = DigestOf("optimizer");
  model.weights_bytes = 5ull << 32;
  model.lineage = {JobId::Trusted("j"),  2, DigestOf("parent"), 10, 6000, "clear", At(7),
                   {{"train_loss", 0.7}}};
  model.evaluation = {{"accuracy", 0.9}};
  ASSERT_OK(Write([&](StoreTx& tx) { return tx.PutModel(model); }));
  const auto found = Read([&](const StoreReader& r) { return r.FindModel(model.id); });
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, Stored(model));
}

TEST_P(FleetAndModels, AModelVersionIsMadeOnce) {
  ASSERT_OK(Write([](StoreTx& tx) { return tx.PutModel(SmallModel("m", 1)); }));
  const absl::Status again = Write([](StoreTx& tx) { return tx.PutModel(SmallModel("m", 1)); });
  EXPECT_TRUE(absl::IsAlreadyExists(again)) << again;
}

TEST_P(FleetAndModels, ModelsAreListedByNameThenNewestVersionFirst) {
  ASSERT_OK(Write([](StoreTx& tx) -> absl::Status {
    for (uint32_t version : {9u, 10u, 2u}) {
      MUSTER_RETURN_IF_ERROR(tx.PutModel(SmallModel("b", version)));
    }
    MUSTER_RETURN_IF_ERROR(tx.PutModel(SmallModel("a", 1)));
    return tx.PutModel(SmallModel("c", 5));
  }));
  const auto names = [&](const std::string& name, const Page& page) {
    std::vector<std::string> list;
    const auto models = Read([&](const StoreReader& r) { return r.ListModels(name, page); });
    EXPECT_TRUE(models.ok()) << models.status();
    for (const ModelRecord& model : *models) list.push_back(model.id.ToString());
    return list;
  };
  EXPECT_THAT(names("", {}), ElementsAre("a@1", "b@10", "b@9", "b@2", "c@5"));
  EXPECT_THAT(names("", {.after = "b@10", .limit = 3}), ElementsAre("b@9", "b@2", "c@5"));
  EXPECT_THAT(names("b", {.limit = 1}), ElementsAre("b@10"));
  EXPECT_THAT(names("b", {.after = "b@9"}), ElementsAre("b@2"));
  EXPECT_THAT(names("b", {.after = "c@5"}), IsEmpty());
  EXPECT_THAT(names("b", {.after = "a@1"}), ElementsAre("b@10", "b@9", "b@2"));
  EXPECT_EQ(Read([](const StoreReader& r) {
              return r.FindLatestModel(ModelName::Trusted("b"));
            })->id.version,
            10u);
  const auto none =
      Read([](const StoreReader& r) { return r.FindLatestModel(ModelName::Trusted("bb")); });
  EXPECT_TRUE(absl::IsNotFound(none.status()));
}

TEST_P(FleetAndModels, PromotionsComeBackAsTheyWerePutNewestGenerationFirst) {
  PromotionRecord first{.id = PromotionId::Trusted("p1"),
                        .model = {ModelName::Trusted("m"), 4},
                        .package = DigestOf("package"),
                        .cohort = *Selector::Parse("site=a"),
                        .personalize = false,
                        .phase = PromotionPhase::kRolledBack,
                        .created = At(9),
                        .created_by = "operator/bob",
                        .previous_version = 3,
                        .generation = 1};
  PromotionRecord second = first;
  second.id = PromotionId::Trusted("p0");
  second.generation = 2;
  PromotionRecord other = first;
  other.id = PromotionId::Trusted("p3");
  other.model.name = ModelName::Trusted("n");
  other.generation = 3;
  ASSERT_OK(Write([&](StoreTx& tx) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(tx.PutPromotion(second));
    MUSTER_RETURN_IF_ERROR(tx.PutPromotion(first));
    return tx.PutPromotion(other);
  }));
  EXPECT_THAT(*Read([](const StoreReader& r) { return r.ListPromotions("m"); }),
              ElementsAre(Stored(second), Stored(first)));
  EXPECT_EQ(Read([](const StoreReader& r) { return r.ListPromotions(""); })->size(), 3u);
  EXPECT_EQ(*Read([&](const StoreReader& r) { return r.FindPromotion(first.id); }), Stored(first));
}

TEST_P(FleetAndModels, GenerationsCountUpFromOneAndAFailedWriteCountsNothing) {
  EXPECT_EQ(*Read([](const StoreReader& r) { return r.CurrentGeneration(); }), 0u);
  const auto next = [&](absl::Status end) {
    return Write([&](StoreTx& tx) -> absl::Status {
      MUSTER_ASSIGN_OR_RETURN(const uint64_t generation, tx.NextGeneration());
      return generation == 0 ? absl::InternalError("zero") : end;
    });
  };
  ASSERT_OK(next(absl::OkStatus()));
  EXPECT_TRUE(absl::IsCancelled(next(absl::CancelledError("stop"))));
  ASSERT_OK(next(absl::OkStatus()));
  EXPECT_EQ(*Read([](const StoreReader& r) { return r.CurrentGeneration(); }), 2u);
}

TEST_P(FleetAndModels, GenerationsThatAreSkippedAreNeverGiven) {
  ASSERT_OK(Write([](StoreTx& tx) { return tx.SkipGenerations(uint64_t{1} << 32); }));
  EXPECT_TRUE(absl::IsCancelled(Write([](StoreTx& tx) {
    MUSTER_RETURN_IF_ERROR(tx.SkipGenerations(7));
    return absl::CancelledError("stop");
  })));
  uint64_t next = 0;
  ASSERT_OK(Write([&](StoreTx& tx) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(next, tx.NextGeneration());
    return absl::OkStatus();
  }));
  EXPECT_EQ(next, (uint64_t{1} << 32) + 1);
}

TEST_P(FleetAndModels, UsageAddsUpForEachJobAndDevice) {
  const auto add = [&](const char* job, const char* device, uint64_t bytes) {
    ASSERT_OK(Write([&](StoreTx& tx) {
      return tx.AddUsage({.job = job,
                          .device = DeviceId::Trusted(device),
                          .invocations = 1,
                          .wall_us = 10,
                          .cpu_us = 5,
                          .bytes_up = bytes,
                          .bytes_down = 2,
                          .cold_starts = 1});
    }));
  };
  add("j", "d1", 100);
  add("j", "d1", 11);
  add("j", "d2", 7);
  add("serving", "d1", 1);
  const auto list = [&](const char* job, const char* device) {
    return *Read([&](const StoreReader& r) { return r.ListUsage(job, device); });
  };
  const UsageRecord total{.job = "j",
                          .device = DeviceId::Trusted("d1"),
                          .invocations = 2,
                          .wall_us = 20,
                          .cpu_us = 10,
                          .bytes_up = 111,
                          .bytes_down = 4,
                          .cold_starts = 2};
  EXPECT_THAT(list("j", "d1"), ElementsAre(total));
  EXPECT_EQ(list("j", "").size(), 2u);
  EXPECT_EQ(list("", "d1").size(), 2u);
  EXPECT_EQ(list("", "").size(), 3u);
  EXPECT_EQ(list("", "")[0], total);
  EXPECT_THAT(list("k", ""), IsEmpty());
}

TEST_P(FleetAndModels, UsageStopsAtTheLargestNumberInsteadOfWrapping) {
  const UsageRecord huge{.job = "j",
                         .device = DeviceId::Trusted("d"),
                         .bytes_up = std::numeric_limits<uint64_t>::max()};
  ASSERT_OK(Write([&](StoreTx& tx) { return tx.AddUsage(huge); }));
  ASSERT_OK(Write([&](StoreTx& tx) { return tx.AddUsage(huge); }));
  EXPECT_EQ((*Read([](const StoreReader& r) { return r.ListUsage("j", "d"); }))[0].bytes_up,
            static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
}

}  // namespace
}  // namespace muster
