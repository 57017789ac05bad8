// Coroutines on a few threads: what a virtual device does reads like what a device does, while ten
// thousand of them wait for their answers at once.
//
// g++ 12 gets some temporaries inside a co_await expression wrong: name the arguments, and the
// call, before it is awaited.
#pragma once

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "proto/core/time.h"

namespace muster::load {

// What a coroutine that returns a T (or nothing) is made of. Lazy: runs when it is awaited, once.
template <typename T>
class [[nodiscard]] Co;

namespace internal {

struct PromiseBase {
  struct Final {
    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> done) const noexcept {
      return done.promise().continuation;
    }
    void await_resume() const noexcept {}
  };
  std::suspend_always initial_suspend() const noexcept { return {}; }
  Final final_suspend() const noexcept { return {}; }
  void unhandled_exception() const noexcept { std::terminate(); }
  std::coroutine_handle<> continuation = std::noop_coroutine();
};

template <typename T>
struct Promise : PromiseBase {
  Co<T> get_return_object();
  void return_value(T returned) { value.emplace(std::move(returned)); }
  T Take() { return *std::move(value); }
  std::optional<T> value;
};

template <>
struct Promise<void> : PromiseBase {
  Co<void> get_return_object();
  void return_void() const noexcept {}
  void Take() const {}
};

}  // namespace internal

template <typename T>
class [[nodiscard]] Co {
 public:
  using promise_type = internal::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Co(Handle handle) : handle_(handle) {}
  Co(Co&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Co& operator=(Co&&) = delete;
  ~Co() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
    handle_.promise().continuation = awaiting;
    return handle_;
  }
  T await_resume() { return handle_.promise().Take(); }

 private:
  Handle handle_;
};

template <typename T>
Co<T> internal::Promise<T>::get_return_object() {
  return Co<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Co<void> internal::Promise<void>::get_return_object() {
  return Co<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

// Threads that go on with coroutines, and a clock that wakes them.
class Pool {
 public:
  explicit Pool(size_t threads);
  ~Pool();  // nothing may be waiting in it
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void Post(std::coroutine_handle<> ready);
  void PostAt(std::chrono::steady_clock::time_point when, std::coroutine_handle<> ready);

  // co_await pool.Enter(): goes on on one of this pool's threads.
  auto Enter() {
    struct Awaitable {
      Pool& pool;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> waiting) const { pool.Post(waiting); }
      void await_resume() const noexcept {}
    };
    return Awaitable{*this};
  }
  // co_await pool.Sleep(time): as Enter, but not before.
  auto Sleep(Duration time) {
    struct Awaitable {
      Pool& pool;
      Duration time;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> waiting) const {
        pool.PostAt(std::chrono::steady_clock::now() + time, waiting);
      }
      void await_resume() const noexcept {}
    };
    return Awaitable{*this, time};
  }

 private:
  void Run();
  void RunClock();

  std::mutex mutex_;
  std::condition_variable ready_, sleeping_;
  bool stopping_ = false;
  std::deque<std::coroutine_handle<>> queue_;
  std::multimap<std::chrono::steady_clock::time_point, std::coroutine_handle<>> sleepers_;
  std::vector<std::thread> threads_;
};

// Waits, on a thread of its own, until all coroutines that were started with it have ended.
class Group {
 public:
  explicit Group(Pool& pool) : pool_(pool) {}
  ~Group() { Wait(); }

  void Start(Co<void> work);
  void Wait();

 private:
  struct Detached {
    struct promise_type {
      Detached get_return_object() const noexcept { return {}; }
      std::suspend_never initial_suspend() const noexcept { return {}; }
      std::suspend_never final_suspend() const noexcept { return {}; }
      void return_void() const noexcept {}
      void unhandled_exception() const noexcept { std::terminate(); }
    };
  };
  static Detached Drive(Group* group, Co<void> work);

  Pool& pool_;
  std::mutex mutex_;
  std::condition_variable ended_;
  size_t running_ = 0;
};

}  // namespace muster::load
