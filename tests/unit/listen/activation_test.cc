#include "coordinator/listen/activation.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "coordinator/listen/bind.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ParseActivation, NamesDescriptorsFromThreeOn) {
  const auto sockets = ParseActivation({"7", "2", "grpc:http"}, 7);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  ASSERT_EQ(sockets->size(), 2u);
  EXPECT_EQ((*sockets)[0].fd, 3);
  EXPECT_EQ((*sockets)[0].name, "grpc");
  EXPECT_EQ((*sockets)[1].fd, 4);
  EXPECT_EQ((*sockets)[1].name, "http");
}

TEST(ParseActivation, IsEmptyWhereTheVariablesAreMissingOrAnotherProcesss) {
  EXPECT_TRUE(ParseActivation({}, 7).value().empty());
  EXPECT_TRUE(ParseActivation({"7", std::nullopt, std::nullopt}, 7).value().empty());
  EXPECT_TRUE(ParseActivation({"8", "2", "grpc:http"}, 7).value().empty());
  EXPECT_TRUE(ParseActivation({"7", "0", std::nullopt}, 7).value().empty());
}

TEST(ParseActivation, CallsSocketsWithoutNamesUnknown) {
  for (const std::optional<std::string>& names : {std::optional<std::string>(), {""}}) {
    const auto sockets = ParseActivation({"7", "1", names}, 7);
    ASSERT_TRUE(sockets.ok());
    EXPECT_EQ(sockets->at(0).name, "unknown");
  }
}

TEST(ParseActivation, NamesTheVariableThatMakesNoSense) {
  EXPECT_THAT(ParseActivation({"x", "1", ""}, 7).status().message(), HasSubstr("LISTEN_PID"));
  EXPECT_THAT(ParseActivation({"7", "-1", ""}, 7).status().message(), HasSubstr("LISTEN_FDS"));
  EXPECT_THAT(ParseActivation({"7", "1x", ""}, 7).status().message(), HasSubstr("LISTEN_FDS"));
  EXPECT_THAT(ParseActivation({"7", "65", ""}, 7).status().message(), HasSubstr("limit of 64"));
  EXPECT_THAT(ParseActivation({"7", "2", "grpc"}, 7).status().message(),
              HasSubstr("LISTEN_FDNAMES has 1 names for 2"));
}

TEST(AssignRoles, GoByNameAndASingleSocketIsGrpcWhateverItsName) {
  const InheritedSocket both[] = {{3, "http"}, {4, "grpc"}, {5, "grpc"}};
  const auto roles = AssignRoles(both);
  ASSERT_TRUE(roles.ok()) << roles.status();
  EXPECT_THAT(roles->grpc, ElementsAre(4, 5));
  EXPECT_EQ(roles->http, 3);
  const InheritedSocket one[] = {{3, "muster-coordinator.socket"}};
  EXPECT_THAT(AssignRoles(one)->grpc, ElementsAre(3));
}

TEST(AssignRoles, RefuseWhatNobodyWouldServe) {
  const InheritedSocket strange[] = {{3, "grpc"}, {4, "web"}};
  EXPECT_THAT(AssignRoles(strange).status().message(), HasSubstr("'web'"));
  const InheritedSocket twice[] = {{3, "grpc"}, {4, "http"}, {5, "http"}};
  EXPECT_FALSE(AssignRoles(twice).ok());
  const InheritedSocket alone[] = {{3, "http"}};
  EXPECT_THAT(AssignRoles(alone).status().message(), HasSubstr("grpc"));
}

// In a child, whose descriptors from 3 on are its own to arrange.
TEST(TakeInheritedSocketsDeathTest, TakesOverAListeningSocketAndNothingElse) {
  const auto in_child = [](bool listening) {
    UniqueFd socket = listening ? std::move(BindListeners("127.0.0.1:0").value().front())
                                : UniqueFd(open("/dev/null", O_RDONLY));
    dup2(socket.get(), kFirstInheritedFd);
    setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
    setenv("LISTEN_FDS", "1", 1);
    unsetenv("LISTEN_FDNAMES");
    const auto taken = TakeInheritedSockets();
    if (!taken.ok()) {
      fprintf(stderr, "refused: %s\n", taken.status().ToString().c_str());
      _exit(2);
    }
    const int fd = taken->grpc.at(0).get();
    const bool prepared = fcntl(fd, F_GETFD) == FD_CLOEXEC &&
                          (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && PortOf(fd) > 0;
    const bool forgotten = getenv("LISTEN_FDS") == nullptr && getenv("LISTEN_PID") == nullptr;
    _exit(prepared && forgotten ? 0 : 3);
  };
  EXPECT_EXIT(in_child(true), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(in_child(false), testing::ExitedWithCode(2), "descriptor 3 is no socket");
}

}  // namespace
}  // namespace muster
