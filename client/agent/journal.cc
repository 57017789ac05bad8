#include "client/agent/journal.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "client/agent/text.h"
#include "proto/codec/device_codec.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using text::Cat;

constexpr char kSchema1[] = R"sql(
  CREATE TABLE fact (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE invocation (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    request BLOB NOT NULL,
    stage INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    answer_kind INTEGER NOT NULL DEFAULT 0,
    answer BLOB NOT NULL DEFAULT x'',
    personal_of BLOB NOT NULL DEFAULT x'',
    outcome BLOB NOT NULL DEFAULT x'');
  CREATE TABLE good_model (
    name BLOB PRIMARY KEY, model BLOB NOT NULL, security_version INTEGER NOT NULL,
    file BLOB NOT NULL, status BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE attempted (name BLOB PRIMARY KEY, model BLOB NOT NULL, status BLOB NOT NULL)
    WITHOUT ROWID;
  CREATE TABLE floor (name BLOB PRIMARY KEY, security_version INTEGER NOT NULL) WITHOUT ROWID;
  PRAGMA user_version = 1;
)sql";

constexpr char kSchema2[] = R"sql(
  CREATE TABLE secagg_session (
    invocation BLOB PRIMARY KEY, params BLOB NOT NULL, phase INTEGER NOT NULL,
    masking BLOB NOT NULL, state BLOB NOT NULL, updated INTEGER NOT NULL);
  PRAGMA user_version = 2;
)sql";
constexpr const char* kSchemas[] = {kSchema1, kSchema2};  // never edited once released
constexpr int64_t kVersion = std::size(kSchemas);

constexpr int64_t kNoAnswer = 0, kUpdateAnswer = 1, kResultAnswer = 2;
constexpr char kColumns[] =
    "request, stage, attempts, answer_kind, answer, personal_of, outcome FROM invocation ";

absl::Status Damaged(std::string_view what) {
  return absl::DataLossError(
      Cat("the journal's ", what, " is damaged: move journal.db away to start with an empty one"));
}

// DesiredState is the codec's only door for one model, so a lone one travels in a state.
std::string PackModel(const DesiredModel& model) {
  return EncodeDesiredState({.generation = 1, .models = {model}}).SerializeAsString();
}
absl::StatusOr<DesiredModel> UnpackModel(const std::string& bytes) {
  v1::DesiredState wire;
  if (!wire.ParseFromString(bytes)) return Damaged("model");
  MUSTER_ASSIGN_OR_RETURN(DesiredState state, DecodeDesiredState(wire));
  if (state.models.size() != 1) return Damaged("model");
  return state.models[0];
}
absl::StatusOr<ModelStatus> UnpackStatus(const std::string& bytes) {
  v1::ModelStatus wire;
  if (!wire.ParseFromString(bytes)) return Damaged("model status");
  return DecodeModelStatus(wire);
}

absl::StatusOr<std::optional<Answer>> UnpackAnswer(int64_t kind, const std::string& bytes) {
  if (kind == kNoAnswer) return std::nullopt;
  if (kind == kUpdateAnswer) {
    v1::SubmitUpdateRequest wire;
    if (!wire.ParseFromString(bytes)) return Damaged("answer");
    MUSTER_ASSIGN_OR_RETURN(UpdateOffer offer, DecodeUpdateOffer(wire));
    return Answer(std::move(offer));
  }
  v1::SubmitResultRequest wire;
  if (!wire.ParseFromString(bytes)) return Damaged("answer");
  MUSTER_ASSIGN_OR_RETURN(ResultOffer offer, DecodeResultOffer(wire));
  return Answer(std::move(offer));
}

absl::StatusOr<JournalEntry> ReadEntry(const SqliteStatement& row) {
  JournalEntry entry;
  v1::Invocation wire;
  if (!wire.ParseFromString(row.Blob(0))) return Damaged("invocation");
  MUSTER_ASSIGN_OR_RETURN(entry.invocation, DecodeInvocation(wire));
  entry.stage = static_cast<Stage>(row.Integer(1));
  entry.attempts = static_cast<uint32_t>(row.Integer(2));
  MUSTER_ASSIGN_OR_RETURN(entry.answer, UnpackAnswer(row.Integer(3), row.Blob(4)));
  entry.personal_of = row.Blob(5);
  entry.outcome = row.Blob(6);
  return entry;
}

}  // namespace

