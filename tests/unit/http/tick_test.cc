#include "coordinator/http/tick.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "coordinator/http/probes.h"
#include "tests/support/small_coordinator.h"
#include "tests/unit/http/http_call.h"

namespace muster {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class TickTest : public SmallCoordinator {
 protected:
  void SetUp() override {
    SmallCoordinator::SetUp();
    ticker_.emplace(*context_, *tasks_);
    server_ = HttpServer::Start({.listen = "127.0.0.1:0"},
                                MakeProbes({*context_, counters_, *ticker_, {}}))
                  .value();
  }
  void TearDown() override {
    server_.reset();
    SmallCoordinator::TearDown();
  }
  nlohmann::json Tick() {
    return nlohmann::json::parse(BodyOf(HttpPost(server_->port(), "/tick")));
  }

  RpcCounters counters_;
  std::optional<Ticker> ticker_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(TickTest, FiresADeadlineThatPassedAndSaysWhatIsDueNext) {
  for (const char* name : {"a", "b"}) Arrive(AddDevice(name));
  const JobId job = Submit(Spec(2, 1, 2));
  nlohmann::json told = Tick();
  EXPECT_EQ(told["ran"], 0);
  EXPECT_EQ(told["next_due"], (clock_.Now() + std::chrono::minutes(1)).ToString());

  clock_.Advance(std::chrono::minutes(2));
  told = Tick();
  EXPECT_GE(told["ran"], 1);
  EXPECT_EQ(told["ran_since_start"], told["ran"]);
  EXPECT_FALSE(std::holds_alternative<Collecting>(Round(job, 1).state));
}

TEST_F(TickTest, WithNothingPlannedHasNothingDue) {
  const nlohmann::json told = Tick();
  EXPECT_EQ(told["ran"], 0);
  EXPECT_TRUE(told["next_due"].is_null());
}

TEST_F(TickTest, TakesACloudEventWhateverItSays) {
  const std::string answer = HttpPost(
      server_->port(), "/tick", "{\"anything\":1}",
      "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /x\r\nce-type: dev.knative.sources.ping\r\n"
      "Content-Type: application/json\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
}

TEST_F(TickTest, IsLimitedInRate) {
  for (int i = 0; i < static_cast<int>(kTickBurst); ++i) Tick();
  const std::string answer = HttpPost(server_->port(), "/tick");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 429"));
  EXPECT_THAT(answer, HasSubstr("Retry-After: 1\r\n"));
  EXPECT_EQ(ticker_->refused(), 1u);
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_THAT(HttpPost(server_->port(), "/tick"), StartsWith("HTTP/1.1 200"));
}

TEST_F(TickTest, TakesPostOnlyAndProbesTakeGetOnly) {
  EXPECT_THAT(HttpGet(server_->port(), "/tick"), HasSubstr("Allow: POST"));
  EXPECT_THAT(HttpPost(server_->port(), "/healthz"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(HttpGet(server_->port(), "/readyz"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(HttpGet(server_->port(), "/metrics"), HasSubstr("process_resident_memory_bytes"));
  EXPECT_THAT(HttpGet(server_->port(), "/nothing"), StartsWith("HTTP/1.1 404"));
}

}  // namespace
}  // namespace muster
