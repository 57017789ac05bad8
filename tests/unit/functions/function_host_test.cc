#include "client/functions/function_host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "models/quantize/runtime.h"
#include "tests/unit/functions/support.h"

namespace muster {
namespace {

using namespace testing_support;
using namespace std::chrono_literals;
using Kind = FunctionEvent::Kind;
using testing::HasSubstr;

constexpr char kInfer[] = "/v2/models/har/infer";

class FunctionHostTest : public testing::Test {
 protected:
  void StartHost(FunctionHostOptions options) {
    options.infer_binary = MUSTER_INFER_BINARY;
    options.on_event = log_.Recorder();
    auto host = FunctionHost::Start(std::move(options));
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
  }
  DeployReport Deploy(uint32_t version, uint64_t seed) {
    const auto report = host_->Deploy("har", version, WriteModel(folder_.path(), seed));
    EXPECT_TRUE(report.ok()) << report.status();
    return report.value_or(DeployReport{});
  }
  // What the model file itself gives, without processes.
  std::vector<float> Expected(uint64_t seed) {
    auto model = Int8Model::Open(WriteModel(folder_.path(), seed));
    std::vector<float> outputs(6);
    EXPECT_TRUE((*model)->Run(std::vector<float>(9 * 128, 0.5f), 1, outputs).ok());
    return outputs;
  }
  int LastStartedPid() {
    int pid = 0;
    for (const auto& event : log_.events()) {
      if (event.kind == Kind::kStarted) pid = event.pid;
    }
    return pid;
  }
  Answer Infer() { return Fetch(host_->port(), "POST", kInfer, InferBody()); }

