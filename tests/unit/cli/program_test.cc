// The real `muster` against a real `muster-coordinator`, over mTLS.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "coordinator/cli/api.h"
#include "coordinator/cli/transfer.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/cli/played_device.h"

extern char** environ;

namespace muster::cli {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

constexpr std::chrono::seconds kStartsWithin{30};
constexpr size_t kTinyParameters = 4 * 3 + 3 + 3 * 2 + 2;  // of WriteJob's model

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Outcome {
  int code = -1;
  std::string out, err;
};

// A program with its output in files of `folder`.
pid_t Start(std::vector<std::string> words, const std::filesystem::path& folder,
            const std::string& name) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const auto& [fd, suffix] : {std::pair{STDOUT_FILENO, ".out"}, {STDERR_FILENO, ".err"}}) {
    posix_spawn_file_actions_addopen(&actions, fd, (folder / (name + suffix)).c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0644);
  }
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(error, 0) << words[0];
  return error == 0 ? pid : -1;
}

int ExitOf(pid_t pid) {
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class RealCoordinator : public testing::Test {
 protected:
  void SetUp() override {
    unsetenv("MUSTER_COORDINATOR");
    unsetenv("MUSTER_CREDENTIAL");
    setenv("XDG_CONFIG_HOME", folder_.path().c_str(), 1);
    const Outcome init = Coordinator({"init", "--credential-out", Path("operator"), "--json"});
    ASSERT_EQ(init.code, 0) << init.err;
    pin_ = Json::parse(init.out)["ca_pin"];
    Serve();
  }
  void TearDown() override { Stop(); }

  std::string Path(const std::string& name) const { return (folder_.path() / name).string(); }

  Outcome RunToEnd(std::vector<std::string> words) {
    Outcome outcome;
    outcome.code = ExitOf(Start(std::move(words), folder_.path(), "command"));
    outcome.out = ReadAll(Path("command.out"));
    outcome.err = ReadAll(Path("command.err"));
    return outcome;
  }
  Outcome Coordinator(std::vector<std::string> words) {
    words.insert(words.begin(), MUSTER_COORDINATOR_BINARY);
    words.insert(words.end(), {"--state-dir", Path("state")});
    return RunToEnd(std::move(words));
  }
  Outcome Muster(std::vector<std::string> words) {
    words.insert(words.begin(), {MUSTER_BINARY, "--coordinator", address_, "--credential",
                                 credential_, "--rpc-timeout", "20s"});
    return RunToEnd(std::move(words));
  }
  Json MusterJson(std::vector<std::string> words) {
    words.push_back("--json");
    const Outcome outcome = Muster(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out, nullptr, false);
  }

  void Serve() {
    const std::filesystem::path run_file = Path("state/coordinator.json");
    std::filesystem::remove(run_file);
    server_ = Start({MUSTER_COORDINATOR_BINARY, "serve", "--state-dir", Path("state"), "--listen",
                     "127.0.0.1:0", "--http", ""},
                    folder_.path(), "server");
    const auto end = std::chrono::steady_clock::now() + kStartsWithin;
    Json run;
    while (!run.contains("port")) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << ReadAll(Path("server.err"));
      run = Json::parse(ReadAll(run_file), nullptr, false);
      if (!run.is_object()) run = Json::object();
      std::this_thread::yield();
    }
    address_ = "127.0.0.1:" + std::to_string(run["port"].get<int>());
  }
  pid_t StartPromote(std::vector<std::string> words, const std::string& name) {
    words.insert(words.begin(),
                 {"/usr/bin/env", std::string("MUSTER=") + MUSTER_BINARY,
                  "MUSTER_COORDINATOR=" + address_, "MUSTER_CREDENTIAL=" + credential_,
                  "XDG_RUNTIME_DIR=" + folder_.path().string(), PROMOTE_SCRIPT});
    return Start(std::move(words), folder_.path(), name);
  }
  Outcome Promote(std::vector<std::string> words) {
    Outcome outcome;
    outcome.code = ExitOf(StartPromote(std::move(words), "command"));
    outcome.out = ReadAll(Path("command.out"));
    outcome.err = ReadAll(Path("command.err"));
    return outcome;
  }
  void Stop() {
    if (server_ <= 0) return;
    kill(server_, SIGKILL);
    ExitOf(server_);
    server_ = 0;
  }
  std::string WriteJob() {
    std::ofstream(Path("job.yaml")) << "name: tiny\nmodel: {zoo: mlp, input_shape: [4], outputs: "
                                       "2, hidden: [3]}\nround: {clients: 1, deadline: "
                                       "60s}\nprivacy: {secure_aggregation: {mode: off}}\n";
    return Path("job.yaml");
  }

  TempFolder folder_;
  std::string address_, pin_, credential_ = Path("operator");
  pid_t server_ = 0;
};

