#include "coordinator/store/sql/json_text.h"
#include "coordinator/store/sql/sql_rows.h"

namespace muster {
namespace {

const Table& Devices() {
  static const Table table = MakeTable("device", {"id"},
                                       {"row_version",
                                        "labels",
                                        "revoked",
                                        "revoked_reason",
                                        "enrolled_us",
                                        "last_seen_us",
                                        "certificate_serial",
                                        "certificate_expires_us",
                                        "agent_version",
                                        "idle",
                                        "charging",
                                        "unmetered",
                                        "custom",
                                        "has_data",
                                        "train_examples",
                                        "applied_generation",
                                        "models",
                                        "last_report_id",
                                        "certificate_ca",
                                        "trust_generation"});
  return table;
}

const Table& Tokens() {
  static const Table table = MakeTable("token", {"id"},
                                       {"row_version", "secret_hash", "uses", "used", "created_us",
                                        "expires_us", "labels", "revoked"});
  return table;
}

DeviceRecord ReadDevice(Row& row) {
  DeviceRecord device;
  device.id = row.Name<DeviceId>();
  device.row_version = row.U64();
  device.labels = row.Parsed<Labels>(LabelsFromText);
  device.revoked = row.Bool();
  device.revoked_reason = row.Text();
  device.enrolled = row.Time();
  device.last_seen = row.Time();
  device.certificate_serial = row.Text();
  device.certificate_expires = row.Time();
  device.agent_version = row.Text();
  device.eligibility.idle = row.Bool();
  device.eligibility.charging = row.Bool();
  device.eligibility.unmetered = row.Bool();
  device.eligibility.custom = row.Bool();
  device.eligibility.has_data = row.Bool();
  device.eligibility.train_examples = row.U64();
  device.applied_generation = row.U64();
  device.models = row.Parsed<std::vector<ModelStatus>>(ModelStatusesFromText);
  device.last_report_id = row.Text();
  device.certificate_ca = row.U32();
  device.trust_generation = row.U64();
  return device;
}

TokenRecord ReadToken(Row& row) {
  TokenRecord token;
  token.id = row.Name<TokenId>();
  token.row_version = row.U64();
  token.secret_hash = row.Hash();
  token.uses = row.U32();
  token.used = row.U32();
  token.created = row.Time();
  token.expires = row.Time();
  token.labels = row.Parsed<Labels>(LabelsFromText);
  token.revoked = row.Bool();
  return token;
}

// As in PostgreSQL's migrations: a device's place in the index changes once in so long, not with
// every call.
constexpr Duration kSeenSlot = std::chrono::minutes(5);
constexpr size_t kDevicesAtOnce = 1000;

size_t ReadCount(Row& row) { return static_cast<size_t>(row.U64()); }

}  // namespace

absl::StatusOr<DeviceRecord> SqlRows::FindDevice(const DeviceId& id) const {
  return Find(Devices(), id.value(), ReadDevice, id);
}

absl::StatusOr<std::vector<DeviceRecord>> SqlRows::ListDevices(const Page& page) const {
  static const std::string sql = Devices().select + " WHERE id > ? ORDER BY id LIMIT ?";
  return List(sql, ReadDevice, page.after, page.limit);
}

absl::StatusOr<size_t> SqlRows::CountDevices() const {
  MUSTER_ASSIGN_OR_RETURN(Statement count, db_.Prepare("SELECT count(*) FROM device"));
  MUSTER_ASSIGN_OR_RETURN(const std::optional<size_t> number, count.One(ReadCount));
  return number.value_or(0);
}

absl::Status SqlRows::VisitDevicesSeen(Timestamp since, const StoreReader::OnDevice& visit) const {
  static const std::string by_time =
      Devices().select +
      " WHERE (last_seen_us, id) > (?, ?) AND last_seen_us >= ? ORDER BY last_seen_us, id LIMIT ?";
  static const std::string by_slot =
      Devices().select +
      " WHERE (seen_slot, id) > (?, ?) AND last_seen_us >= ? ORDER BY seen_slot, id LIMIT ?";
  const bool slots = db_.ManyWriters();
  const auto place = [&](Timestamp seen) {
    return slots ? seen.unix_us / kSeenSlot.count() : seen.unix_us;
  };
  int64_t after = place(since);
  std::string id;  // before all ids
  while (true) {
    MUSTER_ASSIGN_OR_RETURN(auto devices, List(slots ? by_slot : by_time, ReadDevice, after, id,
                                               since, kDevicesAtOnce));
    const bool last = devices.size() < kDevicesAtOnce;
    if (!last) {
      after = place(devices.back().last_seen);
      id = devices.back().id.value();
    }
    for (DeviceRecord& device : devices) MUSTER_RETURN_IF_ERROR(visit(std::move(device)));
    if (last) return absl::OkStatus();
  }
}

absl::Status SqlRows::PutDevice(const DeviceRecord& record) {
  const Eligibility& eligibility = record.eligibility;
  MUSTER_ASSIGN_OR_RETURN(Statement put, PreparePut(Devices(), record.row_version));
  put.BindAll(record.id, record.row_version + 1, LabelsToText(record.labels), record.revoked,
              record.revoked_reason, record.enrolled, record.last_seen, record.certificate_serial,
              record.certificate_expires, record.agent_version, eligibility.idle,
              eligibility.charging, eligibility.unmetered, eligibility.custom, eligibility.has_data,
              eligibility.train_examples, record.applied_generation,
              ModelStatusesToText(record.models), record.last_report_id, record.certificate_ca,
              record.trust_generation);
  return Put(std::move(put), Devices(), record.id.value(), record.row_version, Unexplained(),
             record.id);
}

absl::StatusOr<TokenRecord> SqlRows::FindToken(const TokenId& id) const {
  return Find(Tokens(), id.value(), ReadToken, id);
}

absl::StatusOr<std::vector<TokenRecord>> SqlRows::ListTokens() const {
  static const std::string sql = Tokens().select + " ORDER BY created_us DESC, id DESC";
  return List(sql, ReadToken);
}

absl::Status SqlRows::PutToken(const TokenRecord& record) {
  MUSTER_ASSIGN_OR_RETURN(Statement put, PreparePut(Tokens(), record.row_version));
  put.BindAll(record.id, record.row_version + 1, record.secret_hash, record.uses, record.used,
              record.created, record.expires, LabelsToText(record.labels), record.revoked);
  return Put(std::move(put), Tokens(), record.id.value(), record.row_version, Unexplained(),
             record.id);
}

}  // namespace muster
