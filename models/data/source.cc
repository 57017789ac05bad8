#include "models/data/source.h"

#include <algorithm>
#include <utility>

#include "models/data/csv_reader.h"
#include "models/data/idx_reader.h"
#include "models/data/partition.h"
#include "models/data/tensor_reader.h"
#include "muster/worker/v1/worker.pb.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using worker::v1::DataSource;
using worker::v1::Partition;

absl::StatusOr<std::vector<Rows>> Deal(const Partition& partition, std::span<const int64_t> labels,
                                       uint64_t seed) {
  switch (partition.kind_case()) {
    case Partition::kIid:
      return PartitionIid(labels.size(), partition.parts(), seed);
    case Partition::kDirichlet:
      return PartitionDirichlet(labels, partition.parts(), partition.dirichlet().alpha(), seed);
    case Partition::kLabelShards:
      return PartitionLabelShards(labels, partition.parts(),
                                  partition.label_shards().shards_per_client(), seed);
    case Partition::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "a partition of no kind: choose iid, dirichlet or label_shards, or leave it out");
}

absl::StatusOr<Rows> OwnPart(const DataSource& config, std::span<const int64_t> labels) {
  if (!config.has_partition()) {
    Rows rows(labels.size());
    for (uint64_t row = 0; row < rows.size(); ++row) rows[row] = row;
    return rows;
  }
  const Partition& partition = config.partition();
  if (partition.index() >= partition.parts()) {
    return absl::InvalidArgumentError(StrCat("partition index ", partition.index(), " of ",
                                             partition.parts(), " parts: count parts from 0"));
  }
  MUSTER_ASSIGN_OR_RETURN(std::vector<Rows> parts, Deal(partition, labels, config.seed()));
  return std::move(parts[partition.index()]);
}

absl::StatusOr<SplitRows> SelectRows(const DataSource& config, std::span<const int64_t> labels) {
  const double fraction = config.held_out_fraction();
  if (!(fraction >= 0.0 && fraction <= 1.0)) {
    return absl::InvalidArgumentError(StrCat("held_out_fraction is ", fraction, ": use 0 to 1"));
  }
  MUSTER_ASSIGN_OR_RETURN(Rows rows, OwnPart(config, labels));
  rows = CapRows(std::move(rows), config.max_examples(), config.seed());
  return SplitHeldOut(rows, fraction, config.seed());
}

struct OpenedSource {
  std::unique_ptr<ExampleSource> source;
  SplitRows rows;
};

absl::StatusOr<OpenedSource> OpenAndSelect(const DataSource& config) {
  MUSTER_ASSIGN_OR_RETURN(std::unique_ptr<ExampleSource> source, OpenSource(config));
  absl::StatusOr<SplitRows> rows = SelectRows(config, source->labels());
  if (!rows.ok()) return Annotate(rows.status(), "selecting this device's data");
  return OpenedSource{std::move(source), *std::move(rows)};
}

Dataset EmptyDataset(const ExampleSource& source, const Rows& rows) {
  Dataset dataset{.example_shape = source.example_shape()};
  dataset.labels.reserve(rows.size());
  for (uint64_t row : rows) dataset.labels.push_back(source.labels()[row]);
  dataset.features.reserve(rows.size() * dataset.example_size());
  return dataset;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ExampleSource>> OpenSource(const DataSource& config) {
  switch (config.format_case()) {
    case DataSource::kIdx:
      return OpenIdx(config.idx().images(), config.idx().labels());
    case DataSource::kCsv:
      return OpenCsv(config.csv().path(), {.label_column = config.csv().label_column(),
                                           .header = config.csv().header()});
    case DataSource::kTensors:
      return OpenTensors(config.tensors().directory());
    case DataSource::FORMAT_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "the device has no data: name idx, csv or tensors in its config");
}

absl::StatusOr<DeviceData> OpenDeviceData(const DataSource& config) {
  MUSTER_ASSIGN_OR_RETURN(OpenedSource opened, OpenAndSelect(config));
  const ExampleSource& source = *opened.source;
  DeviceData data{.train = EmptyDataset(source, {}), .held_out = EmptyDataset(source, {})};
  const uint64_t rows = opened.rows.train.size() + opened.rows.held_out.size();
  const uint64_t elements = rows * data.train.example_size();
  if (elements > kMaxDeviceElements) {
    return absl::ResourceExhaustedError(StrCat("this device's ", rows, " examples have ", elements,
                                               " features; at most ", kMaxDeviceElements,
                                               " fit in memory: set max_examples"));
  }
  data.train = EmptyDataset(source, opened.rows.train);
  data.held_out = EmptyDataset(source, opened.rows.held_out);

  // One pass over the file for both sides; each row goes straight to its own.
  Rows all;
  all.reserve(rows);
  std::merge(opened.rows.train.begin(), opened.rows.train.end(), opened.rows.held_out.begin(),
             opened.rows.held_out.end(), std::back_inserter(all));
  const Rows& held_out = opened.rows.held_out;
  size_t next_held_out = 0;
  MUSTER_RETURN_IF_ERROR(source.VisitRows(all, [&](size_t position,
                                                   std::span<const float> features) {
    const bool held = next_held_out < held_out.size() && held_out[next_held_out] == all[position];
    if (held) ++next_held_out;
    std::vector<float>& out = held ? data.held_out.features : data.train.features;
    out.insert(out.end(), features.begin(), features.end());
  }));
  return data;
}

absl::StatusOr<uint64_t> CountTrainExamples(const DataSource& config) {
  MUSTER_ASSIGN_OR_RETURN(OpenedSource opened, OpenAndSelect(config));
  return opened.rows.train.size();
}

}  // namespace muster
