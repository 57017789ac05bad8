// Bugs planted between the driver and its store, to see whether the simulation finds them.
#pragma once

#include "coordinator/store/state_store.h"
#include "tests/sim/world.h"

namespace muster::sim {

enum class Plant {
  kNone,
  kEarlyAck,          // a write is answered before its commit, and the commit never comes
  kDoubleCount,       // an update that is counted looks as if it were not
  kChangedSurvivors,  // the frozen survivors are not those that were frozen
  kLostTimer,         // a deadline is not written down
};

class PlantedStore final : public StateStore {
 public:
  PlantedStore(StateStore& inner, World& world, Plant plant)
      : inner_(inner), world_(world), plant_(plant) {}
  absl::Status Write(const std::function<absl::Status(StoreTx&)>& work) override;
  absl::Status Read(const std::function<absl::Status(const StoreReader&)>& work) const override;
  StoreStats Stats() const override { return inner_.Stats(); }

 private:
  StateStore& inner_;
  World& world_;
  const Plant plant_;
};

}  // namespace muster::sim
