#include "coordinator/http/probes.h"

#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "coordinator/store/state_store.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Family(std::string name, std::string help, MetricType type) {
  MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = type;
  return family;
}

void Add(MetricFamily& family, double value,
         std::initializer_list<std::pair<const char*, std::string>> labels = {}) {
  ClientMetric metric;
  for (const auto& [name, text] : labels) metric.label.push_back({name, text});
  if (family.type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family.metric.push_back(std::move(metric));
}

double ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  double pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * 4096;
}

absl::Status AddStoreFamilies(const StoreReader& reader, std::vector<MetricFamily>& families) {
  MetricFamily devices =
      Family("muster_devices_enrolled", "Devices enrolled, revoked ones too.", MetricType::Gauge);
  MUSTER_ASSIGN_OR_RETURN(const size_t count, reader.CountDevices());
  Add(devices, static_cast<double>(count));
  MetricFamily rounds =
      Family("muster_rounds_open", "Rounds that collect or aggregate now.", MetricType::Gauge);
  MUSTER_ASSIGN_OR_RETURN(auto open, reader.ListOpenRounds());
  Add(rounds, static_cast<double>(open.size()));
  MetricFamily jobs = Family("muster_jobs", "Newest jobs by phase.", MetricType::Gauge);
  MUSTER_ASSIGN_OR_RETURN(auto listed, reader.ListJobs({.limit = limits::kMaxPageSize}));
  std::map<std::string, double> by_phase;
  for (const JobRecord& job : listed) ++by_phase[std::string(PhaseName(job.state))];
  for (const auto& [phase, number] : by_phase) Add(jobs, number, {{"phase", phase}});
  families.push_back(std::move(devices));
  families.push_back(std::move(rounds));
  if (!jobs.metric.empty()) families.push_back(std::move(jobs));
  return absl::OkStatus();
}

absl::StatusOr<std::string> RenderMetrics(DriveContext& drive, const RpcCounters& counters) {
  std::vector<MetricFamily> families;
  MetricFamily calls = Family("muster_rpc_calls_total", "RPCs answered.", MetricType::Counter);
  MetricFamily seconds =
      Family("muster_rpc_seconds_total", "Time in RPCs, held check-ins too.", MetricType::Counter);
  for (const RpcCounters::Row& row : counters.Rows()) {
    Add(calls, static_cast<double>(row.calls), {{"method", row.method}, {"code", row.code}});
    Add(seconds, row.seconds, {{"method", row.method}, {"code", row.code}});
  }
  if (!calls.metric.empty()) {
    families.push_back(std::move(calls));
    families.push_back(std::move(seconds));
  }
  MetricFamily memory =
      Family("process_resident_memory_bytes", "Resident memory of the process.", MetricType::Gauge);
  Add(memory, ResidentBytes());
  families.push_back(std::move(memory));
  MUSTER_RETURN_IF_ERROR(drive.store.Read(
      [&](const StoreReader& reader) { return AddStoreFamilies(reader, families); }));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace

HttpServer::Handler MakeProbes(DriveContext& drive, const RpcCounters& counters) {
  return [&drive, &counters](std::string_view path) -> HttpResponse {
    if (path == "/healthz") return {.body = "ok\n"};
    if (path == "/readyz") {
      absl::Status status = drive.store.Read(
          [](const StoreReader& reader) { return reader.CurrentGeneration().status(); });
      if (status.ok()) return {.body = "ready\n"};
      return {.status = 503, .body = "the store does not answer: " + status.ToString() + "\n"};
    }
    if (path == "/metrics") {
      auto text = RenderMetrics(drive, counters);
      if (!text.ok()) return {.status = 503, .body = text.status().ToString() + "\n"};
      return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = *std::move(text)};
    }
    return {.status = 404, .body = "there are /healthz, /readyz and /metrics here\n"};
  };
}

}  // namespace muster
