// Five devices, one session, and what their updates' mean should be.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "proto/codec/secagg_codec.h"
#include "tests/unit/agent/secure_device.h"

namespace muster {

class SecureFixture : public testing::Test {
 protected:
  static constexpr size_t kDevices = 5;
  static constexpr size_t kDimension = 1000;
  static constexpr uint64_t kCap = 50;

  SecureFixture() {
    for (size_t i = 0; i < kDevices; ++i) {
      devices_.push_back(std::make_unique<SecureDevice>(authority_, "d" + std::to_string(i)));
      updates_.push_back(std::vector<float>(kDimension));
      SeededRandom random(100 + i);
      for (float& x : updates_[i]) x = static_cast<float>(random.Unit() - 0.5);
    }
    notary_ = *SecAggIdentity::From(authority_.IssueDevice("coordinator"), clock_);
    invocation_.package = Sha256("package");
    invocation_.job = JobId::Trusted("job");
    invocation_.round = 3;
    invocation_.attempt = 2;
    invocation_.seed = 77;
    invocation_.deadline = SystemClock().Now() + std::chrono::minutes(10);
  }

  secagg::Params MakeParams(secagg::Mode mode = secagg::Mode::kSemiHonest) {
    secagg::Params params;
    params.job = invocation_.job;
    params.round = invocation_.round;
    params.attempt = invocation_.attempt;
    params.model = invocation_.package;
    params.dimension = kDimension;
    params.metrics = {"train_loss"};
    params.examples_cap = kCap;
    params.ring_bits = 32;
    params.clip = 100;
    params.min_clients = 4;
    params.max_clients = 8;
    params.drop = 0.1;
    params.corrupt = 0.1;
    params.mode = mode;
    params.nonce = Sha256("nonce");
    params.scale = *secagg::FullScale(params);
    return params;
  }

  void Start(const secagg::Params& params) {
    std::vector<DeviceId> ids;
    for (const auto& device : devices_) ids.push_back(device->id());
    fleet_ = std::make_unique<SecAggFleet>(params, ids, *notary_);
    for (size_t i = 0; i < kDevices; ++i) {
      devices_[i]->Connect(*fleet_);
      devices_[i]->Train(invocation_, updates_[i], Examples(i),
                         {{"train_loss", Loss(i)}, {"private", 4711.0}});
    }
  }

  static uint64_t Examples(size_t device) { return 10 * (device + 1); }  // 10 to 50
  static double Loss(size_t device) { return 0.25 * static_cast<double>(device); }

  // All but `without`, at the same time. The others' sends must be OK.
  void SendAll(const std::set<size_t>& without = {}) {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < kDevices; ++i) {
      if (without.contains(i)) continue;
      threads.emplace_back([this, i] {
        const absl::Status sent = devices_[i]->Send();
        EXPECT_TRUE(sent.ok()) << "device " << i << ": " << sent;
      });
    }
  }

  // The opened sum is the plain weighted mean of `members`, up to rounding.
  void ExpectMeanOf(const std::set<size_t>& members) {
    std::vector<float> mean;
    const auto sum = fleet_->Open(&mean);
    ASSERT_TRUE(sum.ok()) << sum.status();
    double weight = 0, loss = 0;
    std::vector<double> expected(kDimension);
    for (const size_t i : members) {
      const double w = static_cast<double>(Examples(i)) / kCap;
      weight += w;
      loss += w * Loss(i);
      for (size_t j = 0; j < kDimension; ++j) expected[j] += w * updates_[i][j];
    }
    EXPECT_NEAR(sum->weight, weight, 1e-3);
    EXPECT_NEAR(sum->metrics.at("train_loss"), loss / weight, 1e-3);
    for (size_t j = 0; j < kDimension; ++j) {
      ASSERT_NEAR(mean[j], expected[j] / weight, 1e-3) << "element " << j;
    }
  }

  // Of one device, over all its life: what it sent in a call was always the same bytes.
  void ExpectOneMessage(const std::string& method, const SecureDevice& device, size_t times) {
    const std::vector<std::string> sent = fleet_->Sent(method, device.id());
    EXPECT_EQ(sent.size(), times) << method;
    EXPECT_EQ(std::set<std::string>(sent.begin(), sent.end()).size(), times > 0 ? 1 : 0) << method;
  }

  TestAuthority authority_;
  SystemClock clock_;
  std::shared_ptr<const SecAggIdentity> notary_;
  std::vector<std::unique_ptr<SecureDevice>> devices_;
  std::vector<std::vector<float>> updates_;
  Invocation invocation_;
  std::unique_ptr<SecAggFleet> fleet_;
};

}  // namespace muster
