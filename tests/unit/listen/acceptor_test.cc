#include "coordinator/listen/acceptor.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "coordinator/listen/bind.h"

namespace muster {
namespace {

UniqueFd Call(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return UniqueFd();
  }
  return fd;
}

// Whether the other side ends the connection, for which it has the time that a test has.
bool Ended(const UniqueFd& fd) {
  pollfd watched{fd.get(), POLLIN, 0};
  if (poll(&watched, 1, 20'000) != 1) return false;
  char byte;
  return recv(fd.get(), &byte, 1, 0) <= 0;
}

// Connections that an acceptor handed on, held open until they are dropped here.
class Taken {
 public:
  Acceptor::Take take() {
    return [this](int, UniqueFd connection) {
      std::lock_guard lock(mutex_);
      held_.push_back(std::move(connection));
      ++count_;
      changed_.notify_all();
    };
  }
  void WaitForCount(size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return count_ >= count; }));
  }
  size_t count() {
    std::lock_guard lock(mutex_);
    return count_;
  }
  void Drop() {
    std::lock_guard lock(mutex_);
    held_.clear();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<UniqueFd> held_;
  size_t count_ = 0;
};

TEST(BindListeners, TakesNamesAddressesAndBothWildcards) {
  for (const char* listen : {"127.0.0.1:0", "localhost:0", "0.0.0.0:0", "[::]:0"}) {
    const auto bound = BindListeners(listen);
    ASSERT_TRUE(bound.ok()) << listen << ": " << bound.status();
    EXPECT_TRUE(Call(PortOf(bound->front().get())).valid()) << listen;
  }
}

TEST(BindListeners, SaysWhatToDoAboutATakenPort) {
  const auto first = BindListeners("127.0.0.1:0").value();
  const auto second = BindListeners("127.0.0.1:" + std::to_string(PortOf(first[0].get())));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().message(), testing::HasSubstr("ss -ltnp"));
  EXPECT_FALSE(BindListeners("192.0.2.1:0").ok());  // nobody's address
  EXPECT_FALSE(BindListeners("nonsense").ok());
}

TEST(AcceptorTest, ResetsConnectionsAboveTheLimitAndTakesMoreOnceSomeEnded) {
  Taken taken;
  Acceptor acceptor(BindListeners("127.0.0.1:0").value(), 2, taken.take());
  const UniqueFd first = Call(acceptor.port()), second = Call(acceptor.port());
  taken.WaitForCount(2);
  EXPECT_TRUE(Ended(Call(acceptor.port())));
  EXPECT_EQ(taken.count(), 2u);
  EXPECT_EQ(acceptor.refused(), 1u);

  taken.Drop();
  EXPECT_TRUE(Ended(first));
  // The count is refreshed now and then: whoever comes too early is reset and calls again.
  UniqueFd again;
  while (taken.count() < 3) {
    again = Call(acceptor.port());
    pollfd watched{again.get(), POLLIN, 0};
    poll(&watched, 1, 20);
  }
  EXPECT_GE(acceptor.accepted(), 3u);
}

TEST(AcceptorTest, CountsWhatIsOpenThoughNobodySaysWhatWasClosed) {
  Taken taken;
  Acceptor acceptor(BindListeners("127.0.0.1:0").value(), 100, taken.take());
  std::vector<UniqueFd> callers;
  for (int i = 0; i < 10; ++i) callers.push_back(Call(acceptor.port()));
  taken.WaitForCount(10);
  EXPECT_EQ(acceptor.open(), 10u);
  taken.Drop();
  while (acceptor.open() > 0) poll(nullptr, 0, 5);
  SUCCEED();
}

TEST(AcceptorTest, LeavesCallersInTheQueueWhilePausedForWhoeverHoldsTheSocket) {
  Taken mine, next;
  auto listeners = BindListeners("127.0.0.1:0").value();
  std::vector<UniqueFd> kept;
  kept.emplace_back(dup(listeners[0].get()));  // as systemd keeps it
  std::optional<Acceptor> acceptor;
  acceptor.emplace(std::move(listeners), 100, mine.take());
  const int port = acceptor->port();
  acceptor->Pause();
  const UniqueFd waiting = Call(port);
  ASSERT_TRUE(waiting.valid());
  acceptor.reset();
  EXPECT_EQ(mine.count(), 0u);

  Acceptor successor(std::move(kept), 100, next.take());
  next.WaitForCount(1);
  EXPECT_EQ(next.count(), 1u);
}

TEST(AcceptorTest, TakesCallersAgainAfterAPause) {
  Taken taken;
  Acceptor acceptor(BindListeners("127.0.0.1:0").value(), 100, taken.take());
  acceptor.Pause();
  const UniqueFd waiting = Call(acceptor.port());
  EXPECT_EQ(taken.count(), 0u);
  acceptor.Resume();
  taken.WaitForCount(1);
}

TEST(AcceptorTest, TurnsCallersAwayOnceClosed) {
  Taken taken;
  Acceptor acceptor(BindListeners("127.0.0.1:0").value(), 100, taken.take());
  acceptor.Close();
  EXPECT_FALSE(Call(acceptor.port()).valid());
}

}  // namespace
}  // namespace muster
