// What every command of muster-coordinator promises on its command line.
#include "coordinator/commands/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <sstream>

#include "tests/support/temp_folder.h"

namespace muster::commands {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Answer {
  int code = 0;
  std::string out;
  std::string err;
};

Answer RunWith(std::vector<std::string> arguments) {
  std::ostringstream out, err;
  const int code = Run(std::move(arguments), out, err);
  return {code, out.str(), err.str()};
}

std::vector<std::string> WordsOf(const Command& command) {
  std::istringstream words{std::string(command.name)};
  return {std::istream_iterator<std::string>(words), {}};
}

TEST(Commands, EachHasAManualPage) {
  for (const Command* command : AllCommands()) {
    std::vector<std::string> words = WordsOf(*command);
    words.push_back("--help");
    const Answer help = RunWith(words);
    EXPECT_EQ(help.code, kExitDone) << command->name;
    EXPECT_THAT(help.err, IsEmpty());
    for (const char* section :
         {"NAME\n", "SYNOPSIS\n", "DESCRIPTION\n", "OPTIONS\n", "EXIT STATUS\n", "EXAMPLES\n"}) {
      EXPECT_THAT(help.out, HasSubstr(section)) << command->name;
    }
    EXPECT_THAT(help.out, HasSubstr("--state-dir DIR")) << command->name;
    EXPECT_FALSE(command->examples.empty()) << command->name;
  }
}

TEST(Commands, TheProgramsManualListsEachCommand) {
  const Answer help = RunWith({"--help"});
  EXPECT_EQ(help.code, kExitDone);
  for (const Command* command : AllCommands()) {
    EXPECT_THAT(help.out, HasSubstr(std::string(command->summary)));
  }
}

TEST(Commands, AnUnknownCommandIsAnsweredWithTheNearest) {
  const Answer answer = RunWith({"srve"});
  EXPECT_EQ(answer.code, kExitUsage);
  EXPECT_THAT(answer.err, HasSubstr("unknown command 'srve'"));
  EXPECT_THAT(answer.err, HasSubstr("serve"));
}

TEST(Commands, NoCommandIsWrongUsage) {
  const Answer answer = RunWith({});
  EXPECT_EQ(answer.code, kExitUsage);
  EXPECT_THAT(answer.err, HasSubstr("no command given"));
}

TEST(Commands, AnUnknownOptionNamesTheManual) {
  for (const Command* command : AllCommands()) {
    std::vector<std::string> words = WordsOf(*command);
    words.push_back("--no-such-option");
    const Answer answer = RunWith(words);
    EXPECT_EQ(answer.code, kExitUsage) << command->name;
    EXPECT_THAT(answer.err, HasSubstr("no-such-option")) << command->name;
    EXPECT_THAT(answer.err, HasSubstr(std::string(command->name) + " --help"));
  }
}

TEST(Commands, DevicesGetNoCredentialHere) {
  const Answer answer =
      RunWith({"credential", "--role", "device", "--name", "d", "--out", "/nonexistent/d"});
  EXPECT_EQ(answer.code, kExitUsage);
  EXPECT_THAT(answer.err, HasSubstr("muster-client enroll"));
}

TEST(Commands, AFailureSaysWhichFolder) {
  const Answer answer = RunWith({"pin", "--state-dir", "/nonexistent/state"});
  EXPECT_EQ(answer.code, kExitFailed);
  EXPECT_THAT(answer.err, HasSubstr("/nonexistent/state"));
}

TEST(Commands, ANewTimelineNeedsAStoreThatWasRestored) {
  const TempFolder folder;
  const std::string state = folder.path() / "state";
  EXPECT_EQ(RunWith({"timeline", "new", "-d", state}).code, kExitFailed);
  ASSERT_EQ(RunWith({"init", "-d", state}).code, kExitDone);
  const Answer done = RunWith({"timeline", "new", "-d", state, "--json"});
  EXPECT_EQ(done.code, kExitDone) << done.err;
  EXPECT_EQ(done.out, "{\"finished_jobs\":0,\"jobs\":[],\"revoked_tokens\":0}\n");
  EXPECT_EQ(RunWith({"timeline", "new", "--store", "mysql://h/db"}).code, kExitUsage);
}

TEST(Commands, TheBackupOfAStoreElsewhereNamesWhatARestoreOfItNeeds) {
  const TempFolder folder;
  const std::string state = folder.path() / "state";
  ASSERT_EQ(RunWith({"init", "-d", state, "--store", "sqlite:" + state + "-store"}).code,
            kExitDone);
  const Answer refused = RunWith({"backup", "-d", state, "--out", state + "-backup"});
  EXPECT_EQ(refused.code, kExitFailed);
  EXPECT_THAT(refused.err, HasSubstr("pg_dump"));
  EXPECT_THAT(refused.err, HasSubstr("muster-coordinator timeline new"));
}

// A rotation by commands alone, over a store in which nobody has enrolled.
TEST(Commands, ARotationGoesItsWayAndSaysWhatIsNext) {
  const TempFolder folder;
  const std::string state = folder.path() / "state";
  const auto ca = [&](const std::string& verb) { return RunWith({"ca", verb, "-d", state}); };
  ASSERT_EQ(RunWith({"init", "-d", state}).code, kExitDone);
  const std::string first_pin = RunWith({"pin", "-d", state}).out;
  EXPECT_THAT(ca("switch").err, HasSubstr("ca rotate"));
  EXPECT_THAT(ca("retire").err, HasSubstr("ca rotate"));
  const Answer rotate = ca("rotate");
  EXPECT_EQ(rotate.code, kExitDone) << rotate.err;
  EXPECT_THAT(rotate.out, HasSubstr("ca status"));
  EXPECT_THAT(ca("rotate").err, HasSubstr("ca switch"));
  EXPECT_THAT(ca("retire").err, HasSubstr("ca switch"));
  EXPECT_EQ(RunWith({"pin", "-d", state}).out, first_pin);
  const Answer status = ca("status");
  EXPECT_EQ(status.code, kExitDone) << status.err;
  EXPECT_THAT(status.out, HasSubstr("announced"));
  EXPECT_THAT(status.out, HasSubstr("next: muster-coordinator ca switch"));
  const Answer switched = ca("switch");
  EXPECT_EQ(switched.code, kExitDone) << switched.err;
  EXPECT_NE(RunWith({"pin", "-d", state}).out, first_pin);
  EXPECT_EQ(ca("retire").code, kExitDone);
  EXPECT_THAT(RunWith({"ca", "status", "-d", state, "--json"}).out,
              HasSubstr(R"("stage":"settled")"));
  EXPECT_THAT(RunWith({"init", "-d", state}).err, HasSubstr("exists already"));
}

}  // namespace
}  // namespace muster::commands
