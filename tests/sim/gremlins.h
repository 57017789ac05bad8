// Those who break things from outside, now and then: replicas and devices die, clocks jump, lines
// are cut, stores are away, disks fill, uploads are swept, jobs are cancelled.
#pragma once

#include <memory>
#include <vector>

#include "tests/sim/device.h"
#include "tests/sim/network.h"

namespace muster::sim {

class Gremlins {
 public:
  struct Victims {
    World& world;
    const Faults& faults;
    Network& network;
    StagingArea& staging;
    std::vector<std::unique_ptr<Replica>>& replicas;
    std::vector<std::unique_ptr<Device>>& devices;
  };
  explicit Gremlins(const Victims& victims) : v_(victims) {}

  // They go on until the faults have none of them any more.
  void Release();

 private:
  void Strike();
  void Crash();
  void Jump();
  void Partition();
  void Outage(bool full);
  void Absence();
  void Cancel();
  Replica& AReplica() { return *v_.replicas[v_.world.dice().Below(v_.replicas.size())]; }
  Device& ADevice() { return *v_.devices[v_.world.dice().Below(v_.devices.size())]; }

  const Victims v_;
  uint64_t released_ = 0;
};

}  // namespace muster::sim
