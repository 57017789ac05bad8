#include "models/data/tensor_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/data/temp_folder.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
std::string Bytes(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

void WriteTensors(const TempFolder& folder, std::string_view shape, const std::vector<float>& x,
                  const std::vector<int64_t>& y) {
  folder.Write("shape.json", shape);
  folder.Write("x.f32", Bytes(x));
  folder.Write("y.i64", Bytes(y));
}

TEST(TensorReader, ReadsRowsOfTheStatedShape) {
  TempFolder folder;
  WriteTensors(folder, R"({"shape": [1, 2]})", {1, 2, 3, 4, 5, 6}, {0, 5, 2});
  auto source = OpenTensors(folder.path());
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_THAT((*source)->example_shape(), ElementsAre(1, 2));
  EXPECT_THAT((*source)->labels(), ElementsAre(0, 5, 2));
  std::vector<float> seen;
  const std::vector<uint64_t> rows = {0, 2};
  ASSERT_TRUE((*source)
                  ->VisitRows(rows,
                              [&seen](size_t, std::span<const float> f) {
                                seen.insert(seen.end(), f.begin(), f.end());
                              })
                  .ok());
  EXPECT_THAT(seen, ElementsAre(1, 2, 5, 6));
}

TEST(TensorReader, RefusesSizesThatDoNotFitTheLabelsAndShape) {
  TempFolder folder;
  WriteTensors(folder, R"({"shape": [3]})", {1, 2, 3, 4, 5}, {0, 1});
  auto status = OpenTensors(folder.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("x.f32 has 20 bytes but 2 labels with examples of [3] need 24"));
  folder.Write("y.i64", "1234567");
  EXPECT_EQ(OpenTensors(folder.path()).status().code(), absl::StatusCode::kDataLoss);
  WriteTensors(folder, R"({"shape": [2]})", {1, 2}, {-1});
  EXPECT_THAT(std::string(OpenTensors(folder.path()).status().message()),
              HasSubstr("label -1 in row 0"));
}

TEST(TensorReader, RefusesValuesThatAreNotFiniteWithTheirRow) {
  TempFolder folder;
  WriteTensors(folder, R"({"shape": [2]})", {1, 2, 3, std::numeric_limits<float>::infinity()},
               {0, 1});
  auto source = OpenTensors(folder.path());
  ASSERT_TRUE(source.ok()) << source.status();
  const std::vector<uint64_t> rows = {0, 1};
  auto status = (*source)->VisitRows(rows, [](size_t, std::span<const float>) {});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("row 1, element 1 is inf"));
}

TEST(TensorReader, NamesTheFileThatIsMissing) {
  TempFolder folder;
  EXPECT_EQ(OpenTensors("").status().code(), absl::StatusCode::kInvalidArgument);
  for (const char* name : {"shape.json", "y.i64", "x.f32"}) {
    WriteTensors(folder, R"({"shape": [1]})", {1}, {0});
    std::filesystem::remove(folder / name);
    auto status = OpenTensors(folder.path()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(status.message()), HasSubstr((folder / name).string()));
  }
}

TEST(ShapeJson, IsOneShortListOfPositiveWholeNumbers) {
  EXPECT_THAT(*ParseShapeJson(R"({"shape":[9,128]})"), ElementsAre(9, 128));
  for (const char* json :
       {"", "[9,128]", "{}", R"({"shape":9})", R"({"shape":[]})", R"({"shape":[1,2,3,4]})",
        R"({"shape":[0]})", R"({"shape":[-1]})", R"({"shape":[1.5]})", R"({"shape":["9"]})",
        R"({"shape":[16777217]})", R"({"shape":[65536,65536]})", R"({"shape":[9],"n":3})",
        R"({"shape":[9])", R"({"shape":[18446744073709551615,2]})"}) {
    EXPECT_EQ(ParseShapeJson(json).status().code(), absl::StatusCode::kInvalidArgument) << json;
  }
  EXPECT_FALSE(ParseShapeJson(std::string(kMaxShapeJsonBytes, '[')).ok());
  EXPECT_FALSE(ParseShapeJson(std::string(kMaxShapeJsonBytes + 1, ' ')).ok());
}

}  // namespace
}  // namespace muster
