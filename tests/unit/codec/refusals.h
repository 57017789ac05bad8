// A table of bad fields: a valid message, one thing that is spoiled, and the message that answers.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace muster::testing_codec {

template <typename Wire>
struct BadField {
  std::function<void(Wire&)> spoil;
  std::string message;  // whole
};

// Each spoiled copy of `valid` must be refused as InvalidArgument with exactly that message.
template <typename Wire, typename Decode>
void ExpectRefusals(const Wire& valid, Decode decode, const std::vector<BadField<Wire>>& table) {
  ASSERT_TRUE(decode(valid).ok()) << decode(valid).status();
  for (const BadField<Wire>& bad : table) {
    Wire wire = valid;
    bad.spoil(wire);
    const auto decoded = decode(wire);
    ASSERT_FALSE(decoded.ok()) << "not refused; expected: " << bad.message;
    EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(decoded.status().message()), bad.message);
  }
}

}  // namespace muster::testing_codec
