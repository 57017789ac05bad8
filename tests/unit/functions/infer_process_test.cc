// The instance process on its own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/unit/functions/support.h"

namespace muster {
namespace {

using namespace testing_support;
using testing::HasSubstr;

struct Process {
  pid_t pid = 0;
  UniqueFd out;  // its stdout

  std::string ReadLine() {
    std::string line;
    for (char c; read(out.get(), &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }
  int Wait() {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
};

Process StartInfer(std::vector<std::string> arguments) {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  Process process;
  process.out = UniqueFd(ends[0]);
  UniqueFd far(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, far.get(), STDOUT_FILENO);
  std::string name = MUSTER_INFER_BINARY;
  std::vector<char*> argv = {name.data()};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  EXPECT_EQ(posix_spawn(&process.pid, name.c_str(), &actions, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  return process;
}

class InferProcess : public testing::Test {
 protected:
  void Start(const std::string& listen) {
    const auto model = WriteModel(folder_.path(), 5);
    process_ = StartInfer(
        {"--model", model.string(), "--name", "har", "--version", "3", "--listen", listen});
    where_ = process_.ReadLine();
  }
  uint16_t port() const {
    return static_cast<uint16_t>(std::atoi(where_.c_str() + where_.rfind(':') + 1));
  }
  ~InferProcess() override {
    if (process_.pid == 0) return;
    kill(process_.pid, SIGTERM);
    EXPECT_EQ(process_.Wait(), 0) << "SIGTERM must end it in good order";
  }

  TemporaryFolder folder_;
  Process process_;
  std::string where_;
};

TEST_F(InferProcess, ServesTheProtocolOnAPortOfItsChoice) {
  Start("127.0.0.1:0");
  ASSERT_THAT(where_, HasSubstr("ready 127.0.0.1:"));
  const UniqueFd fd = ConnectTcp(port());
  for (const char* path :
       {"/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/har", "/v2/models/har/versions/3",
        "/v2/models/har/ready", "/v2/models/har/versions/3/ready"}) {
    EXPECT_EQ(Exchange(fd.get(), "GET", path).status, 200) << path;
  }
  EXPECT_EQ(Exchange(fd.get(), "GET", "/v2/models/har/versions/4").status, 404);
  const Answer answer = Exchange(fd.get(), "POST", "/v2/models/har/infer", InferBody(0.5, "q-1"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  const auto body = nlohmann::json::parse(answer.body);
  EXPECT_EQ(body["id"], "q-1");
  EXPECT_EQ(body["model_name"], "har");
  EXPECT_EQ(body["model_version"], "3");
  EXPECT_EQ(body["outputs"][0]["shape"], (std::vector<int>{1, 6}));
  EXPECT_EQ(OutputsOf(answer).size(), 6u);
}

TEST_F(InferProcess, BinaryTensorsGiveTheSameNumbersAsJson) {
  Start("unix:" + (folder_.path() / "socket").string());
  ASSERT_THAT(where_, HasSubstr("ready unix:"));
  const UniqueFd fd = ConnectUnix((folder_.path() / "socket").string());
  const std::vector<float> input(9 * 128, 0.5f);
  std::string body = R"({"inputs":[{"name":"input","datatype":"FP32","shape":[1,9,128],)"
                     R"("parameters":{"binary_data_size":4608}}],)"
                     R"("outputs":[{"name":"output","parameters":{"binary_data":true}}]})";
  const std::string header =
      "Inference-Header-Content-Length: " + std::to_string(body.size()) + "\r\n";
  body.append(reinterpret_cast<const char*>(input.data()), input.size() * sizeof(float));
  const Answer binary = Exchange(fd.get(), "POST", "/v2/models/har/infer", body, header);
  ASSERT_EQ(binary.status, 200) << binary.body;
  const size_t at = binary.head.find("Inference-Header-Content-Length: ");
  ASSERT_NE(at, std::string::npos);
  const size_t json_size = std::strtoul(binary.head.c_str() + at + 33, nullptr, 10);
  ASSERT_EQ(binary.body.size(), json_size + 6 * sizeof(float));
  std::vector<float> outputs(6);
  std::memcpy(outputs.data(), binary.body.data() + json_size, 6 * sizeof(float));
  EXPECT_EQ(outputs, OutputsOf(Exchange(fd.get(), "POST", "/v2/models/har/infer", InferBody())));
}

TEST_F(InferProcess, RefusesABodyBeyondTheLimitWith413) {
  Start("127.0.0.1:0");
  const UniqueFd fd = ConnectTcp(port());
  const std::string head =
      "POST /v2/models/har/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n";
  ASSERT_EQ(write(fd.get(), head.data(), head.size()), static_cast<ssize_t>(head.size()));
  char buffer[1024] = {};
  ASSERT_GT(read(fd.get(), buffer, sizeof(buffer) - 1), 0);
  EXPECT_THAT(buffer, HasSubstr("HTTP/1.1 413"));
}

TEST_F(InferProcess, AnswersNonsenseWith400) {
  Start("127.0.0.1:0");
  const UniqueFd fd = ConnectTcp(port());
  const std::string nonsense = "HELO there\r\n\r\n";
  ASSERT_EQ(write(fd.get(), nonsense.data(), nonsense.size()),
            static_cast<ssize_t>(nonsense.size()));
  char buffer[1024] = {};
  ASSERT_GT(read(fd.get(), buffer, sizeof(buffer) - 1), 0);
  EXPECT_THAT(buffer, HasSubstr("HTTP/1.1 400"));
  EXPECT_EQ(Fetch(port(), "GET", "/v2/health/live").status, 200);
}

TEST(InferCommand, SaysWhatIsWrongAndExitsWithTheDocumentedCode) {
  TemporaryFolder folder;
  EXPECT_EQ(StartInfer({"--help"}).Wait(), 0);
  EXPECT_EQ(StartInfer({"--model", "x"}).Wait(), 2);
  EXPECT_EQ(StartInfer({"--nonsense", "x"}).Wait(), 2);
  EXPECT_EQ(StartInfer({"--model", (folder.path() / "absent").string(), "--name", "m", "--version",
                        "1", "--listen", "127.0.0.1:0"})
                .Wait(),
            1);
}

}  // namespace
}  // namespace muster
