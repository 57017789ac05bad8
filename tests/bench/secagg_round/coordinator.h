// A coordinator with all its real parts but the network: SQLite, a folder of blobs, a staging area,
// a certificate authority, the driver, the intake and the task runner.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/drive/context.h"
#include "coordinator/drive/device_notary.h"
#include "coordinator/drive/dispatch.h"
#include "coordinator/drive/exchange.h"
#include "coordinator/drive/intake.h"
#include "coordinator/drive/secagg_session.h"
#include "coordinator/drive/tasks.h"
#include "coordinator/identity/authority.h"

namespace muster {

class BenchCoordinator {
 public:
  // Any failure, here and below, ends the program with its reason.
  BenchCoordinator(const std::filesystem::path& folder, Clock& clock);

  // A job of one round over logistic regression with `features` x `classes` weights.
  JobSpec Spec(uint32_t features, uint32_t classes, uint32_t clients, AggregationMode mode);
  JobId Submit(const JobSpec& spec);
  RoundRecord Round(const JobId& job) const;
  // Carries out what is due until the job's round is committed.
  void Commit(const JobId& job);
  std::vector<float> Model(const JobId& job) const;

  StateStore& store() { return *store_; }
  StagingArea& staging() { return *staging_; }
  const CertificateAuthority& authority() const { return authority_; }
  Clock& clock() { return clock_; }
  Dispatcher& dispatcher() { return dispatcher_; }
  UpdateIntake& intake() { return intake_; }
  SecureExchange& exchange() { return exchange_; }
  TaskRunner& tasks() { return tasks_; }

 private:
  Clock& clock_;
  SystemRandom random_;
  WakeUps wakeups_;
  const std::unique_ptr<StateStore> store_;
  const std::unique_ptr<BlobStore> blobs_;
  const std::unique_ptr<StagingArea> staging_;
  const CertificateAuthority authority_;
  const PackageSigner signer_;
  const DeviceNotary notary_;
  SecAggRosters rosters_;
  DriveContext context_;
  Dispatcher dispatcher_;
  UpdateIntake intake_;
  SecureExchange exchange_;
  TaskRunner tasks_;
};

// A folder under the system's temporary one, removed at the end.
class BenchFolder {
 public:
  BenchFolder();
  ~BenchFolder();
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace muster
