#include "coordinator/rpc/executor.h"

#include <utility>

namespace muster {

Executor::Executor(size_t threads, size_t queue_limit) : queue_limit_(queue_limit) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

Executor::~Executor() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

bool Executor::Post(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  if (queue_.size() >= queue_limit_) {
    ++refused_;
    return false;
  }
  queue_.push_back(std::move(work));
  changed_.notify_one();
  return true;
}

void Executor::PostAlways(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  queue_.push_back(std::move(work));
  changed_.notify_one();
}

size_t Executor::waiting() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

uint64_t Executor::refused() const {
  std::lock_guard lock(mutex_);
  return refused_;
}

void Executor::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace muster