  TemporaryFolder folder_;
  EventLog log_;  // outlives the host
  std::unique_ptr<FunctionHost> host_;
};

TEST_F(FunctionHostTest, AnswersWhatTheModelFileComputes) {
  StartHost({});
  const DeployReport report = Deploy(1, 5);
  EXPECT_GT(report.cold_start_ms, 0);
  EXPECT_GT(report.latency_us, 0);
  const Answer answer = Infer();
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(OutputsOf(answer), Expected(5));
  EXPECT_THAT(answer.body, HasSubstr("\"model_version\":\"1\""));
  EXPECT_EQ(answer.head.find("Muster-Cpu"), std::string::npos);
}

TEST_F(FunctionHostTest, ScalesToZeroWhenIdleAndFromZeroOnTheNextCall) {
  StartHost({.idle_timeout = 1ms});
  Deploy(1, 5);
  ASSERT_TRUE(log_.WaitForCount(Kind::kEnded, 1));
  EXPECT_EQ(log_.events().back().instances, 0u);
  EXPECT_EQ(Fetch(host_->port(), "GET", "/v2/models/har/ready").status, 200);
  EXPECT_EQ(log_.Count(Kind::kStarted), 1u) << "asking about a model must not start it";

  const Answer answer = Infer();
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(OutputsOf(answer), Expected(5));
  EXPECT_EQ(log_.Count(Kind::kStarted), 2u);
  ASSERT_TRUE(log_.WaitForCount(Kind::kEnded, 2));

  const auto metering = host_->DrainMetering();
  ASSERT_EQ(metering.size(), 1u);
  EXPECT_EQ(metering[0].model, "har");
  EXPECT_EQ(metering[0].invocations, 1u);
  EXPECT_EQ(metering[0].cold_starts, 2u);
  EXPECT_GT(metering[0].cpu_us, 0u);
  EXPECT_GT(metering[0].wall_us, 0u);
  EXPECT_EQ(metering[0].bytes_in, InferBody().size());
  EXPECT_EQ(metering[0].bytes_out, answer.body.size());
  EXPECT_TRUE(host_->DrainMetering().empty());
}

TEST_F(FunctionHostTest, KeepsTheMinimumWarmAndReplacesADeadInstance) {
  StartHost({.idle_timeout = 1ms, .min_instances = 1});
  Deploy(1, 5);
  const int first = LastStartedPid();
  ASSERT_EQ(kill(first, SIGKILL), 0);
  ASSERT_TRUE(log_.WaitForCount(Kind::kStarted, 2));
  EXPECT_NE(LastStartedPid(), first);
  EXPECT_EQ(Infer().status, 200);
  EXPECT_EQ(log_.Count(Kind::kEnded), 1u) << "the minimum must not end when idle";
}

TEST_F(FunctionHostTest, ACallWhoseInstanceDiesIsAnsweredByAnother) {
  StartHost({.max_instances = 1});
  Deploy(1, 5);
  const int first = LastStartedPid();
  ASSERT_EQ(kill(first, SIGSTOP), 0);  // it will not answer
  Answer answer;
  std::thread client([&] { answer = Infer(); });
  // While it holds the call, every other one has to wait: so it has the call once a second waits.
  Answer second;
  std::thread other([&] { second = Infer(); });
  EXPECT_TRUE(log_.WaitForCount(Kind::kQueued, 1));
  kill(first, SIGKILL);
  client.join();
  other.join();
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(second.status, 200) << second.body;
  EXPECT_EQ(log_.Count(Kind::kStarted), 2u);
}

TEST_F(FunctionHostTest, RefusesWith429WhenTheQueueIsFull) {
  StartHost({.max_instances = 1, .queue_limit = 1});
  Deploy(1, 5);
  const int pid = LastStartedPid();
  ASSERT_EQ(kill(pid, SIGSTOP), 0);
  std::vector<Answer> answers(2);
  std::thread busy([&] { answers[0] = Infer(); });
  std::thread waiting([&] { answers[1] = Infer(); });
  EXPECT_TRUE(log_.WaitForCount(Kind::kQueued, 1));
  const Answer refused = Infer();
  EXPECT_EQ(refused.status, 429);
  EXPECT_THAT(refused.head, HasSubstr("Retry-After: 1"));
  EXPECT_THAT(refused.body, HasSubstr("\"error\""));
  kill(pid, SIGCONT);
  busy.join();
  waiting.join();
  for (const Answer& answer : answers) EXPECT_EQ(answer.status, 200) << answer.body;
}

TEST_F(FunctionHostTest, AnswersEveryCallOfManyAtOnceWithFewProcesses) {
  StartHost({.max_instances = 2});
  Deploy(1, 5);
  const auto expected = Expected(5);
  std::vector<std::thread> clients;
  std::atomic<int> right = 0;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      const UniqueFd fd = ConnectTcp(host_->port());
      for (int call = 0; call < 20; ++call) {
        right += OutputsOf(Exchange(fd.get(), "POST", kInfer, InferBody())) == expected;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, 160);
  EXPECT_LE(log_.Count(Kind::kStarted), 2u);
}

TEST_F(FunctionHostTest, ACallPastItsDeadlineGets504AndItsProcessIsReplaced) {
  StartHost({.max_instances = 1, .call_deadline = 50ms});
  Deploy(1, 5);
  const int stuck = LastStartedPid();
  ASSERT_EQ(kill(stuck, SIGSTOP), 0);
  EXPECT_EQ(Infer().status, 504);
  ASSERT_TRUE(log_.WaitForCount(Kind::kEnded, 1));
  EXPECT_EQ(kill(stuck, 0), -1);
  // Within 50 ms a process may fail to start on a busy machine, so the deadline may strike again;
  // but a fresh process is what is tried.
  (void)Infer();
  EXPECT_TRUE(log_.WaitForCount(Kind::kStarted, 2));
}

TEST_F(FunctionHostTest, ANewVersionTakesOverWithoutAnUnansweredCall) {
  StartHost({.max_instances = 2});
  Deploy(1, 5);
  const auto first = Expected(5), second = Expected(6);
  std::atomic<bool> stop = false;
  std::atomic<int> old_answers = 0, new_answers = 0, wrong = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back([&] {
      const UniqueFd fd = ConnectTcp(host_->port());
      while (!stop || new_answers == 0) {
        const auto outputs = OutputsOf(Exchange(fd.get(), "POST", kInfer, InferBody()));
        ++(outputs == first ? old_answers : outputs == second ? new_answers : wrong);
        if (wrong > 0) return;
      }
    });
  }
  Deploy(2, 6);
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(new_answers, 0);
  EXPECT_EQ(Fetch(host_->port(), "POST", "/v2/models/har/versions/1/infer", InferBody()).status,
            404);
  EXPECT_EQ(Fetch(host_->port(), "POST", "/v2/models/har/versions/2/infer", InferBody()).status,
            200);
  // The old version's processes end by themselves.
  EXPECT_TRUE(log_.WaitUntil([](const std::vector<FunctionEvent>& events) {
    int old = 0;
    for (const auto& event : events) {
      if (event.version == 1)
        old += event.kind == Kind::kStarted ? 1 : event.kind == Kind::kEnded ? -1 : 0;
    }
    return old == 0;
  }));
}

TEST_F(FunctionHostTest, AVersionThatFailsToLoadLeavesTheLastGoodOne) {
  StartHost({});
  Deploy(1, 5);
  const auto damaged = folder_.path() / "damaged.mq8";
  std::ofstream(damaged) << "MUSTERQ8 but not really";
  EXPECT_EQ(host_->Deploy("har", 2, damaged).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(host_->Deploy("har", 2, folder_.path() / "absent").status().code(),
            absl::StatusCode::kNotFound);
  const Answer answer = Infer();
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("\"model_version\":\"1\""));
}

TEST_F(FunctionHostTest, AProcessThatEndsAtOnceIsALoadFailure) {
  FunctionHostOptions options;
  options.infer_binary = "/bin/true";
  auto host = FunctionHost::Start(options);
  ASSERT_TRUE(host.ok());
  const auto report = (*host)->Deploy("har", 1, WriteModel(folder_.path(), 5));
  EXPECT_EQ(report.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Fetch((*host)->port(), "POST", kInfer, InferBody()).status, 404);
}

TEST_F(FunctionHostTest, UnknownModelsPathsAndMethodsAreRefused) {
  StartHost({});
  Deploy(1, 5);
  const uint16_t port = host_->port();
  EXPECT_EQ(Fetch(port, "POST", "/v2/models/other/infer", InferBody()).status, 404);
  EXPECT_EQ(Fetch(port, "GET", "/v2/models/har/versions/9").status, 404);
  EXPECT_EQ(Fetch(port, "GET", "/v1/models").status, 404);
  EXPECT_EQ(Fetch(port, "GET", kInfer).status, 405);
  EXPECT_EQ(Fetch(port, "POST", kInfer, "{").status, 400);
  EXPECT_EQ(host_->Deploy("Not A Name", 1, WriteModel(folder_.path(), 5)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(FunctionHostTest, TellsWhatItServes) {
  StartHost({});
  const uint16_t port = host_->port();
  EXPECT_EQ(Fetch(port, "POST", "/v2/repository/index").body, "[]");
  Deploy(7, 5);
  EXPECT_EQ(nlohmann::json::parse(Fetch(port, "POST", "/v2/repository/index").body),
            nlohmann::json::parse(R"([{"name":"har","version":"7","state":"READY","reason":""}])"));
  EXPECT_EQ(Fetch(port, "GET", "/v2/models").body, R"({"models":["har"]})");
  EXPECT_EQ(Fetch(port, "GET", "/v2/health/ready").body, R"({"ready":true})");
  const auto metadata = nlohmann::json::parse(Fetch(port, "GET", "/v2/models/har").body);
  EXPECT_EQ(metadata["inputs"][0]["shape"], (std::vector<int>{-1, 9, 128}));
  EXPECT_EQ(metadata["outputs"][0]["shape"], (std::vector<int>{-1, 6}));
}

TEST_F(FunctionHostTest, ARemovedModelEndsAndIsUnknown) {
  StartHost({});
  Deploy(1, 5);
  EXPECT_TRUE(host_->Remove("har").ok());
  EXPECT_TRUE(log_.WaitForCount(Kind::kEnded, 1));
  EXPECT_EQ(Infer().status, 404);
  EXPECT_EQ(host_->Remove("har").code(), absl::StatusCode::kNotFound);
  Deploy(2, 5);
  EXPECT_EQ(Infer().status, 200);
}

TEST_F(FunctionHostTest, ItsProcessesEndWithIt) {
  StartHost({.min_instances = 2, .max_instances = 2});
  Deploy(1, 5);
  ASSERT_TRUE(log_.WaitForCount(Kind::kStarted, 2));
  host_.reset();
  for (const auto& event : log_.events()) {
    if (event.kind != Kind::kStarted) continue;
    EXPECT_EQ(kill(event.pid, 0), -1);
  }
}

TEST_F(FunctionHostTest, RefusesImpossibleOptions) {
  FunctionHostOptions options;
  options.infer_binary = "/nonexistent/muster-infer";
  EXPECT_EQ(FunctionHost::Start(options).status().code(), absl::StatusCode::kNotFound);
  options.infer_binary = MUSTER_INFER_BINARY;
  options.min_instances = 3;
  EXPECT_EQ(FunctionHost::Start(options).status().code(), absl::StatusCode::kInvalidArgument);
  options.min_instances = 0;
  options.listen_address = "not an address";
  EXPECT_EQ(FunctionHost::Start(options).status().code(), absl::StatusCode::kInvalidArgument);
  StartHost({});
  options.listen_address = "127.0.0.1";
  options.port = host_->port();
  const auto taken = FunctionHost::Start(options);
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kAlreadyExists);
}

}  // namespace
}  // namespace muster
