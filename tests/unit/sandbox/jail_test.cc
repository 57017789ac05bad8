#include <cerrno>

#include "sandbox_fixture.h"

namespace muster {
namespace {

using testing::HasSubstr;
using worker::v1::WorkerReply;

class JailTest : public SandboxTest {
 protected:
  WorkerReply Run(const std::string& behaviour) {
    absl::StatusOr<WorkerReply> reply = pool_.Run(Request(behaviour));
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? *reply : WorkerReply();
  }
  double Errno(const std::string& behaviour) {
    WorkerReply reply = Run(behaviour);
    EXPECT_EQ(reply.outcome(), worker::v1::WORKER_OUTCOME_DONE) << reply.reason();
    return reply.metrics().at("errno");
  }
  WorkerPool pool_{Options()};
};

TEST_F(JailTest, RefusesInternetSockets) { EXPECT_EQ(Errno("socket"), EPERM); }
TEST_F(JailTest, RefusesLocalSockets) { EXPECT_EQ(Errno("unix"), EPERM); }
TEST_F(JailTest, RefusesToStartPrograms) { EXPECT_EQ(Errno("exec"), EPERM); }
TEST_F(JailTest, RefusesToMakeProcesses) { EXPECT_EQ(Errno("fork"), EPERM); }
TEST_F(JailTest, RefusesToTraceItsParent) { EXPECT_EQ(Errno("ptrace"), EPERM); }
TEST_F(JailTest, RefusesToSignalItsParent) { EXPECT_EQ(Errno("kill_parent"), EPERM); }
TEST_F(JailTest, BoundsTheFilesThatAreWritten) { EXPECT_EQ(Errno("huge"), EFBIG); }

TEST_F(JailTest, LeavesOnlyStandardStreamsAndTheReplyOpen) {
  EXPECT_EQ(Run("descriptors").metrics().at("descriptors"), 4);
}

TEST_F(JailTest, GivesATempFolderAndRemovesItAfterwards) {
  worker::v1::WorkerRequest request = Request("temp");
  absl::StatusOr<WorkerReply> reply = pool_.Run(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->metrics().at("cwd_is_tmpdir"), 1);
  EXPECT_TRUE(std::filesystem::is_empty(request.output_dir()));
}

TEST_F(JailTest, ReportsOutOfMemoryWithTheLimit) {
  worker::v1::WorkerRequest request = Request("oom");
  request.set_memory_bytes(64u << 20);
  absl::StatusOr<WorkerReply> reply = pool_.Run(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->outcome(), worker::v1::WORKER_OUTCOME_OUT_OF_MEMORY);
  EXPECT_THAT(reply->reason(), HasSubstr("67108864"));
}

}  // namespace
}  // namespace muster
