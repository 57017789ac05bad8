// Messages between devices and replicas: lost, repeated, late, out of order; and lines that are
// cut. A device asks whichever replica a load balancer gives it, another one at every call.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proto/core/strings.h"
#include "tests/sim/replica.h"

namespace muster::sim {

class Network {
 public:
  Network(World& world, const Faults& faults, std::vector<std::unique_ptr<Replica>>& replicas)
      : world_(world), faults_(faults), replicas_(replicas) {}

  // Nothing gets through between the device and the replica until they are joined again.
  void Cut(size_t device, size_t replica) { cut_.insert({device, replica}); }
  void Join() { cut_.clear(); }

  // `serve` runs at a replica for every copy of the request that gets there; `done` runs once: with
  // the first answer that comes back, or an error.
  template <typename Answer>
  void Call(size_t device, std::string_view what, Duration patience,
            std::function<void(Life&, Reply<Answer>)> serve, Reply<Answer> done) {
    auto waiting = std::make_shared<Reply<Answer>>(std::move(done));
    const auto finish = [waiting](absl::StatusOr<Answer> answer) {
      if (*waiting == nullptr) return;
      std::exchange(*waiting, nullptr)(std::move(answer));
    };
    world_.After(patience, [finish] { finish(absl::DeadlineExceededError("no answer in time")); });
    const size_t to = world_.dice().Below(replicas_.size());
    const int copies = world_.dice().Chance(faults_.repeat) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      if (IsLost(device, to)) continue;
      world_.After(Latency(), [this, device, to, what = std::string(what), serve, finish] {
        const std::shared_ptr<Life> life = replicas_[to]->life();
        if (life == nullptr) {
          world_.After(Latency(), [finish] { finish(absl::UnavailableError("nobody listens")); });
          return;
        }
        world_.Say(replicas_[to]->name(), StrCat("d", device, " asks ", what));
        serve(*life, [this, device, to, what, finish](absl::StatusOr<Answer> answer) {
          if (IsLost(device, to)) return;
          world_.After(Latency(), [this, device, what, finish, answer = std::move(answer)] {
            const auto code = absl::StatusCodeToString(answer.status().code());
            world_.Say(StrCat("d", device), StrCat(what, " ", code));
            finish(answer);
          });
        });
      });
    }
  }

 private:
  bool IsLost(size_t device, size_t replica) {
    return world_.dice().Chance(faults_.lose) || cut_.contains({device, replica});
  }
  Duration Latency() {
    using std::chrono::milliseconds;
    if (world_.dice().Chance(faults_.delay)) {
      return world_.dice().Between(milliseconds(100), std::chrono::seconds(20));
    }
    return world_.dice().Between(Duration(200), milliseconds(40));
  }

  World& world_;
  const Faults& faults_;
  std::vector<std::unique_ptr<Replica>>& replicas_;
  std::set<std::pair<size_t, size_t>> cut_;
};

}  // namespace muster::sim