Metering AddUp(const Metering& a, const Metering& b) {
  return {.wall = a.wall + b.wall,
          .cpu = a.cpu + b.cpu,
          .peak_memory_bytes = std::max(a.peak_memory_bytes, b.peak_memory_bytes),
          .bytes_down = a.bytes_down + b.bytes_down,
          .bytes_up = a.bytes_up + b.bytes_up,
          .cold_start = a.cold_start || b.cold_start};
}

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(const std::filesystem::path& file) {
  MUSTER_ASSIGN_OR_RETURN(auto db, SqliteDatabase::Open(file));
  std::unique_ptr<Journal> journal(new Journal(std::move(db)));
  MUSTER_RETURN_IF_ERROR(journal->Migrate());
  return journal;
}

absl::Status Journal::Migrate() {
  MUSTER_ASSIGN_OR_RETURN(auto query, db_->Prepare("PRAGMA user_version"));
  MUSTER_RETURN_IF_ERROR(query.Step().status());
  const int64_t version = query.Integer(0);
  if (version == kVersion) return absl::OkStatus();
  if (version < 0 || version > kVersion) {
    return absl::FailedPreconditionError(
        Cat("the journal has version ", version,
            ", made by a newer muster-client: run that one, or move journal.db away"));
  }
  query = SqliteStatement(db_.get(), nullptr);  // an open read would bar the transaction
  MUSTER_ASSIGN_OR_RETURN(auto transaction, SqliteTransaction::Begin(*db_));
  for (int64_t next = version; next < kVersion; ++next) {
    MUSTER_RETURN_IF_ERROR(db_->Execute(kSchemas[next]));
  }
  return transaction.Commit();
}

absl::Status Journal::Receive(const Invocation& invocation) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(auto insert,
                          db_->Prepare("INSERT INTO invocation (id, request, stage) "
                                       "VALUES (?, ?, 0) ON CONFLICT (id) DO NOTHING"));
  return insert.Bind(invocation.id.value())
      .Bind(EncodeInvocation(invocation).SerializeAsString())
      .Run();
}

absl::StatusOr<uint32_t> Journal::StartAttempt(const InvocationId& id) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(auto transaction, SqliteTransaction::Begin(*db_));
  MUSTER_ASSIGN_OR_RETURN(std::optional<JournalEntry> entry, FindLocked(id));
  if (!entry) {
    return absl::NotFoundError(Cat("invocation ", id.value(), " is not in the journal"));
  }
  if (entry->stage >= Stage::kReady) {
    return absl::FailedPreconditionError(
        Cat("invocation ", id.value(), " has its outcome already"));
  }
  {
    MUSTER_ASSIGN_OR_RETURN(
        auto update,
        db_->Prepare("UPDATE invocation SET stage = 1, attempts = attempts + 1 WHERE id = ?"));
    MUSTER_RETURN_IF_ERROR(update.Bind(id.value()).Run());
  }
  MUSTER_RETURN_IF_ERROR(transaction.Commit());
  return entry->attempts + 1;
}

absl::Status Journal::StoreAnswer(const InvocationId& id, const Answer& answer,
                                  const std::string& personal_of) {
  const bool update = std::holds_alternative<UpdateOffer>(answer);
  const std::string bytes =
      update ? EncodeUpdateOffer(std::get<UpdateOffer>(answer)).SerializeAsString()
             : EncodeResultOffer(std::get<ResultOffer>(answer)).SerializeAsString();
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(
      auto statement,
      db_->Prepare("UPDATE invocation SET stage = 2, answer_kind = ?, answer = ?, personal_of = ? "
                   "WHERE id = ? AND stage < 2"));
  return statement.Bind(update ? kUpdateAnswer : kResultAnswer)
      .Bind(bytes)
      .Bind(personal_of)
      .Bind(id.value())
      .Run();
}

absl::Status Journal::MarkAnswered(const InvocationId& id, const std::string& outcome) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(auto transaction, SqliteTransaction::Begin(*db_));
  {
    MUSTER_ASSIGN_OR_RETURN(auto update,
                            db_->Prepare("UPDATE invocation SET stage = 3, outcome = ?, "
                                         "personal_of = x'' WHERE id = ? AND stage < 3"));
    MUSTER_RETURN_IF_ERROR(update.Bind(outcome).Bind(id.value()).Run());
    MUSTER_RETURN_IF_ERROR(DeleteSecAggSession(id));
    MUSTER_ASSIGN_OR_RETURN(
        auto trim, db_->Prepare("DELETE FROM invocation WHERE stage = 3 AND seq NOT IN (SELECT seq "
                                "FROM invocation WHERE stage = 3 ORDER BY seq DESC LIMIT ?)"));
    MUSTER_RETURN_IF_ERROR(trim.Bind(static_cast<int64_t>(kKeptInvocations)).Run());
  }
  return transaction.Commit();
}

