#include "proto/core/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/core/limits.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<LayoutEntry> SmallNet() {
  return {{.name = "conv1.weight", .shape = {6, 1, 5, 5}, .offset = 0},
          {.name = "conv1.bias", .shape = {6}, .offset = 150},
          {.name = "bn1.weight", .shape = {6}, .offset = 156},
          {.name = "fc.weight", .shape = {10, 6}, .offset = 162},
          {.name = "fc.bias", .shape = {10}, .offset = 222},
          {.name = "scale", .shape = {}, .offset = 232}};
}

std::string ErrorOf(std::vector<LayoutEntry> entries) {
  const auto layout = ParameterLayout::Create(std::move(entries));
  EXPECT_EQ(layout.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(StdView(layout.status().message()));
}

TEST(Layout, CountsAllAndSharedElements) {
  auto entries = SmallNet();
  entries[1].group = ParameterGroup::kPersonal;
  entries[3].group = ParameterGroup::kFrozen;
  const ParameterLayout layout = ParameterLayout::Create(entries).value();
  EXPECT_EQ(layout.total_size(), 233u);
  EXPECT_EQ(layout.shared_size(), 233u - 6 - 60);
  EXPECT_EQ(layout.entries(), entries);
}

TEST(Layout, RefusesGapsAndOverlaps) {
  auto gap = SmallNet();
  gap[1].offset = 151;
  EXPECT_THAT(ErrorOf(gap), HasSubstr("'conv1.bias' starts at offset 151"));
  auto overlap = SmallNet();
  overlap[1].offset = 149;
  EXPECT_THAT(ErrorOf(overlap), HasSubstr("end at 150"));
}

TEST(Layout, RefusesMissingRepeatedAndUnprintableNames) {
  auto entries = SmallNet();
  entries[2].name = "";
  EXPECT_THAT(ErrorOf(entries), HasSubstr("entry 2 has no name"));
  entries[2].name = "conv1.bias";
  EXPECT_THAT(ErrorOf(entries), HasSubstr("repeats the name 'conv1.bias'"));
  entries[2].name = "a\nb";
  EXPECT_THAT(ErrorOf(entries), HasSubstr("printable"));
  entries[2].name = std::string(limits::kMaxParameterNameLength + 1, 'a');
  EXPECT_THAT(ErrorOf(entries), HasSubstr("characters"));
}

TEST(Layout, RefusesShapesThatAreEmptyTooDeepOrTooLarge) {
  EXPECT_THAT(ErrorOf({{.name = "a", .shape = {3, 0}}}), HasSubstr("no element"));
  EXPECT_THAT(ErrorOf({{.name = "a", .shape = std::vector<uint32_t>(9, 1)}}), HasSubstr("rank 9"));
  // The product wraps round to 0 in 64 bits.
  EXPECT_THAT(ErrorOf({{.name = "a", .shape = {1u << 31, 1u << 31, 4}}}), HasSubstr("limit"));
  EXPECT_THAT(ErrorOf({{.name = "a", .shape = {1u << 30}},
                       {.name = "b", .shape = {1}, .offset = 1u << 30}}),
              HasSubstr("'b'"));
  EXPECT_TRUE(ParameterLayout::Create({{.name = "a", .shape = {1u << 30}}}).ok());
}

TEST(Layout, ZeroDimensionMakesAnyShapeEmptyEvenALargeOne) {
  EXPECT_EQ((LayoutEntry{.shape = {0xffffffffu, 0xffffffffu, 0xffffffffu, 0}}.size()), 0u);
  EXPECT_EQ(LayoutEntry{}.size(), 1u);
}

TEST(AssignGroups, FollowsThePatternsAndLeavesTheRest) {
  const ParameterLayout layout = ParameterLayout::Create(SmallNet()).value();
  const ParameterLayout assigned =
      AssignGroups(layout, {.personal = {"fc.*"}, .frozen = {"bn1.*", "scale"}}).value();
  std::vector<ParameterGroup> groups;
  for (const LayoutEntry& entry : assigned.entries()) groups.push_back(entry.group);
  using enum ParameterGroup;
  EXPECT_THAT(groups,
              testing::ElementsAre(kShared, kShared, kFrozen, kPersonal, kPersonal, kFrozen));
  EXPECT_EQ(assigned.shared_size(), 156u);
  EXPECT_EQ(assigned.total_size(), layout.total_size());
}

TEST(AssignGroups, APatternThatMatchesNothingListsTheNamesAndTheNearest) {
  const ParameterLayout layout = ParameterLayout::Create(SmallNet()).value();
  const auto result = AssignGroups(layout, {.personal = {"fc.wieght"}});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string message(StdView(result.status().message()));
  EXPECT_THAT(message, HasSubstr("pattern 'fc.wieght' for personal parameters matches nothing"));
  EXPECT_THAT(message, HasSubstr("did you mean 'fc.weight'?"));
  for (const LayoutEntry& entry : layout.entries()) EXPECT_THAT(message, HasSubstr(entry.name));
}

TEST(AssignGroups, AVeryLongListOfNamesIsCutShort) {
  std::vector<LayoutEntry> entries;
  for (uint64_t i = 0; i < 1000; ++i) entries.push_back({.name = StrCat("p", i), .offset = i});
  const auto result =
      AssignGroups(ParameterLayout::Create(entries).value(), {.frozen = {"nothing.like.it"}});
  EXPECT_THAT(StdView(result.status().message()), HasSubstr("and 960 more"));
  EXPECT_THAT(StdView(result.status().message()), Not(HasSubstr("did you mean")));
}

TEST(AssignGroups, AParameterCannotBePersonalAndFrozen) {
  const ParameterLayout layout = ParameterLayout::Create(SmallNet()).value();
  const auto result = AssignGroups(layout, {.personal = {"fc.*"}, .frozen = {"*.bias"}});
  EXPECT_THAT(StdView(result.status().message()), HasSubstr("'fc.bias' matches both"));
}

TEST(MatchesPattern, StarStandsForAnyRunIncludingNone) {
  EXPECT_TRUE(MatchesPattern("fc.weight", "fc.weight"));
  EXPECT_FALSE(MatchesPattern("fc", "fc.weight"));
  EXPECT_FALSE(MatchesPattern("weight", "fc.weight"));
  EXPECT_TRUE(MatchesPattern("*", ""));
  EXPECT_TRUE(MatchesPattern("", ""));
  EXPECT_FALSE(MatchesPattern("", "a"));
  EXPECT_TRUE(MatchesPattern("*.weight", "a.b.weight"));
  EXPECT_TRUE(MatchesPattern("fc.**", "fc."));
  EXPECT_TRUE(MatchesPattern("a*b*c", "aXbbYbZc"));
  EXPECT_FALSE(MatchesPattern("a*b*c", "aXbbYbZ"));
  EXPECT_FALSE(MatchesPattern("fc.?", "fc.a"));  // only the star is special
}

TEST(MatchesPattern, HostilePatternsTakePolynomialTime) {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "a*";
  EXPECT_FALSE(MatchesPattern(pattern + "b", std::string(5000, 'a')));
}

TEST(Groups, NamesRoundTripAndTyposGetASuggestion) {
  for (auto group : {ParameterGroup::kShared, ParameterGroup::kPersonal, ParameterGroup::kFrozen}) {
    EXPECT_EQ(ParseGroup(GroupName(group)).value(), group);
  }
  EXPECT_THAT(StdView(ParseGroup("persnal").status().message()),
              HasSubstr("did you mean 'personal'?"));
}

}  // namespace
}  // namespace muster
