#include "tests/bench/loadgen/coroutine.h"

namespace muster::load {

Pool::Pool(size_t threads) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
  threads_.emplace_back([this] { RunClock(); });
}

Pool::~Pool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    ready_.notify_all();
    sleeping_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

void Pool::Post(std::coroutine_handle<> ready) {
  std::lock_guard lock(mutex_);
  queue_.push_back(ready);
  ready_.notify_one();
}

void Pool::PostAt(std::chrono::steady_clock::time_point when, std::coroutine_handle<> ready) {
  std::lock_guard lock(mutex_);
  const auto at = sleepers_.emplace(when, ready);
  if (at == sleepers_.begin()) sleeping_.notify_one();
}

void Pool::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const std::coroutine_handle<> next = queue_.front();
    queue_.pop_front();
    lock.unlock();
    next.resume();
    lock.lock();
  }
}

void Pool::RunClock() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (sleepers_.empty()) {
      sleeping_.wait(lock);
      continue;
    }
    const auto first = sleepers_.begin();
    if (std::chrono::steady_clock::now() < first->first) {
      sleeping_.wait_until(lock, first->first);
      continue;
    }
    queue_.push_back(first->second);
    sleepers_.erase(first);
    ready_.notify_one();
  }
}

void Group::Start(Co<void> work) {
  {
    std::lock_guard lock(mutex_);
    ++running_;
  }
  Drive(this, std::move(work));
}

Group::Detached Group::Drive(Group* group, Co<void> work) {
  co_await group->pool_.Enter();
  {
    Co<void> running = std::move(work);
    co_await running;
  }  // whatever it held is gone before anybody is told
  std::lock_guard lock(group->mutex_);
  if (--group->running_ == 0) group->ended_.notify_all();
}

void Group::Wait() {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return running_ == 0; });
}

}  // namespace muster::load
