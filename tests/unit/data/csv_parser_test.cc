#include "models/data/csv_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Records = std::vector<std::vector<std::string>>;

absl::StatusOr<Records> Parse(std::string_view text) {
  std::istringstream in{std::string(text)};
  CsvParser parser(in);
  Records records;
  std::vector<std::string> fields;
  while (true) {
    auto more = parser.Next(fields);
    if (!more.ok()) return more.status();
    if (!*more) return records;
    records.push_back(fields);
  }
}

std::string Refusal(std::string_view text) {
  auto records = Parse(text);
  EXPECT_EQ(records.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(records.status().message());
}

TEST(CsvParser, ReadsPlainRecordsWithEitherLineEnd) {
  const Records expected = {{"a", "b"}, {"1", ""}};
  for (std::string_view text : {"a,b\n1,\n", "a,b\r\n1,\r\n", "a,b\n1,"}) {
    auto records = Parse(text);
    ASSERT_TRUE(records.ok()) << records.status();
    EXPECT_EQ(*records, expected) << text;
  }
}

TEST(CsvParser, QuotedFieldsHoldCommasBreaksAndQuotes) {
  auto records = Parse("\"a,b\",\"line\nbreak\",\"say \"\"hi\"\"\",\"\"\nx,y,z,w\n");
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_THAT(*records, ElementsAre(ElementsAre("a,b", "line\nbreak", "say \"hi\"", ""),
                                    ElementsAre("x", "y", "z", "w")));
}

TEST(CsvParser, SkipsBlankLinesAndAByteOrderMark) {
  auto records = Parse(
      "\xEF\xBB\xBF"
      "a,b\n\n\r\n1,2\n\n");
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_THAT(*records, ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "2")));
}

TEST(CsvParser, LineNumbersCountBreaksWithinQuotes) {
  std::istringstream in("\"a\nb\",1\nc,2\n");
  CsvParser parser(in);
  std::vector<std::string> fields;
  ASSERT_TRUE(*parser.Next(fields));
  EXPECT_EQ(parser.line(), 1u);
  ASSERT_TRUE(*parser.Next(fields));
  EXPECT_EQ(parser.line(), 3u);
}

TEST(CsvParser, RefusesMalformedTextWithItsLine) {
  EXPECT_THAT(Refusal("a,b\n1,x\"y\n"), HasSubstr("line 2: a quote within a field"));
  EXPECT_THAT(Refusal("a,\"b\"c\n"), HasSubstr("line 1: text after a closing quote"));
  EXPECT_THAT(Refusal("a\n\"open,\n"), HasSubstr("the quote opened on line 2 never closes"));
  EXPECT_THAT(Refusal("a\rb\n"), HasSubstr("carriage return"));
  EXPECT_THAT(Refusal(std::string_view("a\0b", 3)), HasSubstr("NUL"));
}

TEST(CsvParser, BoundsFieldsAndColumns) {
  EXPECT_TRUE(Parse(std::string(kMaxCsvFieldBytes, 'a')).ok());
  EXPECT_THAT(Refusal(std::string(kMaxCsvFieldBytes + 1, 'a')), HasSubstr("longer than"));
  EXPECT_THAT(Refusal(std::string(kMaxCsvColumns, ',')), HasSubstr("columns"));
}

TEST(CsvNumber, IsFiniteOrRefused) {
  EXPECT_EQ(*ParseCsvNumber(" -1.5e2\t"), -150.0f);
  EXPECT_EQ(*ParseCsvNumber("+3"), 3.0f);
  for (const char* text :
       {"nan", "NaN", "inf", "-Infinity", "1e39", "", " ", "1,5", "0x10", "abc"}) {
    EXPECT_FALSE(ParseCsvNumber(text).ok()) << text;
  }
}

TEST(CsvLabel, IsAWholeNumberFromZero) {
  EXPECT_EQ(*ParseCsvLabel("7"), 7);
  EXPECT_EQ(*ParseCsvLabel(" 3.0 "), 3);
  for (const char* text : {"-1", "1.5", "cat", "", "nan", "inf", "1e30"}) {
    EXPECT_FALSE(ParseCsvLabel(text).ok()) << text;
  }
}

}  // namespace
}  // namespace muster
