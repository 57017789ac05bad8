// A coordinator of one secure aggregation session, as far as devices see one: the protocol's own
// coordinator functions behind real gRPC. A phase ends when everybody who is still there took part.
// Callers are known by their invocations, "inv-" and the device id. Faults are switched on by
// tests.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "aggregation/secagg/coordinator/coordinator.h"
#include "aggregation/secagg/ring.h"
#include "muster/v1/secagg.grpc.pb.h"
#include "tests/unit/agent/fleet_server.h"

namespace muster {

class SecAggFleet {
 public:
  SecAggFleet(secagg::Params params, std::vector<DeviceId> clients, const secagg::Notary& notary);
  ~SecAggFleet();
  std::shared_ptr<grpc::Channel> channel() const { return server_->channel(); }
  FleetServer& server() { return *server_; }

  static InvocationId InvocationOf(const DeviceId& client) {
    return InvocationId::Trusted("inv-" + client.value());
  }

  // The method's name for Fail and Sent: "Await roster", "Await shares", ...
  static std::string AwaitName(secagg::AwaitedPhase phase);

  // The session goes on without it; it is told that the session is closed.
  void Drop(const DeviceId& client);
  // So many calls of `method` by `client` find nobody, before or after they counted.
  void Fail(const std::string& method, const DeviceId& client, int calls, bool counts);
  // What a client sent in all calls of a method, as bytes.
  std::vector<std::string> Sent(const std::string& method, const DeviceId& client);
  std::vector<secagg::Refusal> refusals();

  // The opened sum, once everybody revealed. Its mean goes to `mean`.
  absl::StatusOr<secagg::DecodedSum> Open(std::vector<float>* mean);

  // From now on every answer of Await passes through `lie`, which may change what `client` is told.
  using Lie = std::function<void(const DeviceId& client, secagg::Awaited& answer)>;
  void TellLies(Lie lie);
  // The honest roster, for lies that need to know it; only inside a lie, after it froze.
  const secagg::Roster& roster() const { return *roster_; }

  // Shown to those who join, in place of the session's own.
  void ShowParams(const secagg::Params& params);

 private:
  class Service;
  struct Fault {
    int calls = 0;
    bool counts = false;
  };
  void Freeze();  // what is complete; with the mutex held
  bool Everybody(const secagg::ClientSet& expected, const std::set<uint32_t>& came) const;
  std::optional<secagg::Awaited> Ready(const DeviceId& client, secagg::AwaitedPhase phase) const;

  const secagg::Params params_;
  const std::vector<DeviceId> clients_;
  const secagg::Notary& notary_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool closing_ = false;
  secagg::Params shown_;
  Lie lie_;
  std::set<DeviceId> gone_;
  std::map<std::pair<std::string, DeviceId>, Fault> faults_;
  std::map<std::pair<std::string, DeviceId>, std::vector<std::string>> sent_;
  std::vector<secagg::Refusal> refusals_;

  std::map<DeviceId, secagg::Advert> adverts_;
  std::optional<secagg::Roster> roster_;
  std::map<uint32_t, secagg::ShareBundle> bundles_;
  secagg::ClientSet sharers_, survivors_;  // empty until frozen
  std::map<uint32_t, secagg::MaskedReport> reports_;
  std::optional<secagg::RingSum> sum_;
  std::map<uint32_t, secagg::Consent> consents_;
  std::map<uint32_t, secagg::UnmaskReply> replies_;

  std::unique_ptr<Service> service_;
  std::unique_ptr<FleetServer> server_;
};

}  // namespace muster
