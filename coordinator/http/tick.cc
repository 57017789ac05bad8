#include "coordinator/http/tick.h"

#include <nlohmann/json.hpp>

#include "proto/core/log.h"

namespace muster {

Ticker::Ticker(DriveContext& drive, TaskRunner& tasks)
    : drive_(drive), tasks_(tasks), bucket_({kTicksPerSecond, kTickBurst}, drive.clock.Now()) {}

HttpResponse Ticker::Tick() {
  if (const auto wait = bucket_.Take(drive_.clock.Now())) {
    ++refused_;
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*wait);
    return {.status = 429,
            .body = "too many ticks: one a second is enough\n",
            .headers = {{"Retry-After", std::to_string(seconds.count())}}};
  }
  const auto ticked = tasks_.Tick(kMaxTasksPerTick);
  if (!ticked.ok()) {
    LogError("tick", {{"error", ticked.status().ToString()}});
    return {.status = 503, .body = "the store does not answer; the log says more\n"};
  }
  nlohmann::json json = {{"ran", ticked->ran}, {"ran_since_start", tasks_.ran()}};
  json["next_due"] = nullptr;
  if (ticked->next_due) json["next_due"] = ticked->next_due->ToString();
  return {.content_type = "application/json", .body = json.dump() + "\n"};
}

}  // namespace muster
