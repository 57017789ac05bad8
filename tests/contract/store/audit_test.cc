// The audit log: numbered, chained, append-only, and pruned from its beginning only.
#include "coordinator/store/audit_chain.h"
#include "proto/core/audit_limits.h"
#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

AuditRecord Entry(const std::string& action, int64_t second = 0, const std::string& chain = "c") {
  return {.chain = chain,
          .at = At(second),
          .actor = "operator/ada",
          .action = action,
          .subject = "token/1",
          .detail = "uses=1"};
}

std::vector<std::string> ActionsOf(const std::vector<AuditRecord>& rows) {
  std::vector<std::string> actions;
  for (const AuditRecord& row : rows) actions.push_back(row.action);
  return actions;
}

class Audit : public StoreContract {
 protected:
  void Append(const AuditRecord& entry) {
    ASSERT_OK(Write([&](StoreTx& tx) { return tx.AppendAudit(entry); }));
  }
  AuditChain Chain(const std::string& name = "c") {
    const auto chains = Read([](const StoreReader& r) { return r.ListAuditChains(); });
    for (const AuditChain& chain : *chains) {
      if (chain.chain == name) return chain;
    }
    return {};
  }
  std::vector<AuditRecord> Rows(const std::string& name = "c", uint64_t after = 0) {
    return *Read([&](const StoreReader& r) { return r.ReadAuditChain(name, after, 1000); });
  }
  std::vector<AuditRecord> List(const AuditFilter& filter, const Page& page = {}) {
    return *Read([&](const StoreReader& r) { return r.ListAudit(filter, page); });
  }
  absl::Status Verify(const std::string& name = "c") {
    AuditVerifier verifier(Chain(name));
    for (const AuditRecord& row : Rows(name)) MUSTER_RETURN_IF_ERROR(verifier.Follow(row));
    return verifier.Finish();
  }
};

TEST_P(Audit, RowsAreNumberedAndChained) {
  for (const char* action : {"one", "two", "three"}) Append(Entry(action));
  const auto rows = Rows();
  ASSERT_EQ(rows.size(), 3u);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].number, i + 1);
  EXPECT_NE(rows[0].hash, rows[1].hash);
  EXPECT_EQ(Chain(), (AuditChain{.chain = "c", .last_number = 3, .last_hash = rows[2].hash}));
  ASSERT_OK(Verify());
}

TEST_P(Audit, TheRowGoesWithItsTransaction) {
  Append(Entry("kept"));
  const absl::Status failed = Write([](StoreTx& tx) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(tx.AppendAudit(Entry("lost")));
    return absl::CancelledError("no");
  });
  EXPECT_TRUE(absl::IsCancelled(failed));
  Append(Entry("next"));
  EXPECT_THAT(ActionsOf(Rows()), ElementsAre("kept", "next"));
  ASSERT_OK(Verify());
}

TEST_P(Audit, TheHashCoversEveryField) {
  Append(Entry("a"));
  const AuditRecord row = Rows()[0];
  const auto follow = [&](const AuditRecord& changed) {
    return AuditVerifier(Chain()).Follow(changed);
  };
  ASSERT_OK(follow(row));
  std::vector<AuditRecord> changed(7, row);
  changed[0].actor = "operator/eve";
  changed[1].action = "b";
  changed[2].subject = "token/2";
  changed[3].detail = "uses=2";
  changed[4].count = 2;
  changed[5].at = At(1);
  changed[6].subject = "token/1u";  // a byte that moved over the border between two fields
  changed[6].detail = "ses=1";
  for (const AuditRecord& other : changed) {
    const absl::Status found = follow(other);
    EXPECT_TRUE(absl::IsDataLoss(found));
    EXPECT_THAT(std::string(found.message()), HasSubstr("row 1 was changed"));
  }
}

TEST_P(Audit, WhatIsNoTextIsReplacedAndTheHashHolds) {
  AuditRecord entry = Entry("a");
  entry.detail = std::string("a\0b", 3) + "\xff" + "\xC3\xA9" + "\x1b[2J";
  Append(entry);
  EXPECT_EQ(Rows()[0].detail, "a?b?\xC3\xA9?[2J");
  ASSERT_OK(Verify());
}

TEST_P(Audit, AMissingRowAndAMissingEndAreFound) {
  for (const char* action : {"one", "two", "three"}) Append(Entry(action));
  const auto rows = Rows();
  AuditVerifier gap(Chain());
  ASSERT_OK(gap.Follow(rows[0]));
  EXPECT_THAT(std::string(gap.Follow(rows[2]).message()), HasSubstr("row 2 is missing"));
  AuditVerifier cut(Chain());
  ASSERT_OK(cut.Follow(rows[0]));
  ASSERT_OK(cut.Follow(rows[1]));
  EXPECT_TRUE(absl::IsDataLoss(cut.Finish()));
}

