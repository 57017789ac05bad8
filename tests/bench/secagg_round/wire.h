// What benchmarks of secure aggregation share: errors that end the program, and messages that cross
// the wire.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

inline void Must(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  _exit(1);
}
template <typename T>
T Must(absl::StatusOr<T> value) {
  Must(value.status());
  return *std::move(value);
}

// Of gRPC, in front of each message.
inline constexpr uint64_t kFramingBytes = 5;

// The message as its receiver gets it. Adds what was sent to `bytes`, unless that is null.
template <typename Message>
Message OverWire(const Message& message, uint64_t* bytes = nullptr) {
  const std::string sent = message.SerializeAsString();
  if (bytes != nullptr) *bytes += sent.size() + kFramingBytes;
  Message received;
  if (!received.ParseFromString(sent)) Must(absl::InternalError("a message cannot be read"));
  return received;
}

}  // namespace muster
