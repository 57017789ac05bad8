#include "coordinator/store/sqlite/migrations.h"

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr char kCreateVersionTable[] =
    "CREATE TABLE schema_version ("
    "  version INTEGER PRIMARY KEY,"
    "  name    TEXT NOT NULL"
    ") STRICT";

absl::StatusOr<int64_t> Number(Connection& connection, std::string_view sql) {
  MUSTER_ASSIGN_OR_RETURN(Statement statement, connection.Prepare(sql));
  MUSTER_RETURN_IF_ERROR(statement.Step().status());
  Row row = statement.row();
  const int64_t number = row.I64();
  MUSTER_RETURN_IF_ERROR(row.status());
  return number;
}

absl::Status Apply(Connection& connection, int64_t version, const Migration& migration) {
  MUSTER_RETURN_IF_ERROR(connection.Execute("BEGIN IMMEDIATE"));
  absl::Status status;
  if (version == 1) status = connection.Execute(kCreateVersionTable);
  if (status.ok()) status = connection.Execute(migration.sql);
  if (status.ok()) {
    absl::StatusOr<Statement> insert =
        connection.Prepare("INSERT INTO schema_version (version, name) VALUES (?, ?)");
    status = insert.ok() ? insert->BindAll(version, migration.name).Run() : insert.status();
  }
  if (status.ok()) status = connection.Execute("COMMIT");
  if (!status.ok() && connection.InTransaction()) {
    connection.Execute("ROLLBACK").IgnoreError();
  }
  return Annotate(status, StrCat("schema step ", migration.name));
}

}  // namespace

absl::StatusOr<int64_t> SchemaVersion(Connection& connection) {
  MUSTER_ASSIGN_OR_RETURN(const int64_t known, Number(connection,
                                                      "SELECT count(*) FROM sqlite_schema"
                                                      " WHERE name = 'schema_version'"));
  if (known > 0) {
    return Number(connection, "SELECT coalesce(max(version), 0) FROM schema_version");
  }
  MUSTER_ASSIGN_OR_RETURN(const int64_t others,
                          Number(connection, "SELECT count(*) FROM sqlite_schema"));
  if (others == 0) return 0;
  return absl::FailedPreconditionError(
      StrCat(connection.path().string(),
             " is a database of another program; choose another folder for the store"));
}

absl::Status CheckSchema(Connection& connection, std::span<const Migration> migrations) {
  MUSTER_ASSIGN_OR_RETURN(const int64_t found, SchemaVersion(connection));
  return CheckSchemaIsNewest(connection.path().string(), found, migrations);
}

absl::Status Migrate(Connection& connection, std::span<const Migration> migrations) {
  MUSTER_ASSIGN_OR_RETURN(const int64_t found, SchemaVersion(connection));
  const auto newest = static_cast<int64_t>(migrations.size());
  MUSTER_RETURN_IF_ERROR(CheckSchemaIsKnown(connection.path().string(), found, migrations));
  for (int64_t version = found + 1; version <= newest; ++version) {
    MUSTER_RETURN_IF_ERROR(
        Apply(connection, version, migrations[static_cast<size_t>(version - 1)]));
  }
  return absl::OkStatus();
}

}  // namespace muster