absl::StatusOr<std::optional<JournalEntry>> Journal::FindLocked(const InvocationId& id) {
  MUSTER_ASSIGN_OR_RETURN(auto query, db_->Prepare(Cat("SELECT ", kColumns, "WHERE id = ?")));
  MUSTER_ASSIGN_OR_RETURN(const bool found, query.Bind(id.value()).Step());
  if (!found) return std::nullopt;
  return ReadEntry(query);
}

absl::StatusOr<std::optional<JournalEntry>> Journal::Find(const InvocationId& id) {
  std::lock_guard lock(mutex_);
  return FindLocked(id);
}

absl::StatusOr<std::vector<JournalEntry>> Journal::Select(std::string_view where) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(auto query, db_->Prepare(Cat("SELECT ", kColumns, where)));
  std::vector<JournalEntry> entries;
  for (;;) {
    MUSTER_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return entries;
    MUSTER_ASSIGN_OR_RETURN(JournalEntry entry, ReadEntry(query));
    entries.push_back(std::move(entry));
  }
}

absl::StatusOr<std::vector<JournalEntry>> Journal::Unfinished() {
  return Select("WHERE stage < 3 ORDER BY seq");
}

absl::StatusOr<std::vector<JournalEntry>> Journal::Recent(size_t limit) {
  return Select(Cat("ORDER BY seq DESC LIMIT ", limit));
}

absl::StatusOr<std::string> Journal::Get(std::string_view key) {
  MUSTER_ASSIGN_OR_RETURN(auto query, db_->Prepare("SELECT value FROM fact WHERE key = ?"));
  MUSTER_ASSIGN_OR_RETURN(const bool found, query.Bind(key).Step());
  return found ? query.Blob(0) : std::string();
}

absl::Status Journal::Put(std::string_view key, std::string_view value) {
  MUSTER_ASSIGN_OR_RETURN(auto statement,
                          db_->Prepare("INSERT INTO fact (key, value) VALUES (?, ?) ON CONFLICT "
                                       "(key) DO UPDATE SET value = excluded.value"));
  return statement.Bind(key).Bind(value).Run();
}

absl::Status Journal::SetDesired(const DesiredState& desired) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(std::optional<DesiredState> stored, Desired());
  if (stored && stored->generation >= desired.generation) return absl::OkStatus();
  return Put("desired", EncodeDesiredState(desired).SerializeAsString());
}

absl::StatusOr<std::optional<DesiredState>> Journal::Desired() {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(const std::string bytes, Get("desired"));
  if (bytes.empty()) return std::nullopt;
  v1::DesiredState wire;
  if (!wire.ParseFromString(bytes)) return Damaged("desired state");
  MUSTER_ASSIGN_OR_RETURN(DesiredState state, DecodeDesiredState(wire));
  return state;
}

absl::Status Journal::SetApplied(uint64_t generation) {
  std::lock_guard lock(mutex_);
  v1::DesiredState wire;
  wire.set_generation(generation);
  return Put("applied", wire.SerializeAsString());
}

absl::StatusOr<uint64_t> Journal::Applied() {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(const std::string bytes, Get("applied"));
  v1::DesiredState wire;
  if (!wire.ParseFromString(bytes)) return Damaged("applied generation");
  return wire.generation();
}

absl::Status Journal::CommitModel(const GoodModel& good) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(auto transaction, SqliteTransaction::Begin(*db_));
  const std::string& name = good.model.name.value();
  const auto security_version = static_cast<int64_t>(good.security_version);
  {
    MUSTER_ASSIGN_OR_RETURN(
        auto insert,
        db_->Prepare("INSERT OR REPLACE INTO good_model (name, model, security_version, file, "
                     "status) VALUES (?, ?, ?, ?, ?)"));
    MUSTER_RETURN_IF_ERROR(insert.Bind(name)
                               .Bind(PackModel(good.model))
                               .Bind(security_version)
                               .Bind(good.file)
                               .Bind(EncodeModelStatus(good.status).SerializeAsString())
                               .Run());
    MUSTER_ASSIGN_OR_RETURN(
        auto floor, db_->Prepare("INSERT INTO floor (name, security_version) VALUES (?, ?) ON "
                                 "CONFLICT (name) DO UPDATE SET security_version = "
                                 "max(security_version, excluded.security_version)"));
    MUSTER_RETURN_IF_ERROR(floor.Bind(name).Bind(security_version).Run());
  }
  return transaction.Commit();
}

