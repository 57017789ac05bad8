// Open sessions of secure aggregation in the journal.
#include "client/agent/journal.h"
#include "client/agent/text.h"
#include "proto/codec/device_codec.h"
#include "proto/codec/secagg_codec.h"
#include "proto/core/status.h"

namespace muster {
namespace {

absl::Status Damaged(std::string_view what) {
  return absl::DataLossError(
      text::Cat("the journal's ", what, " of a secure aggregation session is damaged"));
}

absl::StatusOr<std::optional<secagg::Params>> UnpackParams(const std::string& bytes) {
  if (bytes.empty()) return std::nullopt;
  v1::SecAggParams wire;
  if (!wire.ParseFromString(bytes)) return Damaged("parameters");
  absl::StatusOr<secagg::Params> params = DecodeSecAggParams(wire);
  if (!params.ok()) return Damaged("parameters");
  return *std::move(params);
}

}  // namespace

absl::Status Journal::PutSecAggSession(const InvocationId& id, const SecAggSession& session) {
  std::string params;
  if (session.params.has_value()) params = EncodeSecAggParams(*session.params).SerializeAsString();
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(
      auto statement,
      db_->Prepare("INSERT OR REPLACE INTO secagg_session (invocation, params, phase, masking, "
                   "state, updated) VALUES (?, ?, ?, ?, ?, ?)"));
  return statement.Bind(id.value())
      .Bind(params)
      .Bind(static_cast<int64_t>(session.phase))
      .Bind(EncodeMetering(session.masking).SerializeAsString())
      .Bind(session.sealed)
      .Bind(session.updated.unix_us)
      .Run();
}

absl::StatusOr<std::optional<SecAggSession>> Journal::FindSecAggSession(const InvocationId& id) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(auto query,
                          db_->Prepare("SELECT params, phase, masking, state, updated FROM "
                                       "secagg_session WHERE invocation = ?"));
  MUSTER_ASSIGN_OR_RETURN(const bool found, query.Bind(id.value()).Step());
  if (!found) return std::nullopt;
  SecAggSession session;
  MUSTER_ASSIGN_OR_RETURN(session.params, UnpackParams(query.Blob(0)));
  const int64_t phase = query.Integer(1);
  if (phase < 0 || phase > static_cast<int64_t>(secagg::Phase::kUnmask)) return Damaged("phase");
  session.phase = static_cast<secagg::Phase>(phase);
  v1::Metering masking;
  if (!masking.ParseFromString(query.Blob(2))) return Damaged("metering");
  const absl::StatusOr<Metering> cost = DecodeMetering(masking);
  if (!cost.ok()) return Damaged("metering");
  session.masking = *cost;
  session.sealed = query.Blob(3);
  session.updated = {query.Integer(4)};
  return session;
}

absl::Status Journal::DeleteSecAggSession(const InvocationId& id) {
  std::lock_guard lock(mutex_);
  MUSTER_ASSIGN_OR_RETURN(auto statement,
                          db_->Prepare("DELETE FROM secagg_session WHERE invocation = ?"));
  return statement.Bind(id.value()).Run();
}

}  // namespace muster
