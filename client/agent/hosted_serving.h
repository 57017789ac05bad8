// What the reconciler wants served, on the function host of this process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/agent/reconciler.h"
#include "client/functions/function_host.h"
#include "proto/core/status.h"

namespace muster {

class HostedServing final : public Serving {
 public:
  explicit HostedServing(std::unique_ptr<FunctionHost> host) : host_(std::move(host)) {}

  absl::StatusOr<ServingReport> Deploy(const ModelName& name, uint32_t version,
                                       const std::filesystem::path& file) override {
    MUSTER_ASSIGN_OR_RETURN(const DeployReport report, host_->Deploy(name.value(), version, file));
    return ServingReport{report.cold_start_ms, report.latency_us};
  }
  absl::Status Remove(const ModelName& name) override { return host_->Remove(name.value()); }
  Metering DrainMetering() override {
    Metering sum;
    for (const FunctionMetering& one : host_->DrainMetering()) {
      // Local traffic is no use of the network: only time counts.
      sum.wall += Duration(one.wall_us);
      sum.cpu += Duration(one.cpu_us);
      sum.cold_start = sum.cold_start || one.cold_starts > 0;
    }
    return sum;
  }
  uint16_t port() const { return host_->port(); }

 private:
  std::unique_ptr<FunctionHost> host_;
};

}  // namespace muster
