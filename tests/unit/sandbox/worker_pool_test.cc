#include "client/sandbox/worker_pool.h"

#include <signal.h>

#include <future>
#include <thread>

#include "sandbox_fixture.h"

namespace muster {
namespace {

using testing::HasSubstr;
using worker::v1::WorkerReply;

class WorkerPoolTest : public SandboxTest {
 protected:
  WorkerReply Run(WorkerPool& pool, const worker::v1::WorkerRequest& request) {
    absl::StatusOr<WorkerReply> reply = pool.Run(request);
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? *reply : WorkerReply();
  }
  std::future<absl::StatusOr<WorkerReply>> Start(WorkerPool& pool,
                                                 worker::v1::WorkerRequest request) {
    return std::async(std::launch::async,
                      [&pool, request = std::move(request)] { return pool.Run(request); });
  }
};

TEST_F(WorkerPoolTest, StartsNothingBeforeTheFirstRun) {
  WorkerPool pool(Options());
  EXPECT_FALSE(pool.running());
}

TEST_F(WorkerPoolTest, RunsEachInvocationInAFreshChildOfOneServer) {
  WorkerPool pool(Options());
  WorkerReply first = Run(pool, Request("echo")), second = Run(pool, Request("echo"));
  EXPECT_EQ(first.outcome(), worker::v1::WORKER_OUTCOME_DONE);
  EXPECT_NE(first.metrics().at("pid"), second.metrics().at("pid"));
  EXPECT_EQ(first.metrics().at("parent"), pool.pid());
  EXPECT_EQ(second.metrics().at("parent"), pool.pid());
}

TEST_F(WorkerPoolTest, ReturnsWhatTheFunctionSaidAndItsInvocation) {
  WorkerPool pool(Options());
  worker::v1::WorkerRequest request = Request("echo");
  request.set_seed(42);
  WorkerReply reply = Run(pool, request);
  EXPECT_EQ(reply.invocation(), request.invocation());
  EXPECT_EQ(reply.examples(), 42u);
}

TEST_F(WorkerPoolTest, MetersEveryRunAndMarksOnlyTheFirstAsCold) {
  WorkerPool pool(Options());
  WorkerReply first = Run(pool, Request("echo")), second = Run(pool, Request("echo"));
  EXPECT_GT(first.metering().wall_us(), 0u);
  EXPECT_GT(first.metering().peak_memory_bytes(), 0u);
  EXPECT_TRUE(first.metering().cold_start());
  EXPECT_FALSE(second.metering().cold_start());
}

TEST_F(WorkerPoolTest, AFailureCarriesTheFunctionsReason) {
  WorkerPool pool(Options());
  WorkerReply reply = Run(pool, Request("fail"));
  EXPECT_EQ(reply.outcome(), worker::v1::WORKER_OUTCOME_FAILED);
  EXPECT_EQ(reply.reason(), "no such file: x");
}

TEST_F(WorkerPoolTest, AnExceptionIsAFailureWithItsText) {
  WorkerPool pool(Options());
  WorkerReply reply = Run(pool, Request("throw"));
  EXPECT_EQ(reply.outcome(), worker::v1::WORKER_OUTCOME_FAILED);
  EXPECT_THAT(reply.reason(), HasSubstr("boom"));
}

TEST_F(WorkerPoolTest, ASilentExitIsAFailure) {
  WorkerPool pool(Options());
  WorkerReply reply = Run(pool, Request("exit"));
  EXPECT_EQ(reply.outcome(), worker::v1::WORKER_OUTCOME_FAILED);
  EXPECT_THAT(reply.reason(), HasSubstr("code 3"));
}

TEST_F(WorkerPoolTest, AReplyAboveTheMessageLimitIsAFailure) {
  WorkerPool pool(Options());
  WorkerReply reply = Run(pool, Request("huge_reply"));
  EXPECT_EQ(reply.outcome(), worker::v1::WORKER_OUTCOME_FAILED);
  EXPECT_THAT(reply.reason(), HasSubstr("larger than"));
}

TEST_F(WorkerPoolTest, AMissingOutputFolderIsAFailureThatNamesIt) {
  WorkerPool pool(Options());
  worker::v1::WorkerRequest request = Request("echo");
  request.set_output_dir("/nonexistent/out");
  WorkerReply reply = Run(pool, request);
  EXPECT_EQ(reply.outcome(), worker::v1::WORKER_OUTCOME_FAILED);
  EXPECT_THAT(reply.reason(), HasSubstr("/nonexistent/out"));
}

TEST_F(WorkerPoolTest, KillsAtTheDeadlineAndSaysSo) {
  WorkerPool pool(Options());
  worker::v1::WorkerRequest request = Request("hang");
  request.set_deadline_ms(50);
  WorkerReply reply = Run(pool, request);
  EXPECT_EQ(reply.outcome(), worker::v1::WORKER_OUTCOME_DEADLINE);
  EXPECT_THAT(reply.reason(), HasSubstr("50 ms"));
  EXPECT_GE(reply.metering().wall_us(), 50'000u);
}

TEST_F(WorkerPoolTest, ACrashIsReportedWithItsSignalAndTheServerLivesOn) {
  WorkerPool pool(Options());
  WorkerReply reply = Run(pool, Request("abort"));
  EXPECT_EQ(reply.outcome(), worker::v1::WORKER_OUTCOME_KILLED);
  EXPECT_THAT(reply.reason(), HasSubstr("signal"));
  const pid_t server = pool.pid();
  EXPECT_EQ(Run(pool, Request("echo")).metrics().at("parent"), server);
}

TEST_F(WorkerPoolTest, AKilledChildIsReportedAsKilledByOthers) {
  WorkerPool pool(Options());
  worker::v1::WorkerRequest request = Request("announce");
  request.set_module_path(MakeFifo());
  auto reply = Start(pool, request);
  ASSERT_EQ(kill(ReadPid(request.module_path()), SIGKILL), 0);
  absl::StatusOr<WorkerReply> result = reply.get();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->outcome(), worker::v1::WORKER_OUTCOME_KILLED);
  EXPECT_THAT(result->reason(), HasSubstr("signal 9"));
}

TEST_F(WorkerPoolTest, AKilledServerFailsTheRunAndTheNextRunStartsItAgain) {
  WorkerPool pool(Options());
  worker::v1::WorkerRequest request = Request("announce");
  request.set_module_path(MakeFifo());
  auto reply = Start(pool, request);
  ReadPid(request.module_path());
  const pid_t server = pool.pid();
  ASSERT_EQ(kill(server, SIGKILL), 0);
  absl::StatusOr<WorkerReply> result = reply.get();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable) << result.status();
  WorkerReply next = Run(pool, Request("echo"));
  EXPECT_NE(pool.pid(), server);
  EXPECT_TRUE(next.metering().cold_start());
}

TEST_F(WorkerPoolTest, ChildrenDieWithTheirServer) {
  WorkerPool pool(Options());
  worker::v1::WorkerRequest request = Request("announce");
  request.set_module_path(MakeFifo());
  auto reply = Start(pool, request);
  const pid_t child = ReadPid(request.module_path());
  ASSERT_EQ(kill(pool.pid(), SIGKILL), 0);
  EXPECT_FALSE(reply.get().ok());
  // The kernel has sent the signal by the time that the server was reaped; wait for its effect.
  const std::string stat = "/proc/" + std::to_string(child) + "/stat";
  auto alive = [&] {
    std::string line;
    std::getline(std::ifstream(stat), line);
    return !line.empty() && line.find(") Z") == std::string::npos &&
           line.find(") X") == std::string::npos;
  };
  while (alive()) std::this_thread::yield();  // the test's time limit is the bound
  SUCCEED();
}

TEST_F(WorkerPoolTest, RunsInvocationsAtTheSameTime) {
  WorkerPool pool(Options());
  worker::v1::WorkerRequest waiting = Request("wait"), writing = Request("write");
  waiting.set_module_path(MakeFifo());
  writing.set_module_path(waiting.module_path());
  // Each end of the FIFO waits for the other: both children must be alive together.
  auto first = Start(pool, waiting);
  auto second = Start(pool, writing);
  absl::StatusOr<WorkerReply> got = first.get(), wrote = second.get();
  ASSERT_TRUE(got.ok() && wrote.ok()) << got.status() << wrote.status();
  EXPECT_GT(got->metrics().at("bytes"), 0);
}

TEST_F(WorkerPoolTest, RefusesAnInvocationThatRunsAlready) {
  WorkerPool pool(Options());
  worker::v1::WorkerRequest request = Request("announce");
  request.set_module_path(MakeFifo());
  auto reply = Start(pool, request);
  ReadPid(request.module_path());
  EXPECT_EQ(pool.Run(request).status().code(), absl::StatusCode::kAlreadyExists);
  pool.Cancel(request.invocation());
  EXPECT_TRUE(reply.get().ok());
}

TEST_F(WorkerPoolTest, CancelEndsTheRun) {
  WorkerPool pool(Options());
  worker::v1::WorkerRequest request = Request("announce");
  request.set_module_path(MakeFifo());
  auto reply = Start(pool, request);
  ReadPid(request.module_path());
  pool.Cancel(request.invocation());
  absl::StatusOr<WorkerReply> result = reply.get();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->outcome(), worker::v1::WORKER_OUTCOME_FAILED);
  EXPECT_EQ(result->reason(), "cancelled");
}

