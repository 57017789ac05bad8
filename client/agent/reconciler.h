// Makes what this device serves equal to what it should serve: fetch and verify, personalize and
// quantize in the sandbox, deploy, commit. Until a version is live its predecessor goes on serving,
// and a failure leaves it so. Each step is durable, so a restart goes on and computes nothing
// twice.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/agent/blob_cache.h"
#include "client/agent/journal.h"
#include "client/agent/packages.h"
#include "client/agent/runner.h"
#include "client/agent/state_dir.h"
#include "proto/core/random.h"

namespace muster {

// Of fetching, personalizing and deploying one model.
inline constexpr std::chrono::minutes kReconcileDeadline{15};

struct ServingReport {
  double cold_start_ms = 0;
  double latency_us = 0;
};
// What answers inference requests on this device.
class Serving {
 public:
  virtual ~Serving() = default;
  // On error, what was served before still is.
  virtual absl::StatusOr<ServingReport> Deploy(const ModelName& name, uint32_t version,
                                               const std::filesystem::path& file) = 0;
  virtual absl::Status Remove(const ModelName& name) = 0;
  virtual Metering DrainMetering() = 0;  // what answering cost since the last call
};

class Reconciler {
 public:
  Reconciler(StateDir dir, DeviceId device, FunctionSettings settings, Journal& journal,
             BlobCache& cache, PackageLoader& packages, RunWorker run, Serving& serving)
      : dir_(std::move(dir)),
        device_(std::move(device)),
        settings_(std::move(settings)),
        journal_(journal),
        cache_(cache),
        packages_(packages),
        run_(std::move(run)),
        serving_(serving) {}

  // Serves the last good versions again; needs no coordinator. A model that cannot be served is
  // logged and left to the next reconciliation.
  absl::Status Restore();

  // True: something could not be done now that may succeed later. Error: the journal could not be
  // written. What became of each model is in the journal.
  absl::StatusOr<bool> Apply(const DesiredState& desired, const Uplink& uplink,
                             const Bounds& bounds);

  // Collects what serving cost; true if there is anything to report.
  absl::StatusOr<bool> CollectMetering();

  // Sends one report; true if there is news beyond it already.
  absl::StatusOr<bool> Report(const Uplink& uplink, const Bounds& bounds, RandomSource& random);

 private:
  absl::Status RemoveUndesired(const DesiredState& desired);
  absl::Status Install(const DesiredModel& model, const Uplink& uplink, Bounds bounds);
  absl::StatusOr<ModelStatus> Personalize(const DesiredModel& model, const LoadedPackage& package,
                                          const Uplink& uplink, const Bounds& bounds);
  absl::StatusOr<std::optional<ModelStatus>> Made(const DesiredModel& model);
  absl::Status Store(const DesiredModel& model, const std::string& invocation,
                     const LoadedPackage& package);
  void RemoveOldVersions(const DesiredModel& model);
  absl::Status PinGoodModels();
  absl::StatusOr<StateReport> MakeReport();
  std::string FileOf(const DesiredModel& model) const;  // below state_dir

  const StateDir dir_;
  const DeviceId device_;
  const FunctionSettings settings_;
  Journal& journal_;
  BlobCache& cache_;
  PackageLoader& packages_;
  const RunWorker run_;
  Serving& serving_;
  std::set<std::string> serving_names_;  // deployed in this process
  uint64_t failed_generation_ = 0;       // of the names below
  std::set<std::string> failed_;         // for good, within one generation
};

}  // namespace muster
