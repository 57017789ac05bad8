// Wake-ups: who waits for news under a key, and until when. A wake-up is a hint that something may
// have changed; whoever is woken looks for himself. Start() fires the timeouts from a thread;
// without it they fire when somebody calls FireDue(), by whatever clock is given.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>

#include "proto/core/time.h"

namespace muster {

class WakeUps {
 public:
  enum class Reason { kWoken, kTimeout, kShutdown };
  using Callback = std::function<void(Reason)>;

  using Time = std::chrono::steady_clock::time_point;  // never jumps
  using Now = std::function<Time()>;

  explicit WakeUps(Now now = std::chrono::steady_clock::now);
  ~WakeUps();  // Shutdown()
  WakeUps(const WakeUps&) = delete;
  WakeUps& operator=(const WakeUps&) = delete;

  void Start();

  // Calls back whoever's timeout is over; returns how many.
  size_t FireDue();

  // Calls `callback` once: on Wake(key), after `timeout`, or at shutdown, from an arbitrary thread
  // and without a lock held. A Wake() between version() and WaitFor() is not lost: pass the version
  // that was read before looking.
  uint64_t version(const std::string& key);
  void WaitFor(const std::string& key, uint64_t seen_version, Duration timeout, Callback callback);
  void Wake(const std::string& key);
  void Shutdown();

 private:
  struct Waiter {
    std::string key;
    Callback callback;
  };

  void RunTimeouts();
  // With the mutex held: the next timeout of somebody who still waits, and its callback once it is
  // over.
  std::optional<Time> NextTimeout();
  std::optional<Callback> TakeDue();

  const Now now_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  uint64_t next_id_ = 1;
  uint64_t next_version_ = 1;
  std::unordered_map<std::string, uint64_t> versions_;  // keys with waiters or recent wakes
  std::unordered_map<uint64_t, Waiter> waiters_;
  std::multimap<Time, uint64_t> deadlines_;
  // A whole cohort waits under one key: whose time is over must be found without a walk.
  std::unordered_map<std::string, std::set<uint64_t>> by_key_;
  std::thread thread_;
};

}  // namespace muster