TEST_P(Audit, PruningTakesTheBeginningAndLeavesAnAnchor) {
  for (const char* action : {"one", "two", "three", "four"}) Append(Entry(action));
  const Digest anchor = Rows()[1].hash;
  ASSERT_OK(Write([](StoreTx& tx) { return tx.PruneAudit("c", 2); }));
  EXPECT_THAT(ActionsOf(Rows()), ElementsAre("three", "four"));
  EXPECT_EQ(Chain().anchor_number, 2u);
  EXPECT_EQ(Chain().anchor_hash, anchor);
  ASSERT_OK(Verify());
  Append(Entry("five"));
  ASSERT_OK(Write([](StoreTx& tx) { return tx.PruneAudit("c", 5); }));
  EXPECT_THAT(Rows(), IsEmpty());
  Append(Entry("six"));
  EXPECT_EQ(Rows()[0].number, 6u);
  ASSERT_OK(Verify());
}

TEST_P(Audit, PruningNeedsARowThatIsThere) {
  Append(Entry("one"));
  for (const uint64_t through : {0, 2}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(
        Write([&](StoreTx& tx) { return tx.PruneAudit("c", through); })));
  }
  EXPECT_TRUE(
      absl::IsFailedPrecondition(Write([](StoreTx& tx) { return tx.PruneAudit("other", 1); })));
}

TEST_P(Audit, ChainsDoNotMix) {
  Append(Entry("a", 0, "c"));
  Append(Entry("b", 0, "d"));
  Append(Entry("c", 0, "c"));
  EXPECT_THAT(ActionsOf(Rows("c")), ElementsAre("a", "c"));
  EXPECT_THAT(ActionsOf(Rows("d")), ElementsAre("b"));
  ASSERT_OK(Verify("c"));
  ASSERT_OK(Verify("d"));
}

TEST_P(Audit, ListsNewestFirstByTimeActorAndAction) {
  Append(Entry("token.create", 1));
  Append(Entry("token.revoke", 2, "d"));
  AuditRecord other = Entry("job.submit", 3);
  other.actor = "researcher/bob";
  Append(other);
  EXPECT_THAT(ActionsOf(List({})), ElementsAre("job.submit", "token.revoke", "token.create"));
  EXPECT_THAT(ActionsOf(List({.since = At(2)})), ElementsAre("job.submit", "token.revoke"));
  EXPECT_THAT(ActionsOf(List({.action = "token."})), ElementsAre("token.revoke", "token.create"));
  EXPECT_THAT(ActionsOf(List({.actor = "researcher/"})), ElementsAre("job.submit"));
  EXPECT_THAT(List({.actor = "researcher/b%"}), IsEmpty()) << "no patterns";
}

TEST_P(Audit, ListsPageAfterPage) {
  for (int i = 0; i < 7; ++i) Append(Entry(StrCat("a", i), i / 2, i % 3 == 0 ? "c" : "d"));
  std::vector<AuditRecord> all;
  Page page{.limit = 2};
  while (true) {
    const auto rows = List({}, page);
    all.insert(all.end(), rows.begin(), rows.end());
    if (rows.size() < page.limit) break;
    page.after = AuditKey::Of(rows.back()).ToString();
  }
  EXPECT_EQ(all, List({}));
  EXPECT_EQ(all.size(), 7u);
}

TEST_P(Audit, RowsBeyondTheLimitsAreRefused) {
  const auto refused = [&](AuditRecord entry) {
    return Write([&](StoreTx& tx) { return tx.AppendAudit(entry); });
  };
  AuditRecord entry = Entry("a");
  entry.detail = std::string(limits::kMaxAuditDetailBytes + 1, 'x');
  EXPECT_TRUE(absl::IsInvalidArgument(refused(entry)));
  entry = Entry("a");
  entry.actor = std::string(limits::kMaxAuditNameBytes + 1, 'x');
  EXPECT_TRUE(absl::IsInvalidArgument(refused(entry)));
  for (std::string AuditRecord::*needed :
       {&AuditRecord::chain, &AuditRecord::actor, &AuditRecord::action}) {
    entry = Entry("a");
    entry.*needed = "";
    EXPECT_TRUE(absl::IsInvalidArgument(refused(entry)));
  }
  EXPECT_THAT(List({}), IsEmpty());
}

MUSTER_OVER_ALL_STORES(Audit);

TEST(AuditKey, ReadsWhatItWrites) {
  const AuditKey key{At(3), "replica/with/slashes", 12};
  EXPECT_EQ(*AuditKey::Parse(key.ToString()), key);
  for (const char* bad : {"", "x", "1/2", "1/2/", "a/2/c", "1/-2/c", "1//c"}) {
    EXPECT_FALSE(AuditKey::Parse(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace muster
