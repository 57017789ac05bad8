#include "coordinator/drive/housekeeper.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "proto/core/log.h"
#include "proto/core/status.h"

namespace muster {

Housekeeper::Housekeeper(std::vector<Chore> chores)
    : chores_(std::move(chores)), thread_([this](std::stop_token stop) { Run(stop); }) {}

Housekeeper::~Housekeeper() = default;

void Housekeeper::Run(std::stop_token stop) {
  using SteadyClock = std::chrono::steady_clock;
  std::vector<SteadyClock::time_point> due;
  for (const Chore& chore : chores_) due.push_back(SteadyClock::now() + chore.every);
  while (!due.empty()) {
    const size_t next = static_cast<size_t>(std::min_element(due.begin(), due.end()) - due.begin());
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, stop, due[next], [] { return false; });
    if (stop.stop_requested()) return;
    const Chore& chore = chores_[next];
    working_ = true;
    const absl::Status status = chore.run(stop);
    working_ = false;
    if (!status.ok() && !stop.stop_requested()) {
      LogWarning("a chore failed and will be tried again",
                 {{"chore", chore.name}, {"error", status.ToString()}});
    }
    due[next] = SteadyClock::now() + chore.every;
  }
}

}  // namespace muster
