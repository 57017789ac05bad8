// Devices with certificates of one test authority, and what each needs to take part in secure
// aggregation: a state_dir, a journal, a runner.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/agent/runner.h"
#include "client/agent/secagg_identity.h"
#include "client/agent/secure_update.h"
#include "tests/unit/agent/secagg_fleet.h"

namespace muster {

class TestAuthority {
 public:
  TestAuthority();
  const std::string& ca_pem() const { return ca_pem_; }
  // A fresh key and a certificate for `uri`; lives from an hour ago until `lifetime` from now.
  DeviceIdentity Issue(const std::string& uri, const DeviceId& id,
                       Duration lifetime = std::chrono::hours(1)) const;
  DeviceIdentity IssueDevice(const std::string& id) const;

 private:
  EcPrivateKey key_;
  std::unique_ptr<Certificate> ca_;
  std::string ca_pem_;
};

class SecureDevice {
 public:
  SecureDevice(const TestAuthority& authority, const std::string& id);
  ~SecureDevice();

  // It trained: the answer is stored, and nothing is sent.
  void Train(const Invocation& invocation, const std::vector<float>& update, uint64_t examples,
             const Metrics& metrics);
  // What a new process finds: the same files, and nothing in memory.
  void Restart();
  void Connect(const SecAggFleet& fleet);
  void Renew(const TestAuthority& authority);

  absl::Status Send() { return runner_->SendAnswer(invocation_, uplink_, Bounds{}); }

  const DeviceId& id() const { return identity_.id; }
  const DeviceIdentity& identity() const { return identity_; }
  const InvocationId& invocation() const { return invocation_; }
  const StateDir& dir() const { return dir_; }
  JournalEntry Entry() { return **journal_->Find(invocation_); }
  std::string Outcome() { return Entry().outcome; }
  Journal& journal() { return *journal_; }

 private:
  DeviceIdentity identity_;
  InvocationId invocation_;
  StateDir dir_;
  std::string package_key_pem_;
  SystemRandom random_;
  SystemClock clock_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<BlobCache> cache_;
  std::unique_ptr<PackageLoader> packages_;
  std::unique_ptr<SecureUpdate> secure_;
  std::unique_ptr<Runner> runner_;
  std::shared_ptr<grpc::Channel> channel_;
  Uplink uplink_;
};

}  // namespace muster
