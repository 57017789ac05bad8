// How far an invocation got on this device.
#pragma once

#include <optional>

#include "proto/core/device_messages.h"

namespace muster {

// In the order in which it goes. Each stage is durable before its consequences are visible.
enum class Stage {
  kReceived = 0,
  kRunning = 1,   // an attempt was started
  kReady = 2,     // the outcome is stored; it is never computed again nor sent differently
  kAnswered = 3,  // the coordinator has it, or it is not wanted any more
};

// An invocation, and what the journal knows about its id.
struct KnownInvocation {
  Invocation invocation;
  std::optional<Stage> stage;
};

}  // namespace muster
