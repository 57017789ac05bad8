#include "proto/codec/model_codec.h"

#include <utility>
#include <vector>

#include "proto/codec/json.h"
#include "proto/codec/model_fields.h"
#include "proto/core/limits.h"

namespace muster {
namespace wire {
namespace {

constexpr EnumPair<v1::ParameterGroup, ParameterGroup> kGroups[] = {
    {v1::PARAMETER_GROUP_SHARED, ParameterGroup::kShared},
    {v1::PARAMETER_GROUP_PERSONAL, ParameterGroup::kPersonal},
    {v1::PARAMETER_GROUP_FROZEN, ParameterGroup::kFrozen},
};

constexpr uint64_t kMaxExamplesInSum = limits::kMaxCohort * limits::kMaxExamplesPerUpdate;

absl::StatusOr<LayoutEntry> DecodeEntry(const Field& at, const v1::LayoutEntry& wire) {
  LayoutEntry decoded;
  if (wire.name().empty()) return Refuse(at["name"], "is not set");
  MUSTER_RETURN_IF_ERROR(CheckWord(at["name"], wire.name(), limits::kMaxParameterNameLength));
  decoded.name = wire.name();
  MUSTER_RETURN_IF_ERROR(CheckCount(at["shape"], wire.shape_size(), limits::kMaxTensorRank));
  uint64_t size = 1;
  for (int i = 0; i < wire.shape_size(); ++i) {
    MUSTER_RETURN_IF_ERROR(CheckRange(at.At("shape", i), wire.shape(i), 1, limits::kMaxParameters));
    size *= wire.shape(i);  // at most 2^30 * 2^30
    MUSTER_RETURN_IF_ERROR(CheckAtMost(at["shape"], size, limits::kMaxParameters, "elements"));
  }
  decoded.shape.assign(wire.shape().begin(), wire.shape().end());
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["offset"], wire.offset(), limits::kMaxParameters));
  decoded.offset = wire.offset();
  MUSTER_ASSIGN_OR_RETURN(decoded.group, DecodeEnum(at["group"], kGroups, wire.group()));
  decoded.trainable = wire.trainable();
  return decoded;
}

}  // namespace

absl::StatusOr<ParameterLayout> Decode(const Field& at, const v1::Layout& wire) {
  MUSTER_RETURN_IF_ERROR(CheckCount(at["entries"], wire.entries_size(), limits::kMaxLayoutEntries));
  std::vector<LayoutEntry> entries;
  entries.reserve(wire.entries_size());
  for (int i = 0; i < wire.entries_size(); ++i) {
    MUSTER_ASSIGN_OR_RETURN(LayoutEntry entry, DecodeEntry(at.At("entries", i), wire.entries(i)));
    entries.push_back(std::move(entry));
  }
  absl::StatusOr<ParameterLayout> layout = ParameterLayout::Create(std::move(entries));
  if (!layout.ok()) return Refuse(at, layout.status());
  return layout;
}

absl::StatusOr<Lineage> Decode(const Field& at, const v1::Lineage& wire) {
  Lineage decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.job, DecodeOptionalId<JobId>(at["job"], wire.job()));
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["round"], wire.round(), limits::kMaxRounds));
  decoded.round = wire.round();
  MUSTER_ASSIGN_OR_RETURN(decoded.parent_weights,
                          DecodeOptionalDigest(at["parent_weights"], wire.parent_weights()));
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["clients"], wire.clients(), limits::kMaxCohort));
  decoded.clients = wire.clients();
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["examples"], wire.examples(), kMaxExamplesInSum));
  decoded.examples = wire.examples();
  MUSTER_RETURN_IF_ERROR(CheckWord(at["aggregation"], wire.aggregation(), kMaxIdLength));
  decoded.aggregation = wire.aggregation();
  MUSTER_ASSIGN_OR_RETURN(decoded.created,
                          DecodeTimestamp(at["created_unix_us"], wire.created_unix_us()));
  MUSTER_ASSIGN_OR_RETURN(decoded.metrics, DecodeMetrics(at["metrics"], wire.metrics()));
  return decoded;
}

