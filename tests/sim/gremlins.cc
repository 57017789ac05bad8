#include "tests/sim/gremlins.h"

#include <functional>
#include <utility>

#include "coordinator/drive/jobs.h"
#include "proto/core/strings.h"

namespace muster::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

}  // namespace

void Gremlins::Release() {
  if (v_.faults.gremlin_every == Duration::zero()) return;
  const auto next = [this, released = ++released_](auto& self) -> void {
    const Duration wait = v_.world.dice().Between(Duration(1), 2 * v_.faults.gremlin_every);
    v_.world.After(wait, [this, released, self] {
      if (released != released_ || v_.faults.gremlin_every == Duration::zero()) return;
      Strike();
      self(self);
    });
  };
  next(next);
}

void Gremlins::Strike() {
  const Faults& f = v_.faults;
  const std::pair<uint32_t, std::function<void()>> strikes[] = {
      {f.crashes, [this] { Crash(); }},
      {f.jumps, [this] { Jump(); }},
      {f.partitions, [this] { Partition(); }},
      {f.outages, [this] { Outage(/*full=*/false); }},
      {f.full_disks, [this] { Outage(/*full=*/true); }},
      {f.device_crashes, [this] { ADevice().Crash(); }},
      {f.absences, [this] { Absence(); }},
      {f.sweeps, [this] { v_.staging.Sweep(v_.world.now()).IgnoreError(); }},
      {f.cancels, [this] { Cancel(); }},
  };
  uint64_t sum = 0;
  for (const auto& [weight, act] : strikes) sum += weight;
  if (sum == 0) return;
  uint64_t which = v_.world.dice().Below(sum);
  for (const auto& [weight, act] : strikes) {
    if (which < weight) return act();
    which -= weight;
  }
}

void Gremlins::Crash() {
  AReplica().Crash("by a gremlin");
  // Now and then the machine goes with it.
  auto* memory = dynamic_cast<MemoryStaging*>(&v_.staging);
  if (memory != nullptr && v_.world.dice().Chance(0.5)) memory->LoseUnflushed();
}

void Gremlins::Jump() {
  const Duration to = v_.world.dice().Between(-v_.faults.jump_most, v_.faults.jump_most);
  if (v_.world.dice().Chance(0.5)) {
    Replica& replica = AReplica();
    replica.clock.JumpTo(to);
    v_.world.Say(replica.name(), StrCat("its clock is wrong by ", to.count(), "us from here on"));
  } else {
    ADevice().clock.JumpTo(to);
  }
}

void Gremlins::Partition() {
  const size_t replica = v_.world.dice().Below(v_.replicas.size());
  const double share = v_.world.dice().OneOf({0.2, 0.5, 1.0});
  for (size_t i = 0; i < v_.devices.size(); ++i) {
    if (v_.world.dice().Chance(share)) v_.network.Cut(i, replica);
  }
  v_.world.Say("net", StrCat("devices are cut off from r", replica));
  v_.world.After(v_.world.dice().Between(seconds(1), seconds(60)), [this] { v_.network.Join(); });
}

void Gremlins::Outage(bool full) {
  Replica& replica = AReplica();
  const auto life = replica.life();
  if (life == nullptr) return;
  const Duration for_long = v_.world.dice().Between(milliseconds(100), seconds(40));
  if (full) {
    life->reach.Fill(for_long);
  } else {
    life->reach.CutOff(for_long);
  }
  v_.world.Say(replica.name(), full ? "has a full disk" : "cannot reach its store");
}

void Gremlins::Absence() {
  Device& device = ADevice();
  if (device.away()) return;
  device.Leave();
  v_.world.Say(device.id().value(), "is away");
  if (v_.world.dice().Chance(0.3)) return;  // for months, or until everything heals
  v_.world.After(v_.world.dice().Between(seconds(5), minutes(5)), [&device] { device.Start(); });
}

void Gremlins::Cancel() {
  const auto life = AReplica().life();
  if (life == nullptr) return;
  auto& context = life->context();
  std::vector<JobRecord> jobs;
  context.store
      .Read([&](const StoreReader& reader) {
        jobs = reader.ListJobs({}).value();
        return absl::OkStatus();
      })
      .IgnoreError();
  if (!jobs.empty()) CancelJob(context, jobs.front().id, "researcher/sim").IgnoreError();
}

}  // namespace muster::sim