absl::Status Journal::RemoveModel(const ModelName& name) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(auto transaction, SqliteTransaction::Begin(*db_));
  for (const char* sql :
       {"DELETE FROM good_model WHERE name = ?", "DELETE FROM attempted WHERE name = ?"}) {
    MUSTER_ASSIGN_OR_RETURN(auto statement, db_->Prepare(sql));
    MUSTER_RETURN_IF_ERROR(statement.Bind(name.value()).Run());
  }
  return transaction.Commit();
}

absl::StatusOr<std::vector<GoodModel>> Journal::GoodModels() {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(
      auto query,
      db_->Prepare("SELECT model, security_version, file, status FROM good_model ORDER BY name"));
  std::vector<GoodModel> models;
  for (;;) {
    MUSTER_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return models;
    GoodModel good;
    MUSTER_ASSIGN_OR_RETURN(good.model, UnpackModel(query.Blob(0)));
    good.security_version = static_cast<uint64_t>(query.Integer(1));
    good.file = query.Blob(2);
    MUSTER_ASSIGN_OR_RETURN(good.status, UnpackStatus(query.Blob(3)));
    models.push_back(std::move(good));
  }
}

absl::StatusOr<uint64_t> Journal::Floor(const ModelName& name) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(auto query,
                          db_->Prepare("SELECT security_version FROM floor WHERE name = ?"));
  MUSTER_ASSIGN_OR_RETURN(const bool found, query.Bind(name.value()).Step());
  return found ? static_cast<uint64_t>(query.Integer(0)) : 0;
}

absl::Status Journal::SetAttempted(const Attempted& attempted) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(
      auto statement,
      db_->Prepare("INSERT OR REPLACE INTO attempted (name, model, status) VALUES (?, ?, ?)"));
  return statement.Bind(attempted.model.name.value())
      .Bind(PackModel(attempted.model))
      .Bind(EncodeModelStatus(attempted.status).SerializeAsString())
      .Run();
}

absl::StatusOr<std::vector<Journal::Attempted>> Journal::AttemptedModels() {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(auto query,
                          db_->Prepare("SELECT model, status FROM attempted ORDER BY name"));
  std::vector<Attempted> all;
  for (;;) {
    MUSTER_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return all;
    Attempted attempted;
    MUSTER_ASSIGN_OR_RETURN(attempted.model, UnpackModel(query.Blob(0)));
    MUSTER_ASSIGN_OR_RETURN(attempted.status, UnpackStatus(query.Blob(1)));
    all.push_back(std::move(attempted));
  }
}

absl::Status Journal::AddMetering(const Metering& metering) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(const Metering sum, UnreportedMetering());
  return Put("metering", EncodeMetering(AddUp(sum, metering)).SerializeAsString());
}

absl::StatusOr<Metering> Journal::UnreportedMetering() {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(const std::string bytes, Get("metering"));
  v1::Metering wire;
  if (!wire.ParseFromString(bytes)) return Damaged("metering");
  return DecodeMetering(wire);
}

absl::StatusOr<StateReport> Journal::PrepareReport(StateReport report,
                                                   const std::string& report_id) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(std::optional<StateReport> pending, PendingReport());
  if (pending) return *std::move(pending);
  MUSTER_ASSIGN_OR_RETURN(report.metering, UnreportedMetering());
  report.report_id = report_id;
  MUSTER_ASSIGN_OR_RETURN(auto transaction, SqliteTransaction::Begin(*db_));
  MUSTER_RETURN_IF_ERROR(Put("report", EncodeStateReport(report).SerializeAsString()));
  MUSTER_RETURN_IF_ERROR(Put("metering", ""));
  MUSTER_RETURN_IF_ERROR(transaction.Commit());
  return report;
}

absl::StatusOr<std::optional<StateReport>> Journal::PendingReport() {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(const std::string bytes, Get("report"));
  if (bytes.empty()) return std::nullopt;
  v1::ReportStateRequest wire;
  if (!wire.ParseFromString(bytes)) return Damaged("report");
  MUSTER_ASSIGN_OR_RETURN(StateReport report, DecodeStateReport(wire));
  return report;
}

absl::Status Journal::ReportTaken(const std::string& report_id) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(std::optional<StateReport> pending, PendingReport());
  if (!pending || pending->report_id != report_id) return absl::OkStatus();
  return Put("report", "");
}

}  // namespace muster
