// A fixed pool of threads with a bounded queue. RPC handlers block on the store and on disks here,
// so that gRPC's own threads never do.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace muster {

class Executor {
 public:
  Executor(size_t threads, size_t queue_limit);
  ~Executor();  // runs what is queued, then ends

  // False if the queue is full: the caller answers RESOURCE_EXHAUSTED.
  [[nodiscard]] bool Post(std::function<void()> work);
  // For work whose caller was admitted before: never refused.
  void PostAlways(std::function<void()> work);

  size_t queue_limit() const { return queue_limit_; }
  size_t waiting() const;
  uint64_t refused() const;

 private:
  void Run();

  const size_t queue_limit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::deque<std::function<void()>> queue_;
  uint64_t refused_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace muster
