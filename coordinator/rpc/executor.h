// A fixed pool of threads. RPC handlers block on the store and on disks here, so that gRPC's own
// threads never do.
//
// Work waits in one of three lanes, which take turns: a phase that ends wakes every call of its
// cohort at once, and neither an operator's call nor a running transfer waits for ten thousand
// answers.
#pragma once

#include <array>
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

  // A call that begins. False if its lane is full: the caller answers RESOURCE_EXHAUSTED.
  [[nodiscard]] bool Post(std::function<void()> work);
  // What was admitted before goes on, and is never refused: a transfer with its next piece, or a
  // held call that was woken.
  void Continue(std::function<void()> work);
  void Wake(std::function<void()> work);

  size_t queue_limit() const { return queue_limit_; }
  size_t waiting() const;  // in all lanes
  uint64_t refused() const;

 private:
  using Lane = std::deque<std::function<void()>>;

  void Put(Lane& lane, std::function<void()> work);  // with the mutex held
  Lane* NextLane();                                  // that is not empty; null: all are
  void Run();

  const size_t queue_limit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::array<Lane, 3> lanes_;
  Lane& begun_ = lanes_[0];
  Lane& continued_ = lanes_[1];
  Lane& woken_ = lanes_[2];
  size_t turn_ = 0;
  uint64_t refused_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace muster
