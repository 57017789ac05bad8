#include "coordinator/http/probes.h"

#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>

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

void AddLimitFamilies(const std::vector<LimitRow>& rows, std::vector<MetricFamily>& families) {
  MetricFamily limit = Family("muster_limit", "Limits, by name.", MetricType::Gauge);
  MetricFamily current =
      Family("muster_limit_current", "What is in use of each limit.", MetricType::Gauge);
  MetricFamily refused = Family("muster_limit_refused_total",
                                "What was refused because of each limit.", MetricType::Counter);
  for (const LimitRow& row : rows) {
    Add(limit, row.limit, {{"limit", row.name}});
    if (row.current) Add(current, *row.current, {{"limit", row.name}});
    if (row.refused) Add(refused, *row.refused, {{"limit", row.name}});
  }
  for (MetricFamily* family : {&limit, &current, &refused}) {
    if (!family->metric.empty()) families.push_back(std::move(*family));
  }
}

absl::StatusOr<std::string> RenderMetrics(const Probed& probed) {
  std::vector<MetricFamily> families;
  MetricFamily calls = Family("muster_rpc_calls_total", "RPCs answered.", MetricType::Counter);
  MetricFamily seconds =
      Family("muster_rpc_seconds_total", "Time in RPCs, held check-ins too.", MetricType::Counter);
  for (const RpcCounters::Row& row : probed.counters.Rows()) {
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
  if (probed.limits) AddLimitFamilies(probed.limits(), families);
  MUSTER_RETURN_IF_ERROR(probed.drive.store.Read(
      [&](const StoreReader& reader) { return AddStoreFamilies(reader, families); }));
  return prometheus::TextSerializer().Serialize(families);
}

HttpResponse Probe(const Probed& probed, std::string_view path) {
  if (path == "/healthz") return {.body = "ok\n"};
  if (path == "/readyz") {
    absl::Status status = probed.drive.store.Read(
        [](const StoreReader& reader) { return reader.CurrentGeneration().status(); });
    if (status.ok()) return {.body = "ready\n"};
    return {.status = 503, .body = "the store does not answer: " + status.ToString() + "\n"};
  }
  auto text = RenderMetrics(probed);
  if (!text.ok()) return {.status = 503, .body = text.status().ToString() + "\n"};
  return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = *std::move(text)};
}

}  // namespace

HttpServer::Handler MakeProbes(Probed probed) {
  return [probed = std::move(probed)](const HttpRequest& request) -> HttpResponse {
    const std::string_view path = request.path;
    if (path == "/tick") {
      if (request.post) return probed.ticker.Tick();
      return {.status = 405, .body = "POST it\n", .headers = {{"Allow", "POST"}}};
    }
    if (path == "/healthz" || path == "/readyz" || path == "/metrics") {
      if (!request.post) return Probe(probed, path);
      return {.status = 405, .body = "GET it\n", .headers = {{"Allow", "GET, HEAD"}}};
    }
    return {.status = 404, .body = "there are /healthz, /readyz, /metrics and /tick here\n"};
  };
}

}  // namespace muster
