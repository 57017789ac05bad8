// Refusals: a code, and a sentence that says why.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/core/strings.h"

namespace muster::secagg {

inline void ExpectRefusal(const absl::Status& status, absl::StatusCode code,
                          const std::string& part) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(StdView(status.message())), testing::HasSubstr(part));
}
template <typename T>
void ExpectRefusal(const absl::StatusOr<T>& result, absl::StatusCode code,
                   const std::string& part) {
  ASSERT_FALSE(result.ok()) << "should have been refused: " << part;
  ExpectRefusal(result.status(), code, part);
}

inline void FlipBit(std::string& bytes, size_t bit = 0) {
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
}

inline constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
inline constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;
inline constexpr auto kUnauthenticated = absl::StatusCode::kUnauthenticated;

}  // namespace muster::secagg
