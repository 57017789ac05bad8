// A worker pool over the test worker, with an output folder per invocation.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "client/sandbox/worker_pool.h"

namespace muster {

class SandboxTest : public testing::Test {
 protected:
  SandboxTest() {
    std::string pattern = testing::TempDir() + "muster-sandbox-XXXXXX";
    root_ = mkdtemp(pattern.data());
  }
  ~SandboxTest() override { std::filesystem::remove_all(root_); }

  worker::v1::WorkerRequest Request(const std::string& behaviour) {
    worker::v1::WorkerRequest request;
    request.set_invocation("i" + std::to_string(++count_));
    request.set_function(v1::FUNCTION_KIND_TRAIN);
    request.set_manifest_path(behaviour);
    request.set_output_dir((root_ / request.invocation()).string());
    std::filesystem::create_directory(request.output_dir());
    return request;
  }

  std::string MakeFifo() {
    const std::string path = root_ / ("fifo" + std::to_string(++count_));
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    return path;
  }
  static pid_t ReadPid(const std::string& fifo) {
    pid_t pid = 0;
    std::ifstream(fifo) >> pid;
    return pid;
  }

  static WorkerPoolOptions Options() {
    return {.worker_binary = SANDBOX_TEST_WORKER, .idle_timeout = std::chrono::hours(1)};
  }

  std::filesystem::path root_;
  int count_ = 0;
};

}  // namespace muster
