// One device: the real decisions of the agent (client/agent/core.h) and the real steps of secure
// aggregation (aggregation/secagg/client), over a simulated disk. It dies at any point at which it
// makes something durable and goes on from its disk, or from an earlier copy of it; it is away for
// months; it lies.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "aggregation/secagg/client/client.h"
#include "client/agent/core.h"
#include "tests/sim/network.h"

namespace muster::sim {

enum class Lie {
  kNone,
  kNan,        // hands in NaN, or noise under the masks
  kShort,      // hands in too few bytes
  kHeavy,      // claims an absurd number of examples
  kSignature,  // signs badly
  kShares,     // reveals shares that are none
  kStolen,     // offers what another device was invited for
  kQuitter,    // says that it takes no further part
};

// What survives a device's crash.
struct DeviceDisk {
  struct Run {
    Invocation invocation;
    Stage stage = Stage::kReceived;
    std::variant<std::monostate, UpdateOffer, ResultOffer> answer;
    std::string update;  // bytes
    // Secure aggregation: as the agent's journal keeps it.
    std::optional<secagg::Params> params;
    std::string state;
    std::string masked;  // the vector's bytes
  };
  std::map<InvocationId, Run> runs;
  std::vector<InvocationId> order;  // of arrival
  uint64_t told_generation = 0;
};

class Device {
 public:
  struct Surroundings {
    World& world;
    Network& network;
    const Faults& faults;
    Promises& promises;
    const std::vector<std::string>& names;  // of all devices
  };
  Device(const Surroundings& around, size_t number, Lie lie);

  void Start();
  void Crash();
  void Leave() { Die(), away_ = true; }  // until Start()
  bool away() const { return away_; }
  const DeviceId& id() const { return signer_.id(); }
  SkewedClock clock;

 private:
  using Run = DeviceDisk::Run;

  // The agent.
  void Feed(const AgentEvent& event);
  void Follow(AgentTransition transition, const std::optional<AgentEvent>& event);
  bool Remember(const AgentEffect& effect);  // false: the disk is full, or the device died
  void Perform(const AgentEffect& effect);
  void Ask(const AskCoordinator& effect);
  void Execute(const Invocation& invocation);
  void Train(const Invocation& invocation);
  void Finish(const InvocationId& id, const std::string& how);
  void Failed(const InvocationId& id, const absl::Status& why);

  // Answers.
  void Send(const InvocationId& id);
  void SendClear(const InvocationId& id, bool again);
  void SendResult(const InvocationId& id);
  void Upload(const InvocationId& id, const Digest& digest, const std::string& bytes,
              std::function<void()> then);

  // Secure aggregation, as client/agent/secure_session.h goes through it.
  void Secure(const InvocationId& id);
  void Begin(const InvocationId& id);
  void Keep(const InvocationId& id, const absl::StatusOr<secagg::ClientState>& next);
  void From(const InvocationId& id, const secagg::Advertised& state);
  void From(const InvocationId& id, const secagg::Shared& state);
  void From(const InvocationId& id, const secagg::Masked& state);
  void From(const InvocationId& id, const secagg::Agreed& state);
  void From(const InvocationId& id, const secagg::Answered& state);
  void From(const InvocationId& id, const secagg::Refused& state);
  void SubmitMasked(const InvocationId& id, const secagg::MaskedReport& report, bool again);
  absl::StatusOr<secagg::ClientState> Mask(Run& run, const secagg::Shared& state,
                                           const secagg::SharesView& view);
  void Await(const InvocationId& id, secagg::AwaitedPhase phase,
             std::function<void(const secagg::Awaited&)> then);
  void AwaitUnmask(const InvocationId& id);
  // True if the session is over with this answer.
  bool Over(const InvocationId& id, const absl::StatusOr<OfferAnswer>& answer);

  // Life and death.
  void Die();
  bool Durable(std::string_view what);  // false: the disk is full, or the device died
  // Runs later, unless the device died in between.
  void Later(Duration delay, std::function<void()> action);
  template <typename Answer>
  void Call(std::string_view what, std::function<void(Life&, Reply<Answer>)> serve,
            Reply<Answer> done, Duration patience = std::chrono::seconds(8));
  Run* Find(const InvocationId& id);
  std::string name() const { return "d" + std::to_string(number_); }

  World& world_;
  Network& network_;
  const Faults& faults_;
  Promises& promises_;
  const std::vector<std::string>& names_;
  const size_t number_;
  const Lie lie_;
  const TestSigner signer_;
  const TestNotary notary_;
  const Duration speed_;
  const uint64_t examples_;
  SeededRandom random_;

  DeviceDisk disk_, earlier_;
  uint64_t life_ = 0;
  bool up_ = false, away_ = false;
  uint64_t wake_ = 0;
  AgentState state_;
};

template <typename Answer>
void Device::Call(std::string_view what, std::function<void(Life&, Reply<Answer>)> serve,
                  Reply<Answer> done, Duration patience) {
  network_.Call<Answer>(number_, what, patience, std::move(serve),
                        [this, life = life_, done = std::move(done)](auto answer) {
                          if (life == life_) done(std::move(answer));
                        });
}

}  // namespace muster::sim