absl::StatusOr<Manifest> Decode(const Field& at, const v1::Manifest& wire) {
  Manifest decoded;
  if (wire.schema() != kManifestSchema) {
    return Refuse(at["schema"],
                  StrCat("is not '", kManifestSchema, "'; this program knows no other"));
  }
  MUSTER_ASSIGN_OR_RETURN(decoded.name, DecodeId<ModelName>(at["name"], wire.name()));
  decoded.version = wire.version();
  MUSTER_RETURN_IF_ERROR(CheckRange(at["security_version"], wire.security_version(), 1, INT64_MAX));
  decoded.security_version = wire.security_version();
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["architecture"], wire.has_architecture()));
  MUSTER_ASSIGN_OR_RETURN(decoded.architecture, Decode(at["architecture"], wire.architecture()));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["layout"], wire.has_layout()));
  MUSTER_ASSIGN_OR_RETURN(decoded.layout, Decode(at["layout"], wire.layout()));
  MUSTER_RETURN_IF_ERROR(CheckParameters(at["architecture"], decoded.architecture, decoded.layout));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["train"], wire.has_train()));
  MUSTER_ASSIGN_OR_RETURN(decoded.train, Decode(at["train"], wire.train()));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["evaluate"], wire.has_evaluate()));
  MUSTER_ASSIGN_OR_RETURN(decoded.evaluate, Decode(at["evaluate"], wire.evaluate()));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["personalize"], wire.has_personalize()));
  MUSTER_ASSIGN_OR_RETURN(decoded.personalize, Decode(at["personalize"], wire.personalize()));
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["total_rounds"], wire.total_rounds(), limits::kMaxRounds));
  decoded.total_rounds = wire.total_rounds();
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["lineage"], wire.has_lineage()));
  MUSTER_ASSIGN_OR_RETURN(decoded.lineage, Decode(at["lineage"], wire.lineage()));
  if (decoded.lineage.round > decoded.total_rounds) {
    return Refuse(at["lineage"]["round"],
                  StrCat(decoded.lineage.round, " is above the manifest's total_rounds, ",
                         decoded.total_rounds));
  }
  return decoded;
}

}  // namespace wire

absl::StatusOr<ParameterLayout> DecodeLayout(const v1::Layout& wire) {
  return wire::Decode(wire::Field("model.Layout"), wire);
}

v1::Layout EncodeLayout(const ParameterLayout& layout) {
  v1::Layout wire;
  for (const LayoutEntry& entry : layout.entries()) {
    v1::LayoutEntry& out = *wire.add_entries();
    out.set_name(entry.name);
    for (uint32_t side : entry.shape) out.add_shape(side);
    out.set_offset(entry.offset);
    out.set_group(wire::EncodeEnum(wire::kGroups, entry.group));
    out.set_trainable(entry.trainable);
  }
  return wire;
}

absl::StatusOr<Lineage> DecodeLineage(const v1::Lineage& wire) {
  return wire::Decode(wire::Field("model.Lineage"), wire);
}

v1::Lineage EncodeLineage(const Lineage& lineage) {
  v1::Lineage wire;
  wire.set_job(lineage.job.value());
  wire.set_round(lineage.round);
  wire.set_parent_weights(wire::EncodeDigest(lineage.parent_weights));
  wire.set_clients(lineage.clients);
  wire.set_examples(lineage.examples);
  wire.set_aggregation(lineage.aggregation);
  wire.set_created_unix_us(lineage.created.unix_us);
  wire::EncodeMetrics(lineage.metrics, wire.mutable_metrics());
  return wire;
}

absl::StatusOr<Manifest> DecodeManifest(const v1::Manifest& wire) {
  return wire::Decode(wire::Field("model.Manifest"), wire);
}

v1::Manifest EncodeManifest(const Manifest& manifest) {
  v1::Manifest wire;
  wire.set_schema(std::string(kManifestSchema));
  wire.set_name(manifest.name.value());
  wire.set_version(manifest.version);
  wire.set_security_version(manifest.security_version);
  *wire.mutable_architecture() = EncodeArchitecture(manifest.architecture);
  *wire.mutable_layout() = EncodeLayout(manifest.layout);
  *wire.mutable_train() = EncodeTrainPlan(manifest.train);
  *wire.mutable_evaluate() = EncodeEvaluatePlan(manifest.evaluate);
  *wire.mutable_personalize() = EncodePersonalizePlan(manifest.personalize);
  wire.set_total_rounds(manifest.total_rounds);
  *wire.mutable_lineage() = EncodeLineage(manifest.lineage);
  return wire;
}

absl::StatusOr<std::string> ManifestToJson(const Manifest& manifest) {
  const v1::Manifest wire = EncodeManifest(manifest);
  if (absl::StatusOr<Manifest> again = DecodeManifest(wire); !again.ok()) return again.status();
  MUSTER_ASSIGN_OR_RETURN(std::string json, MessageToJson(wire));
  if (json.size() > limits::kMaxManifestBytes) {
    return absl::ResourceExhaustedError(StrCat("the manifest of ", manifest.name.value(), " takes ",
                                               json.size(), " bytes as JSON, above the limit of ",
                                               limits::kMaxManifestBytes));
  }
  return json;
}

absl::StatusOr<Manifest> ManifestFromJson(std::string_view json) {
  if (json.size() > limits::kMaxManifestBytes) {
    return absl::InvalidArgumentError(StrCat("manifest.json: ", json.size(),
                                             " bytes are above the limit of ",
                                             limits::kMaxManifestBytes));
  }
  v1::Manifest wire;
  MUSTER_RETURN_IF_ERROR(MessageFromJson("manifest.json", json, &wire));
  return DecodeManifest(wire);
}

}  // namespace muster
