// How far the hands of one life of a replica reach: everything that outlives it goes through here.
// At each such point it may die, before or after; from then on nothing that its code still does has
// any effect. What is on its stack runs on into errors, as harmlessly as if it did not run.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "tests/sim/faults.h"
#include "tests/sim/world.h"

namespace muster::sim {

class Reach {
 public:
  Reach(World& world, const Faults& faults, std::string name)
      : world_(world), faults_(faults), name_(std::move(name)) {}

  bool dead() const { return dead_; }
  void Die(std::string_view where);
  const std::string& name() const { return name_; }

  // For so long no store answers, or the disk has no room.
  void CutOff(Duration duration) { cut_off_until_ = world_.now() + duration; }
  void Fill(Duration duration) { full_until_ = world_.now() + duration; }
  void Mend() { cut_off_until_ = full_until_ = {}; }

  // One point at which something becomes durable. `lose_race`: does the work and takes it back, as
  // when another writer came first; none where there are no races.
  absl::Status Persist(std::string_view what, const std::function<absl::Status()>& act,
                       const std::function<absl::Status()>& lose_race = nullptr);
  // While the store runs a function of the driver's: it must not make anything durable meanwhile,
  // because a snapshot or a lock is held, and it may run again.
  class Inside {
   public:
    explicit Inside(Reach& reach) : reach_(reach) { ++reach_.inside_; }
    ~Inside() { --reach_.inside_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Reach& reach_;
  };

  // Unavailable where reading is impossible.
  absl::Status Look() const;

 private:
  World& world_;
  const Faults& faults_;
  const std::string name_;
  bool dead_ = false;
  int inside_ = 0;
  Timestamp cut_off_until_, full_until_;
};

}  // namespace muster::sim
