// What must survive kill -9 and power cuts: how far each invocation got, the answers that were
// computed, open sessions of secure aggregation, the desired state, the last good models, the
// anti-rollback floors, metering not reported yet. Every method is one durable transaction (SQLite,
// WAL, synchronous=FULL). Thread-safe.
//
// A full disk is ResourceExhausted; then the method changed nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "client/agent/sqlite.h"
#include "client/agent/types.h"
#include "proto/core/device_messages.h"
#include "proto/core/secagg_messages.h"

namespace muster {

// Answered invocations that are remembered, so that repeats get the stored answer.
inline constexpr size_t kKeptInvocations = 512;

using Answer = std::variant<UpdateOffer, ResultOffer>;

struct JournalEntry {
  Invocation invocation;
  Stage stage = Stage::kReceived;
  uint32_t attempts = 0;         // started, over all lives of the agent
  std::optional<Answer> answer;  // from kReady on; none if it was forgotten before
  std::string personal_of;       // model whose new personal parameters wait in the work folder
  std::string outcome;           // how it ended, in words
};

// How far an invocation's secure aggregation got. The state is sealed; the journal does not look
// into it.
struct SecAggSession {
  std::optional<secagg::Params> params;  // none if the session ended before they were known
  secagg::Phase phase = secagg::Phase::kAdvertise;  // that is due next
  Metering masking;                                 // what masking cost
  std::string sealed;
  Timestamp updated;
};

// A model that this device serves: its file and how it came about.
struct GoodModel {
  DesiredModel model;
  uint64_t security_version = 1;
  std::string file;    // path below state_dir
  ModelStatus status;  // metrics and whether it is personalized
};

class Journal {
 public:
  static absl::StatusOr<std::unique_ptr<Journal>> Open(const std::filesystem::path& file);

  // Invocations. Receive of a known id changes nothing.
  absl::Status Receive(const Invocation& invocation);
  // The number of this attempt, from 1; durable before the function starts. FailedPrecondition when
  // the outcome is stored already.
  absl::StatusOr<uint32_t> StartAttempt(const InvocationId& id);
  // The first answer stays: a second one is dropped, and the call is OK.
  absl::Status StoreAnswer(const InvocationId& id, const Answer& answer,
                           const std::string& personal_of = "");
  // Forgets the invocation's secure aggregation, if there was any.
  absl::Status MarkAnswered(const InvocationId& id, const std::string& outcome);
  absl::StatusOr<std::optional<JournalEntry>> Find(const InvocationId& id);
  absl::StatusOr<std::vector<JournalEntry>> Unfinished();          // not answered, oldest first
  absl::StatusOr<std::vector<JournalEntry>> Recent(size_t limit);  // newest first

  // Secure aggregation: the newest state of an invocation's session. DataLoss if what was stored
  // cannot be read.
  absl::Status PutSecAggSession(const InvocationId& id, const SecAggSession& session);
  absl::StatusOr<std::optional<SecAggSession>> FindSecAggSession(const InvocationId& id);
  absl::Status DeleteSecAggSession(const InvocationId& id);

  // Desired state. A lower generation than the stored one changes nothing.
  absl::Status SetDesired(const DesiredState& desired);
  absl::StatusOr<std::optional<DesiredState>> Desired();
  absl::Status SetApplied(uint64_t generation);
  absl::StatusOr<uint64_t> Applied();

  // Makes `good` the last good version of its name and raises the name's floor, never lowers it.
  absl::Status CommitModel(const GoodModel& good);
  absl::Status RemoveModel(const ModelName& name);  // the floor stays
  absl::StatusOr<std::vector<GoodModel>> GoodModels();
  absl::StatusOr<uint64_t> Floor(const ModelName& name);  // 0: none

  // What became of the newest wish for each name.
  struct Attempted {
    DesiredModel model;
    ModelStatus status;
  };
  absl::Status SetAttempted(const Attempted& attempted);
  absl::StatusOr<std::vector<Attempted>> AttemptedModels();

  // Metering adds up until a report takes it along. PrepareReport returns the report that is out
  // already, if there is one, unchanged; else it stores `report` with the metering and `report_id`.
  absl::Status AddMetering(const Metering& metering);
  absl::StatusOr<Metering> UnreportedMetering();
  absl::StatusOr<StateReport> PrepareReport(StateReport report, const std::string& report_id);
  absl::StatusOr<std::optional<StateReport>> PendingReport();
  absl::Status ReportTaken(const std::string& report_id);

 private:
  explicit Journal(std::unique_ptr<SqliteDatabase> db) : db_(std::move(db)) {}
  absl::Status Migrate();
  absl::StatusOr<std::string> Get(std::string_view key);  // "" if absent
  absl::Status Put(std::string_view key, std::string_view value);
  absl::StatusOr<std::vector<JournalEntry>> Select(std::string_view where);
  absl::StatusOr<std::optional<JournalEntry>> FindLocked(const InvocationId& id);

  std::recursive_mutex mutex_;  // methods build on one another
  std::unique_ptr<SqliteDatabase> db_;
};

// The sum of what two runs cost; peak memory is the larger one.
Metering AddUp(const Metering& a, const Metering& b);

}  // namespace muster