TEST_F(RealCoordinator, TokensAreMadeListedAndRevoked) {
  const Outcome made = Muster(
      {"tokens", "create", "--uses", "2", "--ttl", "1h", "--label", "site=a", "--label", "rack=3"});
  ASSERT_EQ(made.code, 0) << made.err;
  ASSERT_EQ(made.out.substr(0, 4), "mjt_") << "the token alone";
  EXPECT_EQ(made.out.find('\n'), made.out.size() - 1);
  const Json tokens = MusterJson({"tokens", "ls"})["tokens"];
  ASSERT_EQ(tokens.size(), 1u);
  EXPECT_EQ(tokens[0]["uses"], 2);
  EXPECT_EQ(tokens[0]["used"], 0);
  EXPECT_EQ(tokens[0]["labels"], Json({{"rack", "3"}, {"site", "a"}}));
  const std::string id = tokens[0]["id"];
  EXPECT_EQ(made.out.substr(4, id.size()), id);
  EXPECT_EQ(Muster({"tokens", "revoke", id}).code, 0);
  EXPECT_EQ(MusterJson({"tokens", "ls"})["tokens"][0]["revoked"], true);
}

TEST_F(RealCoordinator, AJobIsSubmittedOnceShownAndCancelled) {
  const std::string job = WriteJob();
  const Json first = MusterJson({"run", job, "--detach", "--idempotency-key", "once"});
  const std::string id = first["job"];
  EXPECT_THAT(first["notices"].dump(), HasSubstr("in the clear"));
  EXPECT_EQ(MusterJson({"run", job, "--detach", "--idempotency-key", "once"})["job"], id);
  const Json jobs = MusterJson({"jobs", "ls"})["jobs"];
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0]["phase"], "running");
  EXPECT_EQ(jobs[0]["rounds_committed"], 0);
  const Json shown = MusterJson({"jobs", "show", id});
  EXPECT_EQ(shown["job"]["id"], id);
  EXPECT_EQ(shown["job"]["aggregation"], "off: the coordinator sees every update");
  EXPECT_EQ(shown["job"]["secure_aggregation"]["mode"], "clear");
  EXPECT_TRUE(shown["job"]["privacy"].is_null());
  EXPECT_EQ(first["aggregation"], shown["job"]["aggregation"]);
  EXPECT_EQ(shown["spec"]["round"]["quorum"], 1);
  EXPECT_EQ(shown["spec"]["server_optimizer"]["kind"], "fedavg");
  EXPECT_EQ(MusterJson({"jobs", "cancel", id})["job"]["phase"], "cancelled");
  const Outcome watched = Muster({"jobs", "watch", id});
  EXPECT_EQ(watched.code, 5) << watched.err;
  EXPECT_THAT(watched.out, HasSubstr("cancelled"));
}

