// Words, options, settings and manuals.
#include "coordinator/cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "coordinator/cli/program.h"
#include "tests/support/temp_folder.h"

namespace muster::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CommandLineTest : public testing::Test {
 protected:
  absl::StatusOr<CommandLine> Parse(std::vector<std::string> words) {
    return ParseCommandLine(words, commands_);
  }
  std::string Refusal(std::vector<std::string> words) {
    auto line = Parse(std::move(words));
    EXPECT_EQ(line.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(line.status().message());
  }
  const std::vector<Command> commands_ = AllCommands();
};

TEST_F(CommandLineTest, GlobalOptionsStandBeforeBetweenAndAfterTheWords) {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"--coordinator", "h:1", "--json", "jobs", "show", "j-1"},
           {"jobs", "--coordinator=h:1", "show", "--json", "j-1"},
           {"jobs", "show", "j-1", "--json", "--coordinator", "h:1"}}) {
    auto line = Parse(words);
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_EQ(line->command->words, "jobs show");
    EXPECT_EQ(line->arguments.Get("coordinator"), "h:1");
    EXPECT_TRUE(line->arguments.Has("json"));
    EXPECT_THAT(line->arguments.operands, ElementsAre("j-1"));
  }
}

TEST_F(CommandLineTest, PromoteAndItsOwnCommandsAreToldApart) {
  EXPECT_EQ(Parse({"promote", "m@3", "--cohort", ""})->command->words, "promote");
  EXPECT_EQ(Parse({"promote", "--cohort", "status", "m@3"})->command->words, "promote");
  EXPECT_EQ(Parse({"promote", "status", "m"})->command->words, "promote status");
}

TEST_F(CommandLineTest, AnEmptyValueIsAValue) {
  for (const auto& words : std::vector<std::vector<std::string>>{{"promote", "m@3", "--cohort", ""},
                                                                 {"promote", "m@3", "--cohort="}}) {
    auto line = Parse(words);
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_TRUE(line->arguments.Has("cohort"));
    EXPECT_EQ(line->arguments.Get("cohort", "none"), "");
  }
}

