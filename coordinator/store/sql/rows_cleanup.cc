// What garbage collection lets go.
#include "coordinator/store/sql/sql_rows.h"

namespace muster {

absl::Status SqlRows::DeleteModel(const ModelVersion& id) {
  MUSTER_ASSIGN_OR_RETURN(Statement remove,
                          db_.Prepare("DELETE FROM model WHERE name = ? AND version = ?"));
  return remove.BindAll(id.name, id.version).Run();
}

absl::StatusOr<size_t> SqlRows::DeleteInvocations(const JobId& job, size_t limit) {
  MUSTER_ASSIGN_OR_RETURN(Statement remove,
                          db_.Prepare("DELETE FROM invocation WHERE id IN"
                                      " (SELECT id FROM invocation WHERE job = ? LIMIT ?)"));
  return remove.BindAll(job, limit).RunCounting();
}

absl::StatusOr<size_t> SqlRows::DeleteUsage(const std::string& job) {
  MUSTER_ASSIGN_OR_RETURN(Statement remove, db_.Prepare("DELETE FROM usage WHERE job = ?"));
  return remove.Bind(job).RunCounting();
}

}  // namespace muster
