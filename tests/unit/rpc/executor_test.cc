#include "coordinator/rpc/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>

namespace muster {
namespace {

TEST(Executor, RefusesWorkAboveItsQueueLimit) {
  std::promise<void> release, started;
  std::shared_future<void> gate = release.get_future().share();
  std::atomic<int> ran{0};
  {
    Executor executor(1, 2);
    ASSERT_TRUE(executor.Post([&, gate] {
      started.set_value();
      gate.wait();
      ++ran;
    }));
    started.get_future().wait();  // the only thread is busy, the queue is empty
    EXPECT_TRUE(executor.Post([&] { ++ran; }));
    EXPECT_TRUE(executor.Post([&] { ++ran; }));
    EXPECT_FALSE(executor.Post([&] { ++ran; }));
    executor.Continue([&] { ++ran; });
    release.set_value();
  }
  EXPECT_EQ(ran, 4);  // what was taken is run before the end
}

TEST(Executor, LanesTakeTurnsHoweverLongOneOfThemIs) {
  std::promise<void> release, started;
  std::string order;  // of one thread
  {
    Executor executor(1, 2);
    ASSERT_TRUE(executor.Post([&] {
      started.set_value();
      release.get_future().wait();
    }));
    started.get_future().wait();
    for (int i = 0; i < 6; ++i) executor.Wake([&] { order += 'w'; });
    EXPECT_TRUE(executor.Post([&] { order += 'b'; }));
    EXPECT_TRUE(executor.Post([&] { order += 'b'; })) << "who was woken takes nobody's place";
    executor.Continue([&] { order += 'c'; });
    EXPECT_EQ(executor.waiting(), 9u);
    release.set_value();
  }
  EXPECT_EQ(order, "cwbwbwwww");
}

}  // namespace
}  // namespace muster