TEST_F(WorkerPoolTest, AnIdleServerEndsByItself) {
  WorkerPool pool(
      {.worker_binary = SANDBOX_TEST_WORKER, .idle_timeout = std::chrono::milliseconds(1)});
  Run(pool, Request("echo"));
  while (pool.running()) std::this_thread::yield();  // the test's time limit is the bound
  EXPECT_EQ(pool.pid(), 0);
  EXPECT_TRUE(Run(pool, Request("echo")).metering().cold_start());
}

TEST_F(WorkerPoolTest, StopIfIdleEndsTheServerAtOnce) {
  WorkerPool pool(Options());
  Run(pool, Request("echo"));
  pool.StopIfIdle();
  EXPECT_FALSE(pool.running());
}

TEST_F(WorkerPoolTest, StopIfIdleLeavesABusyServerAlone) {
  WorkerPool pool(Options());
  worker::v1::WorkerRequest request = Request("announce");
  request.set_module_path(MakeFifo());
  auto reply = Start(pool, request);
  ReadPid(request.module_path());
  pool.StopIfIdle();
  EXPECT_TRUE(pool.running());
  pool.Cancel(request.invocation());
  EXPECT_TRUE(reply.get().ok());
}

TEST_F(WorkerPoolTest, AMissingBinaryIsAnErrorThatNamesIt) {
  WorkerPool pool({.worker_binary = "/nonexistent/muster-worker"});
  absl::Status status = pool.Run(Request("echo")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nonexistent/muster-worker"));
}

TEST_F(WorkerPoolTest, RefusesARequestAboveTheMessageLimit) {
  WorkerPool pool(Options());
  worker::v1::WorkerRequest request = Request("echo");
  request.set_module_path(std::string(limits::kMaxWorkerMessageBytes, 'x'));
  EXPECT_EQ(pool.Run(request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(WorkerPoolTest, RefusesARequestWithoutFunction) {
  WorkerPool pool(Options());
  worker::v1::WorkerRequest request = Request("echo");
  request.clear_function();
  EXPECT_EQ(pool.Run(request).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace muster
