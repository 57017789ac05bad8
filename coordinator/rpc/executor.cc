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

void Executor::Put(Lane& lane, std::function<void()> work) {
  lane.push_back(std::move(work));
  changed_.notify_one();
}

bool Executor::Post(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  if (begun_.size() >= queue_limit_) {
    ++refused_;
    return false;
  }
  Put(begun_, std::move(work));
  return true;
}

void Executor::Continue(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  Put(continued_, std::move(work));
}

void Executor::Wake(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  Put(woken_, std::move(work));
}

size_t Executor::waiting() const {
  std::lock_guard lock(mutex_);
  size_t count = 0;
  for (const Lane& lane : lanes_) count += lane.size();
  return count;
}

uint64_t Executor::refused() const {
  std::lock_guard lock(mutex_);
  return refused_;
}

Executor::Lane* Executor::NextLane() {
  for (size_t tried = 0; tried < lanes_.size(); ++tried) {
    turn_ = (turn_ + 1) % lanes_.size();
    if (!lanes_[turn_].empty()) return &lanes_[turn_];
  }
  return nullptr;
}

void Executor::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    Lane* lane = nullptr;
    changed_.wait(lock, [&] { return (lane = NextLane()) != nullptr || stopping_; });
    if (lane == nullptr) return;
    std::function<void()> work = std::move(lane->front());
    lane->pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace muster
