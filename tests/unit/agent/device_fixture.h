// A device's parts over a temporary state_dir, a FleetServer, and a function in place of the
// sandboxed worker process, which unit tests have no LibTorch for.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "client/agent/blob_cache.h"
#include "client/agent/journal.h"
#include "client/agent/packages.h"
#include "client/agent/runner.h"
#include "proto/core/files.h"
#include "tests/unit/agent/fleet_server.h"
#include "tests/unit/agent/test_package.h"

namespace muster {

class DeviceFixture : public testing::Test {
 protected:
  DeviceFixture() {
    std::string name = testing::TempDir() + "/device-XXXXXX";
    dir_.root = mkdtemp(name.data());
    EXPECT_TRUE(PackageSigner::Create(dir_.root / "signing.key").ok());
    signer_ = std::make_unique<PackageSigner>(*PackageSigner::Open(dir_.root / "signing.key"));
    uplink_ = MakeUplink(server_.channel());
    Restart();
  }
  ~DeviceFixture() override { std::filesystem::remove_all(dir_.root); }

  // What a new process finds: the same files, and nothing in memory.
  virtual void Restart() {
    packages_.reset();
    cache_.reset();
    journal_.reset();
    std::filesystem::create_directories(dir_.work());
    journal_ = *Journal::Open(dir_.journal());
    cache_ = *BlobCache::Open(dir_.cache(), 16u << 20);
    packages_ = std::make_unique<PackageLoader>(
        *PackageVerifier::FromPublicKeyPem(signer_->public_key_pem()), *cache_, *journal_);
  }

  RunWorker Worker() {
    return [this](const worker::v1::WorkerRequest& request, const Bounds&) {
      ++runs_;
      last_request_ = request;
      return work_(request);
    };
  }
  static void WriteOutput(const worker::v1::WorkerRequest& request, const std::string& file,
                          const std::string& bytes) {
    std::ofstream(std::filesystem::path(request.output_dir()) / file, std::ios::binary) << bytes;
  }
  static worker::v1::WorkerReply Done(const worker::v1::WorkerRequest& request) {
    worker::v1::WorkerReply reply;
    reply.set_invocation(request.invocation());
    reply.set_outcome(worker::v1::WORKER_OUTCOME_DONE);
    reply.set_examples(12);
    (*reply.mutable_metrics())["train_loss"] = 0.25;
    reply.mutable_metering()->set_wall_us(1000);
    reply.mutable_metering()->set_cpu_us(900);
    return reply;
  }

  StateDir dir_;
  FleetServer server_;
  std::unique_ptr<PackageSigner> signer_;
  Uplink uplink_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<BlobCache> cache_;
  std::unique_ptr<PackageLoader> packages_;
  std::function<absl::StatusOr<worker::v1::WorkerReply>(const worker::v1::WorkerRequest&)> work_;
  int runs_ = 0;
  worker::v1::WorkerRequest last_request_;
};

}  // namespace muster
