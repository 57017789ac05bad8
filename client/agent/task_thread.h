#pragma once

#include <optional>
#include <thread>
#include <utility>

namespace muster {

// One task at a time on a thread of its own, which ends with the task.
class TaskThread {
 public:
  ~TaskThread() { Stop(); }
  template <typename Task>
  void Run(Task task) {
    thread_.emplace(std::move(task));  // the one before has ended
  }
  void Stop() { thread_.reset(); }  // asks it to stop, and waits

 private:
  std::optional<std::jthread> thread_;
};

}  // namespace muster
