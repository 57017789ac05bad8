#include "coordinator/store/names.h"
#include "coordinator/store/sql/json_text.h"
#include "coordinator/store/sql/sql_rows.h"

namespace muster {
namespace {

const Table& Models() {
  static const Table table =
      MakeTable("model", {"name", "version"},
                {"row_version", "package", "weights", "module", "manifest", "optimizer_state",
                 "weights_bytes", "job", "round", "parent_weights", "clients", "examples",
                 "aggregation", "created_us", "metrics", "evaluation"});
  return table;
}

const Table& Promotions() {
  static const Table table =
      MakeTable("promotion", {"id"},
                {"row_version", "name", "version", "package", "cohort", "personalize", "phase",
                 "created_us", "created_by", "previous_version", "generation"});
  return table;
}

const Table& Usage() {
  static const Table table =
      MakeTable("usage", {"job", "device"},
                {"invocations", "wall_us", "cpu_us", "bytes_up", "bytes_down", "cold_starts"});
  return table;
}

ModelRecord ReadModel(Row& row) {
  ModelRecord model;
  model.id.name = row.Name<ModelName>();
  model.id.version = row.U32();
  model.row_version = row.U64();
  model.package = row.Hash();
  model.weights = row.Hash();
  model.module = row.Hash();
  model.manifest = row.Hash();
  model.optimizer_state = row.Hash();
  model.weights_bytes = row.U64();
  model.lineage.job = row.Name<JobId>();
  model.lineage.round = row.U32();
  model.lineage.parent_weights = row.Hash();
  model.lineage.clients = row.U64();
  model.lineage.examples = row.U64();
  model.lineage.aggregation = row.Text();
  model.lineage.created = row.Time();
  model.lineage.metrics = row.Parsed<Metrics>(MetricsFromText);
  model.evaluation = row.Parsed<Metrics>(MetricsFromText);
  return model;
}

PromotionRecord ReadPromotion(Row& row) {
  PromotionRecord promotion;
  promotion.id = row.Name<PromotionId>();
  promotion.row_version = row.U64();
  promotion.model.name = row.Name<ModelName>();
  promotion.model.version = row.U32();
  promotion.package = row.Hash();
  promotion.cohort = row.Parsed<Selector>(Selector::Parse);
  promotion.personalize = row.Bool();
  promotion.phase = row.Enum<PromotionPhase>(ParsePromotionPhase);
  promotion.created = row.Time();
  promotion.created_by = row.Text();
  promotion.previous_version = row.U32();
  promotion.generation = row.U64();
  return promotion;
}

UsageRecord ReadUsage(Row& row) {
  UsageRecord usage;
  usage.job = row.Text();
  usage.device = row.Name<DeviceId>();
  usage.invocations = row.U64();
  usage.wall_us = row.U64();
  usage.cpu_us = row.U64();
  usage.bytes_up = row.U64();
  usage.bytes_down = row.U64();
  usage.cold_starts = row.U64();
  return usage;
}

}  // namespace

absl::StatusOr<ModelRecord> SqlRows::FindModel(const ModelVersion& id) const {
  return Find(Models(), id.ToString(), ReadModel, id.name, id.version);
}

absl::StatusOr<ModelRecord> SqlRows::FindLatestModel(const ModelName& name) const {
  static const std::string sql = Models().select + " WHERE name = ? ORDER BY version DESC LIMIT 1";
  MUSTER_ASSIGN_OR_RETURN(Statement find, db_.Prepare(sql));
  MUSTER_ASSIGN_OR_RETURN(std::optional<ModelRecord> model, find.Bind(name).One(ReadModel));
  if (!model.has_value()) return NoSuchRecord("model", name.value());
  return *std::move(model);
}

absl::StatusOr<std::vector<ModelRecord>> SqlRows::ListModels(const std::string& name,
                                                             const Page& page) const {
  static const std::string order = " ORDER BY name, version DESC LIMIT ?";
  static const std::string of_one = Models().select + " WHERE name = ? AND version < ?" + order;
  static const std::string of_all =
      Models().select + " WHERE name > ?1 OR (name = ?1 AND version < ?2)" + order;
  ModelVersion after;
  if (!page.after.empty()) {
    MUSTER_ASSIGN_OR_RETURN(after, ModelVersion::Parse(page.after));
  }
  if (name.empty()) return List(of_all, ReadModel, after.name, after.version, page.limit);
  if (after.name.value() > name) return std::vector<ModelRecord>();
  const int64_t below =
      after.name.value() == name ? int64_t{after.version} : std::numeric_limits<int64_t>::max();
  return List(of_one, ReadModel, name, below, page.limit);
}

absl::Status SqlRows::PutModel(const ModelRecord& record) {
  const ModelVersion& id = record.id;
  const Lineage& lineage = record.lineage;
  MUSTER_ASSIGN_OR_RETURN(Statement put, PreparePut(Models(), record.row_version));
  put.BindAll(id.name, id.version, record.row_version + 1, record.package, record.weights,
              record.module, record.manifest, record.optimizer_state, record.weights_bytes,
              lineage.job, lineage.round, lineage.parent_weights, lineage.clients, lineage.examples,
              lineage.aggregation, lineage.created, MetricsToText(lineage.metrics),
              MetricsToText(record.evaluation));
  return Put(std::move(put), Models(), id.ToString(), record.row_version, Unexplained(), id.name,
             id.version);
}

absl::StatusOr<PromotionRecord> SqlRows::FindPromotion(const PromotionId& id) const {
  return Find(Promotions(), id.value(), ReadPromotion, id);
}

absl::StatusOr<std::vector<PromotionRecord>> SqlRows::ListPromotions(
    const std::string& name) const {
  static const std::string sql = Promotions().select +
                                 " WHERE ?1 = '' OR name = ?1"
                                 " ORDER BY generation DESC, created_us DESC, id DESC";
  return List(sql, ReadPromotion, name);
}

absl::Status SqlRows::PutPromotion(const PromotionRecord& record) {
  MUSTER_ASSIGN_OR_RETURN(Statement put, PreparePut(Promotions(), record.row_version));
  put.BindAll(record.id, record.row_version + 1, record.model.name, record.model.version,
              record.package, record.cohort.ToString(), record.personalize,
              PromotionPhaseName(record.phase), record.created, record.created_by,
              record.previous_version, record.generation);
  return Put(std::move(put), Promotions(), record.id.value(), record.row_version, Unexplained(),
             record.id);
}

absl::StatusOr<std::vector<UsageRecord>> SqlRows::ListUsage(const std::string& job,
                                                            const std::string& device) const {
  static const std::string order = " ORDER BY job, device";
  static const std::string all = Usage().select + order;
  static const std::string of_job = Usage().select + " WHERE job = ?" + order;
  static const std::string of_device = Usage().select + " WHERE device = ?" + order;
  static const std::string of_both = Usage().by_key + order;
  if (job.empty() && device.empty()) return List(all, ReadUsage);
  if (device.empty()) return List(of_job, ReadUsage, job);
  if (job.empty()) return List(of_device, ReadUsage, device);
  return List(of_both, ReadUsage, job, device);
}

absl::Status SqlRows::AddUsage(const UsageRecord& delta) {
  UsageRecord total{.job = delta.job, .device = delta.device};
  {
    MUSTER_ASSIGN_OR_RETURN(Statement find, db_.Prepare(Usage().by_key));
    MUSTER_ASSIGN_OR_RETURN(std::optional<UsageRecord> stored,
                            find.BindAll(delta.job, delta.device).One(ReadUsage));
    if (stored.has_value()) total = *std::move(stored);
  }
  static const std::string sql =
      StrCat(Usage().insert.substr(0, Usage().insert.find(" ON CONFLICT")),
             " ON CONFLICT (job, device) DO UPDATE SET invocations = excluded.invocations,"
             " wall_us = excluded.wall_us, cpu_us = excluded.cpu_us, bytes_up = excluded.bytes_up,"
             " bytes_down = excluded.bytes_down, cold_starts = excluded.cold_starts");
  MUSTER_ASSIGN_OR_RETURN(Statement put, db_.Prepare(sql));
  return put
      .BindAll(delta.job, delta.device, AddSaturating(total.invocations, delta.invocations),
               AddSaturating(total.wall_us, delta.wall_us),
               AddSaturating(total.cpu_us, delta.cpu_us),
               AddSaturating(total.bytes_up, delta.bytes_up),
               AddSaturating(total.bytes_down, delta.bytes_down),
               AddSaturating(total.cold_starts, delta.cold_starts))
      .Run();
}

}  // namespace muster
