// Accepts connections on listening sockets, own or inherited, and hands each on. One thread. Above
// the limit of open connections a new one is reset at once.
//
// Whoever takes a connection closes it without saying so; the acceptor counts by asking the kernel
// which of the descriptors that it handed out are still connected.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "proto/core/files.h"

namespace muster {

class Acceptor {
 public:
  // Called on the acceptor's thread. The connection is non-blocking, closed on exec, without delay
  // for small packets.
  using Take = std::function<void(int listener, UniqueFd connection)>;

  // `listeners` are non-blocking, and at least one. Accepts from here on.
  Acceptor(std::vector<UniqueFd> listeners, size_t max_connections, Take take);
  ~Acceptor();  // closes the listeners
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Returns once nothing more is taken: callers wait in the sockets' queues until Resume(), or for
  // the next process that holds the sockets.
  void Pause();
  void Resume();
  // Pause() for good: callers of sockets that no other process holds are turned away.
  void Close();

  int port() const { return ports_.front(); }  // of the first listener
  size_t max_connections() const { return max_connections_; }
  size_t open();  // connections now
  uint64_t accepted();
  std::chrono::steady_clock::time_point last_accepted();  // or when it began
  uint64_t refused();                                     // above the limit

 private:
  void Run();
  bool Wait();  // false to end
  void AcceptFrom(int listener);
  bool Admit(int connection);
  void Recount();
  void Nudge();

  const size_t max_connections_;
  const Take take_;
  const std::vector<int> ports_;
  const UniqueFd nudge_;

  std::mutex mutex_;
  std::vector<UniqueFd> listeners_;  // closed while the thread rests
  std::condition_variable changed_;
  bool stopping_ = false, paused_ = false, resting_ = false;
  bool exhausted_ = false;        // no descriptors left: knock again a little later
  std::vector<bool> handed_out_;  // by descriptor
  size_t open_ = 0;               // of those, when last counted, and since
  std::chrono::steady_clock::time_point counted_{};
  uint64_t accepted_ = 0, refused_ = 0;
  std::chrono::steady_clock::time_point last_accepted_ = std::chrono::steady_clock::now();
  std::thread thread_;
};

}  // namespace muster
