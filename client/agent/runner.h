// Runs train and evaluate invocations, and sends their answers. Each step is durable before the
// next begins, so that kill -9 anywhere costs at most a repeated computation with the same seed:
//
//   fetch and verify -> attempt recorded -> worker -> files fsynced -> answer stored -> personal
//   parameters installed -> update uploaded -> answer sent -> marked answered -> files removed
//
// A secure invocation's update is handed to secure aggregation instead (secure_update.h).
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "client/agent/bounds.h"
#include "client/agent/journal.h"
#include "client/agent/packages.h"
#include "client/agent/secure_update.h"
#include "client/agent/state_dir.h"
#include "client/agent/uplink.h"
#include "muster/worker/v1/worker.pb.h"

namespace muster {

// A function that ended the whole device this often is not tried again.
inline constexpr uint32_t kMaxAttempts = 5;

// Runs one function in the sandbox; ends early when `bounds` says so.
using RunWorker = std::function<absl::StatusOr<worker::v1::WorkerReply>(
    const worker::v1::WorkerRequest& request, const Bounds& bounds)>;

struct FunctionSettings {
  worker::v1::DataSource data;
  uint64_t memory_bytes = 0;
};

class Runner {
 public:
  Runner(StateDir dir, FunctionSettings settings, Journal& journal, PackageLoader& packages,
         RunWorker run, SecureUpdate& secure)
      : dir_(std::move(dir)),
        settings_(std::move(settings)),
        journal_(journal),
        packages_(packages),
        run_(std::move(run)),
        secure_(secure) {}

  // After a restart: finishes what stored answers promise, removes what nobody needs.
  absl::Status Recover();

  // OK: an answer is stored, be it a failure. Error: nothing was stored and it is to be tried
  // again.
  absl::Status Execute(const Invocation& invocation, const Uplink& uplink, Bounds bounds);

  // Sends the stored answer. OK: the coordinator took it, or has had it, or refused it for good.
  absl::Status SendAnswer(const InvocationId& id, const Uplink& uplink, const Bounds& bounds);

  absl::Status StoreFailure(const InvocationId& id, const std::string& reason);
  absl::Status Forget(const InvocationId& id, const std::string& reason);

 private:
  absl::StatusOr<Answer> Compute(const Invocation& invocation, const Uplink& uplink,
                                 const Bounds& bounds, std::string* personal_of);
  absl::StatusOr<Answer> ReadReply(const Invocation& invocation, const LoadedPackage& package,
                                   const worker::v1::WorkerReply& reply, uint64_t bytes_down,
                                   std::string* personal_of);
  absl::Status InstallPersonal(const JournalEntry& entry);
  absl::Status SendSecure(const JournalEntry& entry, const Uplink& uplink, const Bounds& bounds);
  absl::StatusOr<OfferAnswer> SendUpdate(const UpdateOffer& offer, bool upload,
                                         const Uplink& uplink, const Bounds& bounds);
  absl::StatusOr<OfferAnswer> SendResult(const ResultOffer& offer, const Uplink& uplink,
                                         const Bounds& bounds);
  void RemoveWork(const InvocationId& id);

  const StateDir dir_;
  const FunctionSettings settings_;
  Journal& journal_;
  PackageLoader& packages_;
  const RunWorker run_;
  SecureUpdate& secure_;
};

// Shared with the reconciler.
worker::v1::WorkerRequest MakeWorkerRequest(const StateDir& dir, const FunctionSettings& settings,
                                            const LoadedPackage& package,
                                            const std::string& invocation, const Bounds& bounds);
// Why a function did not end well, or OK.
absl::Status WorkerStatus(const worker::v1::WorkerReply& reply);
// An empty folder for one run's output.
absl::Status MakeWorkFolder(const std::filesystem::path& folder);
// Moves `from` over the model's personal parameters, durably; OK if `from` is not there.
absl::Status InstallPersonalFile(const std::filesystem::path& from, const StateDir& dir,
                                 const ModelName& model);
bool HasPersonal(const ParameterLayout& layout);
Metrics ReadMetrics(const worker::v1::WorkerReply& reply);

}  // namespace muster
