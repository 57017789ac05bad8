// Refusals in the audit log: summed up, bounded, kept until they are written.
#include "coordinator/rpc/refusal_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/store/memory/memory_store.h"
#include "proto/core/audit_limits.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RefusalLogTest : public ::testing::Test {
 protected:
  void Refuse(const std::string& device,
              const absl::Status& why = absl::PermissionDeniedError("no"),
              std::string_view method = "S/M") {
    log_.Note(Principal{.role = Role::kDevice, .id = device}, method, why, "ipv4:192.0.2.7");
  }
  std::vector<AuditRecord> Rows() {
    std::vector<AuditRecord> rows;
    EXPECT_TRUE(store_
                    ->Read([&](const StoreReader& reader) -> absl::Status {
                      rows = reader.ReadAuditChain("c", 0, 1000).value();
                      return absl::OkStatus();
                    })
                    .ok());
    return rows;
  }

  ManualClock clock_;
  std::unique_ptr<StateStore> store_ = MakeMemoryStore();
  RefusalLog log_{*store_, clock_, "c"};
};

TEST_F(RefusalLogTest, EqualRefusalsAreOneRowWithACount) {
  for (int i = 0; i < 1000; ++i) Refuse("thief");
  Refuse("thief", absl::UnauthenticatedError("who?"));
  ASSERT_TRUE(log_.Flush(true).ok());
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].count + rows[1].count, 1001u);
  EXPECT_EQ(rows[0].actor, "device/thief");
  EXPECT_EQ(rows[0].subject, "S/M");
  EXPECT_EQ(rows[0].action, "refused.PERMISSION_DENIED");
  EXPECT_THAT(rows[0].detail, HasSubstr("from ipv4:192.0.2.7: no"));
}

TEST_F(RefusalLogTest, NoAttackerAddsMoreThanSoManyRowsInAWindow) {
  for (int i = 0; i < 5000; ++i) Refuse(StrCat("d", i));
  ASSERT_TRUE(log_.Flush(true).ok());
  const auto rows = Rows();
  ASSERT_THAT(rows, SizeIs(limits::kMaxRefusalRows + 1));
  uint64_t total = 0;
  for (const AuditRecord& row : rows) total += row.count;
  EXPECT_EQ(total, 5000u) << "each is counted";
}

TEST_F(RefusalLogTest, AWindowIsWrittenWhenItIsOver) {
  Refuse("d");
  ASSERT_TRUE(log_.Flush(false).ok());
  EXPECT_THAT(Rows(), IsEmpty());
  clock_.Advance(limits::kRefusalWindow);
  ASSERT_TRUE(log_.Flush(false).ok());
  EXPECT_THAT(Rows(), SizeIs(1));
  ASSERT_TRUE(log_.Flush(true).ok());
  EXPECT_THAT(Rows(), SizeIs(1)) << "once";
}

TEST_F(RefusalLogTest, OtherErrorsAreNoRefusals) {
  Refuse("d", absl::OkStatus());
  Refuse("d", absl::NotFoundError("none"));
  Refuse("d", absl::InvalidArgumentError("bad"));
  ASSERT_TRUE(log_.Flush(true).ok());
  EXPECT_THAT(Rows(), IsEmpty());
}

// A store that is away.
class AwayStore final : public StateStore {
 public:
  explicit AwayStore(StateStore& store) : store_(store) {}
  absl::Status Write(const std::function<absl::Status(StoreTx&)>& work) override {
    return away ? absl::UnavailableError("away") : store_.Write(work);
  }
  absl::Status Read(const std::function<absl::Status(const StoreReader&)>& work) const override {
    return away ? absl::UnavailableError("away") : store_.Read(work);
  }
  StoreStats Stats() const override { return {}; }

  bool away = true;

 private:
  StateStore& store_;
};

TEST_F(RefusalLogTest, WhatCouldNotBeWrittenStaysAndStaysBounded) {
  AwayStore away(*store_);
  RefusalLog log(away, clock_, "c");
  for (int window = 0; window < 3; ++window) {
    for (int i = 0; i < 100; ++i) {
      log.Note(Principal{.role = Role::kDevice, .id = StrCat("d", window, "-", i)}, "S/M",
               absl::PermissionDeniedError("no"), "peer");
    }
    EXPECT_TRUE(absl::IsUnavailable(log.Flush(true)));
  }
  away.away = false;
  ASSERT_TRUE(log.Flush(true).ok());
  const auto rows = Rows();
  EXPECT_THAT(rows, SizeIs(limits::kMaxRefusalRows + 1));
  uint64_t total = 0;
  for (const AuditRecord& row : rows) total += row.count;
  EXPECT_EQ(total, 300u) << "each is counted";
}

}  // namespace
}  // namespace muster
