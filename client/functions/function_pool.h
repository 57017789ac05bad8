// One model's processes and the calls that wait for them. Lives on the host's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "client/functions/function_host.h"
#include "client/functions/http.h"
#include "client/functions/inference_protocol.h"

namespace muster {

// One version of one model.
struct Deployment {
  uint32_t version = 0;
  std::filesystem::path file;
  ServedModel served;
};

class FunctionPool : public std::enable_shared_from_this<FunctionPool> {
 public:
  using Responder = FunctionServer::Responder;
  using DeployCallback = std::function<void(absl::StatusOr<DeployReport>)>;

  FunctionPool(boost::asio::io_context& io, const FunctionHostOptions& options, std::string name);
  ~FunctionPool();

  // The version that answers; null before the first deployment and after Close().
  const Deployment* active() const { return active_.get(); }

  void Call(HttpRequest request, Responder respond);
  // Starts, warms up and measures a process, then lets it take over.
  void Deploy(std::shared_ptr<const Deployment> deployment, DeployCallback done);
  // Waiting calls get 404; processes end when they have answered.
  void Close();
  // At the end of the host: nothing is running afterwards.
  void KillAll();

  FunctionMetering DrainMetering();

 private:
  struct Instance;
  struct PendingCall;
  struct WarmUp;
  using InstancePtr = std::shared_ptr<Instance>;
  using CallPtr = std::shared_ptr<PendingCall>;
  using Clock = std::chrono::steady_clock;

  absl::StatusOr<InstancePtr> StartInstance(std::shared_ptr<const Deployment> deployment);
  size_t ServingCount() const;  // of the active version, not ending
  InstancePtr FindIdle() const;
  void Pump();  // hands waiting calls to instances
  void Dispatch(const InstancePtr& instance, const CallPtr& call);
  void OnReply(const InstancePtr& instance, const CallPtr& call, Clock::time_point started,
               absl::StatusOr<HttpReply> reply);
  void OnDeadline(const CallPtr& call);
  void Rest(
      const InstancePtr& instance);  // after a call: idle, or ending if it is of an old version
  void ArmIdleTimer(const InstancePtr& instance);
  void End(const InstancePtr& instance);   // lets it read an end of file
  void Reap(const InstancePtr& instance);  // it has gone, or must
  void KeepWarm();
  void MeterCpu(Instance& instance, const HttpReply& reply);
  void WarmUpStep(const std::shared_ptr<WarmUp>& warm_up);
  void FinishWarmUp(const std::shared_ptr<WarmUp>& warm_up, absl::StatusOr<DeployReport> report);
  void Tell(FunctionEvent::Kind kind, const Instance* instance = nullptr);

  boost::asio::io_context& io_;
  const FunctionHostOptions& options_;
  const std::string name_;
  std::shared_ptr<const Deployment> active_;
  std::set<InstancePtr> instances_;
  std::deque<CallPtr> queue_;
  FunctionMetering metering_;
};

}  // namespace muster