TEST_F(CommandLineTest, RepeatedOptionsAreAllKeptAndTheLastCounts) {
  auto line = Parse({"run", "job.yaml", "-c", "a=1", "-cb=2", "--config=c=3", "--json", "--json"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->arguments.All("config"), ElementsAre("a=1", "b=2", "c=3"));
  EXPECT_EQ(line->arguments.Get("config"), "c=3");
}

TEST_F(CommandLineTest, WhatIsUnknownIsToldWithTheNearest) {
  EXPECT_THAT(Refusal({"jbos", "ls"}), HasSubstr("unknown command 'jbos' (did you mean 'jobs'?)"));
  EXPECT_THAT(Refusal({"jobs", "shwo", "j"}), HasSubstr("did you mean 'show'?"));
  EXPECT_THAT(Refusal({"jobs"}), HasSubstr("jobs needs one of: cancel, ls, show, watch"));
  EXPECT_THAT(Refusal({"run", "j.yaml", "--detatch"}),
              HasSubstr("unknown option '--detatch' (did you mean 'detach'?)"));
  EXPECT_THAT(Refusal({"run", "j.yaml", "--det"}), HasSubstr("unknown option"));
}

TEST_F(CommandLineTest, OperandsAreCounted) {
  EXPECT_THAT(Refusal({"jobs", "show"}), HasSubstr("jobs show needs JOB"));
  EXPECT_THAT(Refusal({"jobs", "ls", "x"}), HasSubstr("cannot use 'x'"));
}

TEST_F(CommandLineTest, EveryCommandHasAManualWithEverySection) {
  for (const Command& command : commands_) {
    std::ostringstream out, err;
    std::vector<std::string> words;
    std::istringstream split{std::string(command.words)};
    for (std::string word; split >> word;) words.push_back(word);
    words.push_back("--help");
    EXPECT_EQ(RunProgram(words, {}, {.out = out, .err = err}), 0) << err.str();
    for (const char* section :
         {"NAME\n", "SYNOPSIS\n", "DESCRIPTION\n", "OPTIONS\n", "EXIT STATUS\n", "EXAMPLES\n"}) {
      EXPECT_THAT(out.str(), HasSubstr(section)) << command.words;
    }
    EXPECT_THAT(out.str(), HasSubstr("muster " + std::string(command.words)));
  }
}

class ProgramTest : public testing::Test {
 protected:
  int Run(std::vector<std::string> words) {
    out_.str("");
    err_.str("");
    return RunProgram(words, environment_, {.out = out_, .err = err_});
  }
  TempFolder folder_;
  Environment environment_{{"XDG_CONFIG_HOME", folder_.path().string()}};
  std::ostringstream out_, err_;
};

TEST_F(ProgramTest, WithoutACommandItPointsToTheManual) {
  EXPECT_EQ(Run({}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("muster --help"));
  EXPECT_EQ(Run({"--help"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("EXIT STATUS"));
  EXPECT_EQ(Run({"jobs", "--help"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("jobs cancel JOB"));
}

TEST_F(ProgramTest, ErrorsAreJsonWhereJsonWasAskedFor) {
  EXPECT_EQ(Run({"jobs", "ls", "--json"}), 2);
  const auto error = nlohmann::json::parse(err_.str())["error"];
  EXPECT_EQ(error["code"], "invalid_argument");
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("MUSTER_COORDINATOR"));
  EXPECT_EQ(Run({"jbos", "--json"}), 2);
  EXPECT_EQ(nlohmann::json::parse(err_.str())["error"]["code"], "invalid_argument");
}

TEST_F(ProgramTest, AMissingCredentialIsNotAllowed) {
  EXPECT_EQ(Run({"jobs", "ls", "--coordinator", "127.0.0.1:1", "--credential", "/nonexistent"}), 4);
  EXPECT_THAT(err_.str(), HasSubstr("muster-coordinator credential"));
}

TEST_F(ProgramTest, ABadJobFileIsUsageAndNeedsNoCoordinator) {
  const std::string path = (folder_.path() / "job.yaml").string();
  std::ofstream(path) << "name: m\nmodel: {zoo: mlp}\nrouns: 3\n";
  EXPECT_EQ(Run({"run", path}), 2);
  EXPECT_THAT(err_.str(), HasSubstr(path + ":3:1: unknown key 'rouns' (did you mean 'rounds'?)"));
}

class SettingsTest : public testing::Test {
 protected:
  absl::StatusOr<Settings> Resolve(std::vector<std::string> words) {
    words.insert(words.begin(), {"jobs", "ls"});
    auto line = ParseCommandLine(words, commands_);
    if (!line.ok()) return line.status();
    return ResolveSettings(line->arguments, environment_);
  }
  void WriteConfig(std::string_view text) {
    std::filesystem::create_directories(folder_.path() / "muster");
    std::ofstream(folder_.path() / "muster" / "config.yaml") << text;
  }
  const std::vector<Command> commands_ = AllCommands();
  TempFolder folder_;
  Environment environment_{{"XDG_CONFIG_HOME", folder_.path().string()}};
};

TEST_F(SettingsTest, FlagsComeBeforeTheEnvironmentBeforeTheFile) {
  WriteConfig("coordinator: file:1\ncredential: cred\nrpc_timeout: 5s\n");
  EXPECT_EQ(Resolve({})->coordinator, "file:1");
  EXPECT_EQ(Resolve({})->credential, folder_.path() / "muster" / "cred");
  EXPECT_EQ(Resolve({})->rpc_timeout, std::chrono::seconds(5));
  environment_["MUSTER_COORDINATOR"] = "environment:1";
  EXPECT_EQ(Resolve({})->coordinator, "environment:1");
  EXPECT_EQ(Resolve({"--coordinator", "flag:1"})->coordinator, "flag:1");
}

TEST_F(SettingsTest, AnUnknownKeyInTheFileIsToldWithItsLine) {
  WriteConfig("\ncordinator: x:1\n");
  auto settings = Resolve({});
  EXPECT_THAT(std::string(settings.status().message()),
              HasSubstr("config.yaml:2:1: unknown key 'cordinator' (did you mean 'coordinator'?)"));
}

}  // namespace
}  // namespace muster::cli
