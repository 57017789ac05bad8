#include "proto/core/labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/core/limits.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

bool Matches(std::string_view selector, const Labels& labels) {
  return Selector::Parse(selector).value().Matches(labels);
}

std::string Numbered(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) StrAppend(&text, i == 0 ? "" : ",", "k", i, "=v");
  return text;
}

TEST(Labels, ParseAndFormatRoundTripInKeyOrder) {
  const Labels labels = ParseLabels("site=a, rack=3").value();
  EXPECT_EQ(labels, (Labels{{"site", "a"}, {"rack", "3"}}));
  EXPECT_EQ(FormatLabels(labels), "rack=3,site=a");
  EXPECT_EQ(ParseLabels("").value(), Labels());
  EXPECT_EQ(FormatLabels({}), "");
}

TEST(Labels, RefusesWhatIsNotOneKeyAndOneValue) {
  for (const char* text :
       {"site", "=a", "site=", "site=a,", ",", "site=a=b", "Site=a", "site=a b", "site!=a"}) {
    EXPECT_FALSE(ParseLabels(text).ok()) << text;
  }
  EXPECT_THAT(StdView(ParseLabels("site=a,site=b").status().message()), HasSubstr("twice"));
  EXPECT_THAT(StdView(ParseLabels("site=A").status().message()), HasSubstr("label 'site'"));
}

TEST(Labels, AreLimitedInNumber) {
  EXPECT_TRUE(ParseLabels(Numbered(limits::kMaxLabels)).ok());
  EXPECT_FALSE(ParseLabels(Numbered(limits::kMaxLabels + 1)).ok());
  Labels many;
  for (size_t i = 0; i <= limits::kMaxLabels; ++i) many[StrCat("k", i)] = "v";
  EXPECT_FALSE(ValidateLabels(many).ok());
  many.erase("k0");
  EXPECT_TRUE(ValidateLabels(many).ok());
}

TEST(Selector, EmptyMatchesEverything) {
  EXPECT_TRUE(Matches("", {}));
  EXPECT_TRUE(Matches("  ", {{"site", "a"}}));
  EXPECT_EQ(Selector(), Selector::Parse("").value());
}

TEST(Selector, IsAConjunction) {
  const Labels labels{{"site", "a"}, {"role", "worker"}};
  EXPECT_TRUE(Matches("site=a", labels));
  EXPECT_TRUE(Matches("site=a,role=worker", labels));
  EXPECT_FALSE(Matches("site=a,role=evaluator", labels));
  EXPECT_FALSE(Matches("rack=1", labels));
}

TEST(Selector, InequalityAlsoMatchesDevicesWithoutTheKey) {
  EXPECT_TRUE(Matches("role!=evaluator", {}));
  EXPECT_TRUE(Matches("role!=evaluator", {{"role", "worker"}}));
  EXPECT_FALSE(Matches("role!=evaluator", {{"role", "evaluator"}}));
}

TEST(Selector, PrintsAsItParses) {
  const Selector selector = Selector::Parse(" site = a , role != evaluator").value();
  EXPECT_EQ(selector.ToString(), "site=a,role!=evaluator");
  EXPECT_EQ(Selector::Parse(selector.ToString()).value(), selector);
}

TEST(Selector, RefusesMalformedTermsAndNamesThem) {
  for (const char* text : {"site", "site==a", "!=a", "site=a,,role=b", "site!a", "site=a;role=b"}) {
    EXPECT_FALSE(Selector::Parse(text).ok()) << text;
  }
  EXPECT_THAT(StdView(Selector::Parse("a=b,site==c").status().message()), HasSubstr("'site==c'"));
  EXPECT_FALSE(Selector::Parse(Numbered(limits::kMaxLabels + 1)).ok());
}

}  // namespace
}  // namespace muster
