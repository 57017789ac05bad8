#include "models/data/csv_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/data/temp_folder.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kIris[] = "width,species,length\n1.5,0,2\n2.5,1,4\n3.5,0,6\n";

std::vector<float> ReadAll(const ExampleSource& source) {
  std::vector<uint64_t> rows(source.labels().size());
  for (uint64_t i = 0; i < rows.size(); ++i) rows[i] = i;
  std::vector<float> all;
  auto status = source.VisitRows(rows, [&all](size_t, std::span<const float> features) {
    all.insert(all.end(), features.begin(), features.end());
  });
  EXPECT_TRUE(status.ok()) << status;
  return all;
}

TEST(CsvReader, TakesTheLabelColumnByNameOrIndexAndTheRestAsFeatures) {
  TempFolder folder;
  const auto path = folder.Write("iris.csv", kIris);
  for (const char* column : {"species", "1", "-2"}) {
    auto source = OpenCsv(path, {.label_column = column});
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_THAT((*source)->example_shape(), ElementsAre(2));
    EXPECT_THAT((*source)->labels(), ElementsAre(0, 1, 0));
    EXPECT_THAT(ReadAll(**source), ElementsAre(1.5f, 2, 2.5f, 4, 3.5f, 6));
  }
}

TEST(CsvReader, ReadsFilesWithoutAHeader) {
  TempFolder folder;
  auto source =
      OpenCsv(folder.Write("plain.csv", "1,2,0\n3,4,1\n"), {.label_column = "-1", .header = false});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_THAT((*source)->labels(), ElementsAre(0, 1));
  EXPECT_THAT(ReadAll(**source), ElementsAre(1, 2, 3, 4));
}

TEST(CsvReader, VisitsOnlyTheRowsAskedFor) {
  TempFolder folder;
  auto source = OpenCsv(folder.Write("iris.csv", kIris), {.label_column = "species"});
  ASSERT_TRUE(source.ok());
  const std::vector<uint64_t> rows = {0, 2};
  std::vector<std::pair<size_t, float>> seen;
  ASSERT_TRUE(
      (*source)
          ->VisitRows(rows, [&](size_t position,
                                std::span<const float> f) { seen.emplace_back(position, f[0]); })
          .ok());
  EXPECT_THAT(seen, ElementsAre(std::pair{0, 1.5f}, std::pair{1, 3.5f}));
}

TEST(CsvReader, RefusesNanWithLineAndColumn) {
  TempFolder folder;
  const auto path = folder.Write("iris.csv", "width,species,length\n1,0,2\n3,1,NaN\n");
  auto source = OpenCsv(path, {.label_column = "species"});
  ASSERT_TRUE(source.ok());
  const std::vector<uint64_t> rows = {0, 1};
  auto status = (*source)->VisitRows(rows, [](size_t, std::span<const float>) {});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(path.string() + " line 3, column 2 (length): \"NaN\" is not a finite"));
}

TEST(CsvReader, SaysWhatIsWrongWithAFileAndWhatToDo) {
  TempFolder folder;
  auto refusal = [&folder](std::string_view text, const CsvOptions& options) {
    const auto path = folder.Write("bad.csv", text);
    auto status = OpenCsv(path, options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path.string()));
    return std::string(status.message());
  };
  EXPECT_THAT(refusal(kIris, {.label_column = "kind"}), HasSubstr("(width, species, length)"));
  EXPECT_THAT(refusal(kIris, {.label_column = "3"}), HasSubstr("no column \"3\""));
  EXPECT_THAT(refusal(kIris, {}), HasSubstr("set `label_column`"));
  EXPECT_THAT(refusal(kIris, {.label_column = "1", .header = false}), HasSubstr("set `header`"));
  EXPECT_THAT(refusal(kIris, {.label_column = "species", .header = false}),
              HasSubstr("have no names"));
  EXPECT_THAT(refusal("a,b\n1,2\n3\n", {.label_column = "a"}), HasSubstr("line 3 has 1 columns"));
  EXPECT_THAT(refusal("a,b\n", {.label_column = "a"}), HasSubstr("no rows"));
  EXPECT_THAT(refusal("", {.label_column = "a"}), HasSubstr("no rows"));
  EXPECT_THAT(refusal("a\n1\n", {.label_column = "a"}), HasSubstr("one column"));
  EXPECT_THAT(refusal("a,b\nx,2\n", {.label_column = "a"}), HasSubstr("number the classes"));
  EXPECT_THAT(refusal("a,b\n1,\"2\n", {.label_column = "a"}), HasSubstr("never closes"));
}

TEST(CsvReader, MissingFileAndFolderAreNamed) {
  TempFolder folder;
  auto missing = OpenCsv(folder / "none.csv", {.label_column = "a"}).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr((folder / "none.csv").string()));
  auto directory = OpenCsv(folder.path(), {.label_column = "a"}).status();
  EXPECT_EQ(directory.code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace muster
