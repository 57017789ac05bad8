#include "coordinator/drive/wakeups.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace muster {
namespace {

// Versions of keys that nobody waits for are forgotten above this many, or above twice as many as
// somebody waits for; a forgotten key counts as changed.
constexpr size_t kMaxIdleVersions = 100'000;

template <typename Versions, typename ByKey>
void ForgetIdle(Versions& versions, const ByKey& by_key) {
  if (versions.size() <= std::max(kMaxIdleVersions, 2 * by_key.size())) return;
  std::erase_if(versions, [&](const auto& known) { return !by_key.contains(known.first); });
}

}  // namespace

WakeUps::WakeUps(Now now) : now_(std::move(now)) {}

void WakeUps::Start() {
  thread_ = std::thread([this] { RunTimeouts(); });
}

WakeUps::~WakeUps() {
  Shutdown();
  if (thread_.joinable()) thread_.join();
}

uint64_t WakeUps::version(const std::string& key) {
  std::lock_guard lock(mutex_);
  ForgetIdle(versions_, by_key_);
  auto [it, inserted] = versions_.try_emplace(key, next_version_);
  if (inserted) ++next_version_;
  return it->second;
}

void WakeUps::WaitFor(const std::string& key, uint64_t seen_version, Duration timeout,
                      Callback callback) {
  Reason at_once;
  {
    std::lock_guard lock(mutex_);
    auto it = versions_.find(key);
    if (stopping_) {
      at_once = Reason::kShutdown;
    } else if (it == versions_.end() || it->second != seen_version) {
      at_once = Reason::kWoken;
    } else {
      const uint64_t id = next_id_++;
      waiters_.emplace(id, Waiter{key, std::move(callback)});
      by_key_[key].insert(id);
      deadlines_.emplace(now_() + timeout, id);
      changed_.notify_one();
      return;
    }
  }
  callback(at_once);
}

void WakeUps::Wake(const std::string& key) {
  std::vector<Callback> woken;
  {
    std::lock_guard lock(mutex_);
    ForgetIdle(versions_, by_key_);
    versions_[key] = next_version_++;
    const auto waiting = by_key_.extract(key);
    if (waiting.empty()) return;
    for (const uint64_t id : waiting.mapped()) {
      auto waiter = waiters_.extract(id);
      woken.push_back(std::move(waiter.mapped().callback));
    }
  }
  for (Callback& callback : woken) callback(Reason::kWoken);
}

void WakeUps::Shutdown() {
  std::vector<Callback> woken;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    for (auto& [id, waiter] : waiters_) woken.push_back(std::move(waiter.callback));
    waiters_.clear();
    by_key_.clear();
    deadlines_.clear();
    changed_.notify_all();
  }
  for (Callback& callback : woken) callback(Reason::kShutdown);
}

void WakeUps::RunTimeouts() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const std::optional<Time> next = NextTimeout();
    if (!next) {
      changed_.wait(lock);
    } else if (auto callback = TakeDue()) {
      lock.unlock();
      (*callback)(Reason::kTimeout);
      lock.lock();
    } else {
      changed_.wait_until(lock, *next);
    }
  }
}

size_t WakeUps::FireDue() {
  size_t fired = 0;
  std::unique_lock lock(mutex_);
  while (auto callback = TakeDue()) {
    lock.unlock();
    (*callback)(Reason::kTimeout);
    ++fired;
    lock.lock();
  }
  return fired;
}

std::optional<WakeUps::Time> WakeUps::NextTimeout() {
  while (!deadlines_.empty()) {
    const auto first = deadlines_.begin();
    if (waiters_.contains(first->second)) return first->first;
    deadlines_.erase(first);  // woken before
  }
  return std::nullopt;
}

std::optional<WakeUps::Callback> WakeUps::TakeDue() {
  const std::optional<Time> next = NextTimeout();
  if (!next || now_() < *next) return std::nullopt;
  const auto first = deadlines_.begin();
  const auto waiter = waiters_.find(first->second);
  const auto waiting = by_key_.find(waiter->second.key);
  waiting->second.erase(first->second);
  if (waiting->second.empty()) by_key_.erase(waiting);
  Callback callback = std::move(waiter->second.callback);
  waiters_.erase(waiter);
  deadlines_.erase(first);
  return callback;
}

}  // namespace muster
