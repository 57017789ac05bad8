#include "tests/bench/loadgen/generator.h"

#include <atomic>
#include <fstream>
#include <utility>

#include "client/identity/pinned_ca.h"
#include "client/identity/tls_fetch.h"
#include "proto/core/random.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/transport/host_port.h"

namespace muster::load {
namespace {

constexpr std::chrono::seconds kFetchTimeout{10};
constexpr size_t kDefaultInFlight = 64;

// What /proc says about this process, in kB.
uint64_t OwnPeakMemory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtoull(line.c_str() + 6, nullptr, 10);
  }
  return 0;
}

Labels LabelsOf(size_t number, const std::vector<size_t>& tiers) {
  size_t tier = 0;
  while (tier < tiers.size() && number >= tiers[tier]) ++tier;
  return {{"tier", StrCat(tier)}};
}

// Keeps the first error of many coroutines.
class FirstError {
 public:
  void Keep(const absl::Status& status) {
    if (status.ok()) return;
    std::lock_guard lock(mutex_);
    if (status_.ok()) status_ = status;
  }
  absl::Status Get() const {
    std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  mutable std::mutex mutex_;
  absl::Status status_;
};

}  // namespace

nlohmann::json Generator::Do(const Json& command) {
  Figures figures;
  const auto started = std::chrono::steady_clock::now();
  absl::Status status;
  try {
    status = Dispatch(command, figures);
  } catch (const Json::exception& error) {
    status = absl::InvalidArgumentError(error.what());
  }
  Json answer = figures.ToJson();
  answer["ok"] = status.ok();
  if (!status.ok()) answer["error"] = status.ToString();
  answer["seconds"] =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  answer["devices"] = devices_.size();
  answer["own_peak_memory_kb"] = OwnPeakMemory();
  return answer;
}

absl::Status Generator::Dispatch(const Json& command, Figures& figures) {
  const auto what = command.at("do").get<std::string>();
  if (what == "enrol") return Enrol(command, figures);
  if (what == "connect") return Connect(command, figures);
  if (what == "check_in") return CheckIn(command, figures);
  if (what == "fresh") return Fresh(command, figures);
  if (what == "round") return Round(command, figures);
  if (what == "disconnect") return Disconnect(command);
  return absl::InvalidArgumentError(StrCat("unknown command '", what, "'"));
}

absl::StatusOr<Generator::Range> Generator::RangeOf(const Json& command) const {
  const Range range{command.value("first", size_t{0}), command.at("count").get<size_t>()};
  if (range.first + range.count <= devices_.size()) return range;
  return absl::InvalidArgumentError(StrCat("devices ", range.first, " to ",
                                           range.first + range.count, " are wanted, and ",
                                           devices_.size(), " are enrolled"));
}

absl::Status Generator::MustBeConnected(Range range) const {
  for (size_t i = range.first; i < range.first + range.count; ++i) {
    if (devices_[i]->connected()) continue;
    return absl::FailedPreconditionError(StrCat("device ", i, " is not connected"));
  }
  return absl::OkStatus();
}

absl::Status Generator::ForEach(Range range, size_t in_flight,
                                const std::function<Co<absl::Status>(size_t)>& work) {
  std::atomic<size_t> next{range.first};
  const size_t end = range.first + range.count;
  FirstError error;
  const auto lane = [&]() -> Co<void> {
    for (size_t i = next++; i < end && error.Get().ok(); i = next++) error.Keep(co_await work(i));
  };
  {
    Group group(pool_);
    for (size_t i = 0; i < std::min(in_flight, range.count); ++i) group.Start(lane());
  }
  return error.Get();
}

absl::Status Generator::Enrol(const Json& command, Figures& figures) {
  const auto count = command.at("count").get<size_t>();
  const auto token = command.at("token").get<std::string>();
  const auto tiers = command.value("tiers", std::vector<size_t>());
  if (ca_pem_.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const HostPort server, HostPort::Parse(options_.coordinator));
    MUSTER_ASSIGN_OR_RETURN(const auto chain, FetchServerChain(server, kFetchTimeout));
    MUSTER_ASSIGN_OR_RETURN(const Certificate ca,
                            FindPinnedCa(chain, options_.ca_pin, clock_.Now()));
    ca_pem_ = ca.ToPem();
  }
  MUSTER_ASSIGN_OR_RETURN(const auto channel,
                          muster::Connect(options_.coordinator, {.ca_pem = ca_pem_}));
  const size_t before = devices_.size();
  devices_.resize(before + count);
  const Caller caller{pool_, figures};
  const absl::Status status =
      ForEach({before, count}, command.value("in_flight", kDefaultInFlight),
              [&](size_t i) -> Co<absl::Status> {
                const Labels labels = LabelsOf(i, tiers);
                auto enrolling = EnrolVirtualDevice(caller, channel, token, ca_pem_, labels);
                LOAD_ASSIGN_OR_RETURN(DeviceIdentity identity, co_await enrolling);
                devices_[i] = std::make_unique<VirtualDevice>(std::move(identity));
                co_return absl::OkStatus();
              });
  if (!status.ok()) devices_.resize(before);
  return status;
}

