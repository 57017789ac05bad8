// Every test of the contract runs over every adapter.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/store/memory/memory_store.h"
#include "coordinator/store/postgres/postgres_store.h"
#include "coordinator/store/sqlite/sqlite_store.h"
#include "coordinator/store/state_store.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "tests/support/postgres_server.h"
#include "tests/support/temp_folder.h"

namespace muster {

inline Timestamp At(int64_t seconds) {
  return Timestamp{1'700'000'000'000'000 + seconds * 1'000'000};
}

inline Digest DigestOf(std::string_view text) { return Sha256(text); }

inline JobSpec SmallSpec(const std::string& name) {
  JobSpec spec;
  spec.name = ModelName::Trusted(name);
  spec.architecture.name = "logreg";
  spec.architecture.input_shape = {4};
  spec.architecture.outputs = 2;
  spec.architecture.layers = {LinearLayer{.in = 4, .out = 2, .weight = "w", .bias = "b"}};
  spec.layout = *ParameterLayout::Create(
      {{.name = "w", .shape = {2, 4}, .offset = 0}, {.name = "b", .shape = {2}, .offset = 8}});
  spec.initial_weights = DigestOf(name + " weights");
  spec.cohort = *Selector::Parse("site=a,role!=evaluator");
  spec.seed = 0xfedc'ba98'7654'3210;
  spec.aggregation.mode = AggregationMode::kClear;
  return spec;
}

inline JobRecord SmallJob(const std::string& id, int64_t second = 0) {
  JobRecord job;
  job.id = JobId::Trusted(id);
  job.spec = SmallSpec("model-" + id);
  job.state = JobRunning{1, 1, 0};
  job.submitted = At(second);
  job.submitted_by = "researcher/alice";
  job.initial_package = DigestOf("package");
  job.rounds_committed = 2;
  job.releases = 3;
  job.clip = 0.1 + 0.2;
  return job;
}

inline RoundRecord SmallRound(const std::string& job, uint32_t number, uint32_t attempt = 1) {
  RoundRecord round;
  round.id = {JobId::Trusted(job), number, attempt};
  round.policy = {.goal = 3,
                  .invite_target = 4,
                  .quorum = 2,
                  .deadline = std::chrono::seconds(60),
                  .aggregation = AggregationMode::kMalicious,
                  .phase_deadline = std::chrono::seconds(7)};
  round.state = Collecting{.opened = At(1), .closes = At(61), .invited = 4};
  return round;
}

inline InvocationRecord SmallInvocation(const std::string& id, const std::string& device,
                                        const RoundId& round) {
  InvocationRecord invocation;
  invocation.id = InvocationId::Trusted(id);
  invocation.device = DeviceId::Trusted(device);
  invocation.round = round;
  invocation.created = At(2);
  invocation.deadline = At(60);
  return invocation;
}

inline DeviceRecord SmallDevice(const std::string& id) {
  DeviceRecord device;
  device.id = DeviceId::Trusted(id);
  device.labels = {{"site", "a"}};
  device.enrolled = At(0);
  return device;
}

// Stored as `record`, which has `row_version` 0 or the one before.
template <typename R>
R Stored(R record) {
  ++record.row_version;
  return record;
}

class StoreContract : public ::testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override {
    if (GetParam() == "memory") {
      store_ = MakeMemoryStore();
      return;
    }
    auto opened = GetParam() == "postgres" ? OpenPostgresStore({.url = SharedPostgres().FreshUrl()})
                                           : OpenSqliteStore({.directory = folder_.path()});
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }

  absl::Status Write(const std::function<absl::Status(StoreTx&)>& work) {
    return store_->Write(work);
  }
  // What `get` answers inside a snapshot.
  template <typename Get>
  auto Read(Get get) -> decltype(get(std::declval<const StoreReader&>())) {
    using Result = decltype(get(std::declval<const StoreReader&>()));
    Result result = absl::UnknownError("not run");
    const absl::Status status = store_->Read([&](const StoreReader& reader) {
      result = get(reader);
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return result;
  }

  TempFolder folder_;
  std::unique_ptr<StateStore> store_;
};

#define MUSTER_OVER_ALL_STORES(suite)                                           \
  INSTANTIATE_TEST_SUITE_P(                                                     \
      Stores, suite,                                                            \
      ::testing::Values(std::string_view("memory"), std::string_view("sqlite"), \
                        std::string_view("postgres")),                          \
      [](const auto& info) { return std::string(info.param); })

#define ASSERT_OK(expression)                    \
  do {                                           \
    const absl::Status muster_ok = (expression); \
    ASSERT_TRUE(muster_ok.ok()) << muster_ok;    \
  } while (false)

}  // namespace muster