TEST_F(RealCoordinator, ADownloadIsResumedCheckedAndKept) {
  MusterJson({"run", WriteJob(), "--detach"});
  const std::string job = MusterJson({"jobs", "ls"})["jobs"][0]["id"];
  const std::string hex = MusterJson({"jobs", "show", job})["spec"]["initial_weights"];
  const Digest digest = *Digest::FromHex(hex);
  auto api = Api::Open({.coordinator = address_, .credential = credential_});
  ASSERT_TRUE(api.ok()) << api.status();
  uint64_t streamed = 0;
  const auto count = [&](uint64_t, uint64_t) { ++streamed; };
  const std::filesystem::path file = Path("weights");
  ASSERT_TRUE(DownloadFile(**api, digest, file, count).ok());
  const std::string whole = ReadAll(file);
  EXPECT_EQ(whole.size(), kTinyParameters * sizeof(float));
  EXPECT_EQ(Sha256(whole), digest);
  streamed = 0;
  ASSERT_TRUE(DownloadFile(**api, digest, file, count).ok());
  EXPECT_EQ(streamed, 0u) << "it is there already";
  std::filesystem::remove(file);
  std::ofstream(Path("weights.part")) << whole.substr(0, 10);
  ASSERT_TRUE(DownloadFile(**api, digest, file, count).ok());
  EXPECT_EQ(ReadAll(file), whole) << "from the tenth byte on";
  std::filesystem::remove(file);
  std::ofstream(Path("weights.part")) << "damaged";
  ASSERT_TRUE(DownloadFile(**api, digest, file, count).ok());
  EXPECT_EQ(ReadAll(file), whole) << "fetched again from the start";
  EXPECT_FALSE(std::filesystem::exists(Path("weights.part")));
}

TEST_F(RealCoordinator, AResearcherMayRunJobsAndNothingElse) {
  ASSERT_EQ(
      Coordinator({"credential", "--role", "researcher", "--name", "ada", "--out", Path("ada")})
          .code,
      0);
  credential_ = Path("ada");
  EXPECT_EQ(MusterJson({"jobs", "ls"})["jobs"], Json::array());
  const Outcome refused = Muster({"tokens", "create", "--json"});
  EXPECT_EQ(refused.code, 4);
  EXPECT_EQ(Json::parse(refused.err)["error"]["code"], "permission_denied");
}

TEST_F(RealCoordinator, WhatTheCoordinatorDoesNotKnowFails) {
  EXPECT_EQ(Muster({"jobs", "show", "j-nothing"}).code, 1);
  EXPECT_EQ(Muster({"promote", "nothing@1", "--cohort", ""}).code, 1);
}

TEST_F(RealCoordinator, WhileItIsDownCommandsExitWithThree) {
  EXPECT_GT(MusterJson({"ping", "--wait", "20s"})["answered_unix_us"].get<int64_t>(), 0);
  Stop();
  const Outcome down = Muster({"jobs", "ls"});
  EXPECT_EQ(down.code, 3) << down.err;
  EXPECT_THAT(down.err, HasSubstr("muster-coordinator serve"));
  EXPECT_EQ(Muster({"ping"}).code, 3);
}

TEST_F(RealCoordinator, ThePromotionScriptTellsItsFailuresApart) {
  EXPECT_EQ(Promote({"tiny@9", "--cohort", ""}).code, 1) << "no such model";
  EXPECT_EQ(Promote({"tiny", "--cohort", ""}).code, 2);
  EXPECT_EQ(Promote({"tiny@1"}).code, 2);
  EXPECT_EQ(Promote({"tiny@1", "--cohort", "site"}).code, 2);
  ASSERT_EQ(
      Coordinator({"credential", "--role", "researcher", "--name", "ada", "--out", Path("ada")})
          .code,
      0);
  credential_ = Path("ada");
  EXPECT_EQ(Promote({"tiny@1", "--cohort", ""}).code, 4);
  Stop();
  EXPECT_EQ(Promote({"tiny@1", "--cohort", ""}).code, 3);
}

// One device that takes part in a job of two rounds, by hand.
class WithADevice : public RealCoordinator {
 protected:
  void SetUp() override {
    RealCoordinator::SetUp();
    ASSERT_FALSE(HasFatalFailure());
    const Json token = MusterJson({"tokens", "create"});
    device_ = std::make_unique<PlayedDevice>(address_, token["token"], pin_, Path("device"));
    const pid_t watching = Start({MUSTER_BINARY, "--coordinator", address_, "--credential",
                                  credential_, "run", WriteJob(), "-c", "rounds=2"},
                                 folder_.path(), "run");
    device_->TakePart(kTinyParameters);
    device_->TakePart(kTinyParameters);
    EXPECT_EQ(ExitOf(watching), 0) << ReadAll(Path("run.err"));
  }
  void TearDown() override {
    device_.reset();
    RealCoordinator::TearDown();
  }
  std::unique_ptr<PlayedDevice> device_;
};

