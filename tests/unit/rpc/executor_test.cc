#include "coordinator/rpc/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

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
    executor.PostAlways([&] { ++ran; });
    release.set_value();
  }
  EXPECT_EQ(ran, 4);  // what was taken is run before the end
}

}  // namespace
}  // namespace muster