absl::Status Generator::Connect(const Json& command, Figures& figures) {
  MUSTER_ASSIGN_OR_RETURN(const Range range, RangeOf(command));
  const Caller caller{pool_, figures};
  return ForEach(range, command.value("in_flight", kDefaultInFlight),
                 [&](size_t i) -> Co<absl::Status> {
                   if (!devices_[i]->connected()) {
                     LOAD_RETURN_IF_ERROR(devices_[i]->Connect(options_.coordinator));
                   }
                   co_return (co_await devices_[i]->CheckIn(caller, Duration(0))).status();
                 });
}

absl::Status Generator::CheckIn(const Json& command, Figures& figures) {
  MUSTER_ASSIGN_OR_RETURN(const Range range, RangeOf(command));
  MUSTER_RETURN_IF_ERROR(MustBeConnected(range));
  const Caller caller{pool_, figures};
  // One pass over all devices after the other: a device's connection rests meanwhile.
  for (int left = command.value("times", 1); left > 0; --left) {
    MUSTER_RETURN_IF_ERROR(ForEach(
        range, command.value("in_flight", kDefaultInFlight), [&](size_t i) -> Co<absl::Status> {
          co_return (co_await devices_[i]->CheckIn(caller, Duration(0))).status();
        }));
  }
  return absl::OkStatus();
}

absl::Status Generator::Fresh(const Json& command, Figures& figures) {
  MUSTER_ASSIGN_OR_RETURN(const Range range, RangeOf(command));
  const bool resume = command.value("resume", true);
  const Caller caller{pool_, figures, /*count_resumed=*/true};
  return ForEach(
      range, command.value("in_flight", kDefaultInFlight), [&](size_t i) -> Co<absl::Status> {
        VirtualDevice& device = *devices_[i];
        device.Disconnect();
        LOAD_RETURN_IF_ERROR(device.Connect(options_.coordinator, resume));
        const absl::Status status = (co_await device.CheckIn(caller, Duration(0))).status();
        device.Disconnect();
        co_return status;
      });
}

absl::Status Generator::Disconnect(const Json& command) {
  MUSTER_ASSIGN_OR_RETURN(const Range range, RangeOf(command));
  for (size_t i = range.first; i < range.first + range.count; ++i) devices_[i]->Disconnect();
  return absl::OkStatus();
}

namespace {

// A device outside of the round goes on checking in at the pace that it is told.
Co<void> StayIdle(Caller caller, VirtualDevice& device, const std::atomic<bool>& ended,
                  uint64_t seed) {
  SeededRandom random(seed);
  Duration pause = std::chrono::seconds(1);
  while (!ended) {
    const auto until = std::chrono::steady_clock::now() + pause * random.Unit();
    while (!ended && std::chrono::steady_clock::now() < until) {
      co_await caller.pool.Sleep(std::chrono::milliseconds(500));
    }
    if (ended) co_return;
    const absl::StatusOr<CheckInAnswer> answer = co_await device.CheckIn(caller, Duration(0));
    if (!answer.ok()) {
      caller.figures.Count(StrCat("idle: ", answer.status().ToString()));
    } else {
      pause = 2 * answer->next_check_in;  // on average what was asked for
    }
  }
}

}  // namespace

absl::Status Generator::Round(const Json& command, Figures& figures) {
  MUSTER_ASSIGN_OR_RETURN(const Range range, RangeOf(command));
  MUSTER_RETURN_IF_ERROR(MustBeConnected(range));
  Range idle{command.value("idle_first", size_t{0}), command.value("idle_count", size_t{0})};
  if (idle.first + idle.count > devices_.size()) {
    return absl::InvalidArgumentError("there are not so many idle devices");
  }
  MUSTER_RETURN_IF_ERROR(MustBeConnected(idle));
  RoundPlan plan;
  MUSTER_ASSIGN_OR_RETURN(plan.job, JobId::Parse(command.at("job").get<std::string>()));
  plan.dropped = command.value("dropped", 0.0);
  plan.drop_silently = command.value("drop_silently", true);
  plan.slow = command.value("slow", 0.0);
  plan.slow_pause = std::chrono::milliseconds(command.value("slow_pause_ms", 0));
  plan.download = command.value("download", true);
  plan.spool = options_.spool;

  MUSTER_ASSIGN_OR_RETURN(const auto checks,
                          SecAggIdentity::From(devices_[range.first]->identity(), clock_));
  const SharedNotary notary(*checks);
  const RoundParts parts{{pool_, figures}, heavy_, plan, notary, clock_};
  std::atomic<bool> ended{false};
  Figures idle_figures;
  Group idlers(pool_);
  for (size_t i = 0; i < idle.count; ++i) {
    VirtualDevice& device = *devices_[idle.first + i];
    idlers.Start(StayIdle({pool_, idle_figures}, device, ended, i));
  }
  {
    Group group(pool_);
    for (size_t i = 0; i < range.count; ++i) {
      group.Start(TakePart(parts, *devices_[range.first + i], static_cast<uint32_t>(i)));
    }
  }
  ended = true;
  idlers.Wait();
  return absl::OkStatus();
}

}  // namespace muster::load