TEST_F(WithADevice, RunShowsEveryRoundAndTheEnd) {
  const std::string progress = ReadAll(Path("run.err"));
  EXPECT_THAT(progress, HasSubstr("round 1/2  1 of 1 clients  7 examples  train loss 0.5"));
  EXPECT_THAT(progress, HasSubstr("round 2/2"));
  EXPECT_THAT(progress, HasSubstr("in the clear"));
  EXPECT_THAT(ReadAll(Path("run.out")), HasSubstr("succeeded; 2 of 2 rounds"));
  const Json rows = MusterJson({"usage"})["rows"];
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["wall_us"], 4'000'000);
}

TEST_F(WithADevice, AModelIsPulledWithEverythingThatItsPackageNames) {
  const Json models = MusterJson({"models", "ls", "tiny"})["models"];
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0]["version"], 2);
  const Json pulled = MusterJson({"models", "pull", "tiny@2", "--out", Path("pulled")});
  EXPECT_EQ(pulled["files"].size(), 3u);
  EXPECT_EQ(std::filesystem::file_size(Path("pulled/weights.f32")),
            kTinyParameters * sizeof(float));
  EXPECT_EQ(Json::parse(ReadAll(Path("pulled/manifest.json")))["name"], "tiny");
  EXPECT_EQ(MusterJson({"models", "show", "tiny"})["manifest"]["lineage"]["round"], 2);
}

TEST_F(WithADevice, PromoteWaitsForTheDevicesAnswer) {
  const pid_t promoting =
      Start({MUSTER_BINARY, "--coordinator", address_, "--credential", credential_, "promote",
             "tiny@1", "--cohort", "", "--wait", "--timeout", "60s", "--json"},
            folder_.path(), "promote");
  device_->Answer("tiny", 1, "");
  EXPECT_EQ(ExitOf(promoting), 0) << ReadAll(Path("promote.err"));
  const Json promoted = Json::parse(ReadAll(Path("promote.out")));
  EXPECT_EQ(promoted["promotion"]["phase"], "live");
  EXPECT_EQ(promoted["promotion"]["devices"][0]["status"]["phase"], "live");
  EXPECT_EQ(MusterJson({"promote", "tiny@1", "--cohort", ""})["already"], true);
  EXPECT_EQ(Muster({"promote", "tiny@1", "--cohort", "site=nowhere", "--wait"}).code, 6);
}

TEST_F(WithADevice, ThePromotionScriptVerifiesOnTheDevicesAndRollsBackAFailure) {
  const auto promote = [&](const std::string& model) {
    return StartPromote({model, "--cohort", "", "--timeout", "60s", "--json"}, "script");
  };
  pid_t script = promote("tiny@1");
  device_->Answer("tiny", 1, "");
  EXPECT_EQ(ExitOf(script), 0) << ReadAll(Path("script.err"));
  EXPECT_EQ(Json::parse(ReadAll(Path("script.out")))["result"], "live");
  EXPECT_EQ(ExitOf(promote("tiny@1")), 0) << "repeating it is harmless";
  script = promote("tiny@2");
  device_->Answer("tiny", 2, "no space left");
  EXPECT_EQ(ExitOf(script), 1);
  EXPECT_THAT(ReadAll(Path("script.err")), HasSubstr("played: no space left"));
  const Json result = Json::parse(ReadAll(Path("script.out")));
  EXPECT_EQ(result["rolled_back"], true);
  EXPECT_EQ(result["promotion"]["phase"], "rolled_back");
  device_->Answer("tiny", 1, "");  // told to return
}

}  // namespace
}  // namespace muster::cli
