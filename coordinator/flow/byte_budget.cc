#include "coordinator/flow/byte_budget.h"

#include <iterator>
#include <utility>

namespace muster {

ByteBudget::Ticket ByteBudget::NewTicket() {
  std::lock_guard lock(mutex_);
  return next_ticket_++;
}

bool ByteBudget::HasRoom() const {
  return holders_.empty() || (holders_.size() + 1) * limits_.share <= limits_.bytes;
}

void ByteBudget::Hold(Ticket ticket, Timestamp now, std::function<void()> evict) {
  holders_.push_back({ticket, now, std::move(evict)});
  held_[ticket] = std::prev(holders_.end());
}

bool ByteBudget::Ask(Ticket ticket, Timestamp now, Callbacks callbacks) {
  std::function<void()> call;
  {
    std::lock_guard lock(mutex_);
    if (line_.empty() && HasRoom()) {
      Hold(ticket, now, std::move(callbacks.evict));
      call = std::move(callbacks.granted);
    } else if (line_.size() >= limits_.waiting) {
      ++refused_;
      return false;
    } else {
      line_.push_back({ticket, std::move(callbacks)});
      // One for each that comes to wait: those that were asked before are on their way out.
      for (Holder& holder : holders_) {
        if (now - holder.progress < limits_.stall) break;
        if (!holder.evict) continue;
        call = std::exchange(holder.evict, nullptr);
        ++evicted_;
        break;
      }
    }
  }
  if (call) call();
  return true;
}

void ByteBudget::Progress(Ticket ticket, Timestamp now) {
  std::lock_guard lock(mutex_);
  const auto held = held_.find(ticket);
  if (held == held_.end()) return;
  held->second->progress = now;
  holders_.splice(holders_.end(), holders_, held->second);
}

bool ByteBudget::Withdraw(Ticket ticket) {
  std::lock_guard lock(mutex_);
  return std::erase_if(line_, [&](const Waiter& w) { return w.ticket == ticket; }) > 0;
}

void ByteBudget::Release(Ticket ticket, Timestamp now) {
  std::function<void()> granted;
  {
    std::lock_guard lock(mutex_);
    const auto held = held_.find(ticket);
    if (held == held_.end()) return;
    holders_.erase(held->second);
    held_.erase(held);
    if (!line_.empty() && HasRoom()) {
      Waiter next = std::move(line_.front());
      line_.pop_front();
      Hold(next.ticket, now, std::move(next.callbacks.evict));
      granted = std::move(next.callbacks.granted);
    }
  }
  if (granted) granted();
}

uint64_t ByteBudget::bytes_held() const {
  std::lock_guard lock(mutex_);
  return holders_.size() * limits_.share;
}

size_t ByteBudget::waiting() const {
  std::lock_guard lock(mutex_);
  return line_.size();
}

uint64_t ByteBudget::refused() const {
  std::lock_guard lock(mutex_);
  return refused_;
}

uint64_t ByteBudget::evicted() const {
  std::lock_guard lock(mutex_);
  return evicted_;
}

}  // namespace muster
