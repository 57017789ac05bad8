#include "coordinator/store/postgres/pg_migrations.h"

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

// The advisory lock's number: "muster" in ASCII. One migrates at a time in one database.
constexpr int64_t kMigrationLock = 0x6d7573746572;

constexpr char kCreateVersionTable[] =
    "CREATE TABLE schema_version (version BIGINT PRIMARY KEY, name TEXT COLLATE \"C\" NOT NULL)";

std::string Where(const PgConnection& db) { return StrCat("PostgreSQL at ", db.info().where()); }

struct Found {
  std::string schema;
  int64_t tables = 0;
  bool ours = false;
};

Found ReadFound(Row& row) {
  Found found;
  found.schema = row.Text();
  found.tables = row.I64();
  found.ours = row.I64() > 0;
  return found;
}

int64_t ReadNumber(Row& row) { return row.I64(); }

// Inside a transaction that holds the lock.
absl::StatusOr<bool> ApplyNext(PgConnection& db, std::span<const Migration> migrations) {
  static constexpr char kLock[] = "SELECT pg_advisory_xact_lock(?)";
  {
    MUSTER_ASSIGN_OR_RETURN(Statement lock, db.Prepare(kLock));
    MUSTER_RETURN_IF_ERROR(lock.Bind(kMigrationLock).Run());
  }
  MUSTER_ASSIGN_OR_RETURN(const int64_t found, SchemaVersion(db));
  MUSTER_RETURN_IF_ERROR(CheckSchemaIsKnown(Where(db), found, migrations));
  if (found == static_cast<int64_t>(migrations.size())) return false;
  const Migration& next = migrations[static_cast<size_t>(found)];
  const std::string step = StrCat("schema step ", next.name);
  if (found == 0) MUSTER_RETURN_IF_ERROR(Annotate(db.Execute(kCreateVersionTable).status(), step));
  MUSTER_RETURN_IF_ERROR(Annotate(db.Execute(next.sql).status(), step));
  MUSTER_ASSIGN_OR_RETURN(Statement insert,
                          db.Prepare("INSERT INTO schema_version (version, name) VALUES (?, ?)"));
  MUSTER_RETURN_IF_ERROR(Annotate(insert.BindAll(found + 1, next.name).Run(), step));
  return true;
}

}  // namespace

absl::StatusOr<int64_t> SchemaVersion(PgConnection& db) {
  static constexpr char kLook[] =
      "SELECT coalesce(current_schema()::text, ''), count(c.oid),"
      " count(c.oid) FILTER (WHERE c.relname = 'schema_version')"
      " FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r'"
      " WHERE n.nspname = current_schema()";
  MUSTER_ASSIGN_OR_RETURN(Statement look, db.Prepare(kLook));
  MUSTER_ASSIGN_OR_RETURN(const auto row, look.One(ReadFound));
  const Found found = row.value_or(Found{});
  const std::string where = Where(db);
  if (found.schema.empty()) {
    return absl::FailedPreconditionError(
        StrCat(where, ": no schema of search_path exists; create it first"));
  }
  if (!found.ours && found.tables > 0) {
    return absl::FailedPreconditionError(
        StrCat(where, ": schema ", found.schema,
               " holds tables of another program; give the coordinator a database of its own"));
  }
  if (!found.ours) return 0;
  MUSTER_ASSIGN_OR_RETURN(Statement newest,
                          db.Prepare("SELECT coalesce(max(version), 0) FROM schema_version"));
  MUSTER_ASSIGN_OR_RETURN(const auto version, newest.One(ReadNumber));
  return version.value_or(0);
}

absl::Status CheckSchema(PgConnection& db, std::span<const Migration> migrations) {
  MUSTER_ASSIGN_OR_RETURN(const int64_t found, SchemaVersion(db));
  return CheckSchemaIsNewest(Where(db), found, migrations);
}

absl::Status MigratePostgres(PgConnection& db, std::span<const Migration> migrations) {
  // Whoever finds everything in place waits for nobody.
  MUSTER_ASSIGN_OR_RETURN(const int64_t found, SchemaVersion(db));
  if (found == static_cast<int64_t>(migrations.size())) return absl::OkStatus();
  while (true) {
    // A step over large tables takes its time, and so does another replica's.
    MUSTER_RETURN_IF_ERROR(
        db.Execute("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 0;"
                   " SET LOCAL lock_timeout = 0")
            .status());
    const absl::StatusOr<bool> applied = ApplyNext(db, migrations);
    if (!applied.ok() || !*applied) {
      db.Execute("ROLLBACK").IgnoreError();
      db.Forgive();
      return applied.status();
    }
    MUSTER_RETURN_IF_ERROR(db.Commit(""));
  }
}

}  // namespace muster
