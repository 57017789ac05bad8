#include "proto/core/ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <type_traits>

#include "proto/core/strings.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

static_assert(!std::is_convertible_v<JobId, DeviceId>, "ids of different things do not mix");

TEST(Id, AcceptsOneToSixtyFourSafeCharacters) {
  for (const std::string& text :
       {std::string("a"), std::string("0"), std::string("site-3.rack_2"), std::string(64, 'x')}) {
    const auto id = DeviceId::Parse(text);
    ASSERT_TRUE(id.ok()) << id.status();
    EXPECT_EQ(id->value(), text);
  }
}

TEST(Id, RefusesWhatIsUnsafeInFilesUrisOrSql) {
  for (const std::string& text :
       {std::string(), std::string(65, 'x'), std::string("A"), std::string("a b"),
        std::string("a/b"), std::string("../x"), std::string(".hidden"), std::string("-rf"),
        std::string("_x"), std::string("a'b"), std::string("a\0b", 3), std::string("\xc3\xa9"),
        std::string("a\n")}) {
    EXPECT_EQ(DeviceId::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(Id, MessageNamesTheFieldTheCharacterAndThePosition) {
  const std::string message(StdView(JobId::Parse("my job").status().message()));
  EXPECT_THAT(message, HasSubstr("job id 'my job'"));
  EXPECT_THAT(message, HasSubstr("' ' at position 2"));
}

TEST(Id, MessageEscapesAndShortensHostileInput) {
  const std::string message(StdView(JobId::Parse("\x1b[2J").status().message()));
  EXPECT_THAT(message, HasSubstr("\\x1b"));
  EXPECT_LT(JobId::Parse(std::string(1'000'000, 'x')).status().message().size(), 300u);
}

TEST(RoundId, PrintsJobRoundAndAttempt) {
  EXPECT_EQ((RoundId{JobId::Trusted("digits"), 3, 1}).ToString(), "digits/r3.a1");
}

TEST(ModelVersion, RoundTripsThroughText) {
  for (const char* text : {"lenet5@1", "a.b-c_d@4294967295"}) {
    const auto version = ModelVersion::Parse(text);
    ASSERT_TRUE(version.ok()) << version.status();
    EXPECT_EQ(version->ToString(), text);
  }
}

TEST(ModelVersion, HasExactlyOneSpelling) {
  for (const char* text :
       {"", "lenet5", "lenet5@", "@3", "lenet5@0", "lenet5@03", "lenet5@+3", "lenet5@ 3",
        "lenet5@-1", "lenet5@4294967296", "lenet5@3@4", "Lenet5@3"}) {
    EXPECT_EQ(ModelVersion::Parse(text).status().code(), absl::StatusCode::kInvalidArgument)
        << text;
  }
  EXPECT_THAT(StdView(ModelVersion::Parse("lenet5").status().message()), HasSubstr("NAME@VERSION"));
}

}  // namespace
}  // namespace muster
