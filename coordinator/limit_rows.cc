#include "coordinator/limit_rows.h"

#include "absl/status/status.h"
#include "coordinator/drive/dispatch.h"
#include "coordinator/rpc/edge.h"

namespace muster {
namespace {

template <typename Number>
double AsDouble(Number number) {
  return static_cast<double>(number);
}

// Of submitted jobs; counted by the answer that they got.
double RefusedJobs(const RpcCounters& counters, absl::StatusCode code) {
  uint64_t refused = 0;
  for (const RpcCounters::Row& row : counters.Rows()) {
    if (row.method == "muster.v1.OperatorService/SubmitJob" &&
        row.code == absl::StatusCodeToString(code)) {
      refused += row.calls;
    }
  }
  return AsDouble(refused);
}

}  // namespace

std::vector<LimitRow> CollectLimits(const Limited& limited) {
  Edge& edge = limited.edge;
  Acceptor& acceptor = limited.server.acceptor();
  const Executor& executor = edge.executor();
  const ByteBudget& transfers = edge.transfers();
  const RateTable& callers = edge.callers().identities();
  const RateTable& addresses = edge.callers().addresses();
  const DriveOptions& drive = edge.drive().options;
  std::vector<LimitRow> rows = {
      {"connections", AsDouble(acceptor.max_connections()), AsDouble(acceptor.open()),
       AsDouble(acceptor.refused())},
      {"streams_per_connection", AsDouble(limits::kMaxStreamsPerConnection), {}, {}},
      {"queued_calls", AsDouble(executor.queue_limit()), AsDouble(executor.waiting()),
       AsDouble(executor.refused())},
      {"calls_per_second_of_an_identity",
       callers.rate().per_second,
       {},
       AsDouble(callers.refused())},
      {"enrolments_per_second_of_an_address",
       addresses.rate().per_second,
       {},
       AsDouble(addresses.refused())},
      {"rated_callers", AsDouble(callers.max_keys()), AsDouble(callers.keys()), {}},
      {"transfer_bytes", AsDouble(transfers.limits().bytes), AsDouble(transfers.bytes_held()),
       AsDouble(transfers.evicted())},
      {"transfers_waiting", AsDouble(transfers.limits().waiting), AsDouble(transfers.waiting()),
       AsDouble(transfers.refused())},
      {"idle_check_ins_per_second",
       drive.check_ins_per_second,
       limited.dispatcher.CheckInRate(),
       {}},
      {"open_rounds",
       AsDouble(drive.max_open_rounds),
       {},
       RefusedJobs(edge.counters(), absl::StatusCode::kResourceExhausted)},
      {"cohort", AsDouble(drive.max_cohort), {}, {}},
      {"ticks_per_second", kTicksPerSecond, {}, AsDouble(limited.ticker.refused())},
  };
  if (const HttpServer* http = limited.http; http != nullptr) {
    rows.push_back({"http_connections", AsDouble(kMaxHttpConnections), AsDouble(http->open()),
                    AsDouble(http->refused())});
  }
  return rows;
}

}  // namespace muster
