#include "proto/core/strings.h"

#include <gtest/gtest.h>

#include <vector>

#include "proto/core/status.h"

namespace muster {
namespace {

TEST(StrCat, TakesEveryKindOfText) {
  const std::string_view standard = "b";
  const absl::string_view abseil = "c";
  EXPECT_EQ(StrCat("a", standard, abseil, std::string("d"), 5, 1.5), "abcd51.5");
}

TEST(StrJoin, PutsTheSeparatorBetween) {
  EXPECT_EQ(StrJoin(std::vector<std::string_view>{"a", "b", "c"}, ", "), "a, b, c");
  EXPECT_EQ(StrJoin(std::vector<int>{}, ","), "");
  EXPECT_EQ(StrJoin(std::vector<std::string>{"", ""}, ","), ",");
}

absl::StatusOr<int> Half(int x) {
  if (x % 2 != 0) return absl::InvalidArgumentError("odd");
  return x / 2;
}

absl::StatusOr<int> Quarter(int x) {
  MUSTER_ASSIGN_OR_RETURN(const int half, Half(x));
  MUSTER_RETURN_IF_ERROR(Half(half).status());
  return Half(half);
}

TEST(StatusMacros, ReturnTheFirstError) {
  EXPECT_EQ(Quarter(12).value(), 3);
  EXPECT_EQ(Quarter(3).status(), absl::InvalidArgumentError("odd"));
  EXPECT_EQ(Quarter(6).status(), absl::InvalidArgumentError("odd"));
}

TEST(Annotate, KeepsTheCodeAndPutsTheContextFirst) {
  EXPECT_EQ(Annotate(absl::NotFoundError("no such file"), "reading client.yaml"),
            absl::NotFoundError("reading client.yaml: no such file"));
  EXPECT_TRUE(Annotate(absl::OkStatus(), "x").ok());
}

}  // namespace
}  // namespace muster
