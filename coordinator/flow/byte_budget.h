// A budget of bytes for streams: each holds the same share while it lasts, and who finds none free
// waits in line. A holder that makes no progress is asked to go when somebody waits. Thread-safe;
// no clock inside.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <unordered_map>

#include "proto/core/time.h"

namespace muster {

class ByteBudget {
 public:
  struct Limits {
    uint64_t bytes = 0;  // over all streams
    uint64_t share = 1;  // of each; at least one stream always has its share
    size_t waiting = 0;  // streams in line
    Duration stall{};    // a holder without progress for so long may be asked to go
  };
  struct Callbacks {
    std::function<void()> granted;  // called once, from Ask() or from another stream's Release()
    std::function<void()> evict;    // at most once, while it holds: end soon
  };
  using Ticket = uint64_t;

  explicit ByteBudget(Limits limits) : limits_(limits) {}

  Ticket NewTicket();
  // Grants a share now or, in the order of asking, later. False if too many wait: nothing is
  // called.
  [[nodiscard]] bool Ask(Ticket ticket, Timestamp now, Callbacks callbacks);
  void Progress(Ticket ticket, Timestamp now);
  // Leaves the line; false if the ticket does not wait in it (any more).
  bool Withdraw(Ticket ticket);
  // Gives the share back; does nothing for a ticket that holds none.
  void Release(Ticket ticket, Timestamp now);

  const Limits& limits() const { return limits_; }
  uint64_t bytes_held() const;
  size_t waiting() const;
  uint64_t refused() const;
  uint64_t evicted() const;

 private:
  struct Holder {
    Ticket ticket = 0;
    Timestamp progress;
    std::function<void()> evict;  // empty once called
  };
  struct Waiter {
    Ticket ticket = 0;
    Callbacks callbacks;
  };

  bool HasRoom() const;
  void Hold(Ticket ticket, Timestamp now, std::function<void()> evict);

  const Limits limits_;
  mutable std::mutex mutex_;
  Ticket next_ticket_ = 1;
  std::list<Holder> holders_;  // whose progress is oldest first
  std::unordered_map<Ticket, std::list<Holder>::iterator> held_;
  std::deque<Waiter> line_;
  uint64_t refused_ = 0, evicted_ = 0;
};

}  // namespace muster
