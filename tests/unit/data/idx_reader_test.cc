#include "models/data/idx_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "tests/unit/data/temp_folder.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string BigEndian(std::initializer_list<uint32_t> words) {
  std::string bytes;
  for (uint32_t word : words) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(word >> shift));
  }
  return bytes;
}

// Three images of 2x2 whose pixels count up from 0, and their labels.
std::string Images() {
  std::string bytes = BigEndian({0x803, 3, 2, 2});
  for (char pixel = 0; pixel < 12; ++pixel) bytes.push_back(pixel);
  return bytes;
}
std::string Labels() { return BigEndian({0x801, 3}) + std::string("\x07\x00\x09", 3); }

void WriteGzip(const std::filesystem::path& path, std::string_view bytes) {
  gzFile out = gzopen(path.c_str(), "wb");
  ASSERT_NE(out, nullptr);
  ASSERT_EQ(gzwrite(out, bytes.data(), static_cast<unsigned>(bytes.size())),
            static_cast<int>(bytes.size()));
  ASSERT_EQ(gzclose(out), Z_OK);
}

absl::Status VisitAll(const ExampleSource& source) {
  const std::vector<uint64_t> rows = {0, 1, 2};
  return source.VisitRows(rows, [](size_t, std::span<const float>) {});
}

TEST(IdxReader, GivesChannelsFirstImagesInZeroToOneFromPlainAndGzipFiles) {
  TempFolder folder;
  folder.Write("images", Images());
  folder.Write("labels", Labels());
  WriteGzip(folder / "images.gz", Images());
  WriteGzip(folder / "labels.gz", Labels());
  for (const char* suffix : {"", ".gz"}) {
    auto source = OpenIdx(folder / (std::string("images") + suffix),
                          folder / (std::string("labels") + suffix));
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_THAT((*source)->example_shape(), ElementsAre(1, 2, 2));
    EXPECT_THAT((*source)->labels(), ElementsAre(7, 0, 9));
    std::vector<float> seen;
    const std::vector<uint64_t> rows = {0, 2};
    ASSERT_TRUE((*source)
                    ->VisitRows(rows,
                                [&seen](size_t, std::span<const float> f) {
                                  seen.insert(seen.end(), f.begin(), f.end());
                                })
                    .ok());
    EXPECT_THAT(seen, ElementsAre(0, 1 / 255.f, 2 / 255.f, 3 / 255.f, 8 / 255.f, 9 / 255.f,
                                  10 / 255.f, 11 / 255.f));
  }
}

TEST(IdxReader, RefusesFilesThatDoNotBelongTogether) {
  TempFolder folder;
  const auto images = folder.Write("images", Images());
  const auto labels = folder.Write("labels", Labels());
  const auto two = folder.Write("two", BigEndian({0x801, 2}) + "\x01\x02");
  auto mismatch = OpenIdx(images, two).status();
  EXPECT_EQ(mismatch.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(mismatch.message()), HasSubstr("has 3 images but " + two.string()));
  EXPECT_THAT(std::string(OpenIdx(labels, labels).status().message()),
              HasSubstr("looks like labels"));
  EXPECT_THAT(std::string(OpenIdx(images, images).status().message()),
              HasSubstr("looks like images"));
}

TEST(IdxReader, NamesTheFileThatIsMissing) {
  TempFolder folder;
  const auto images = folder.Write("images", Images());
  auto status = OpenIdx(images, folder / "labels").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr((folder / "labels").string()));
  EXPECT_EQ(OpenIdx("", "").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(OpenIdx(folder.path(), images).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(IdxReader, FindsTruncatedPlainFilesWhenTheyAreOpened) {
  TempFolder folder;
  const auto labels = folder.Write("labels", Labels());
  const auto images = folder.Write("images", Images().substr(0, 20));
  auto status = OpenIdx(images, labels).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(images.string()));

  const auto short_labels = folder.Write("short", Labels().substr(0, 9));
  EXPECT_EQ(OpenIdx(folder.Write("images", Images()), short_labels).status().code(),
            absl::StatusCode::kDataLoss);
  const auto long_labels = folder.Write("long", Labels() + "x");
  EXPECT_THAT(std::string(OpenIdx(folder / "images", long_labels).status().message()),
              HasSubstr("goes on after"));
  EXPECT_EQ(OpenIdx(folder.Write("images", Images() + "x"), labels).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(IdxReader, FindsTruncatedAndDamagedGzipFilesWhenTheyAreRead) {
  TempFolder folder;
  const auto labels = folder.Write("labels", Labels());
  // Complete as a gzip file, but with fewer images than promised.
  WriteGzip(folder / "fewer.gz", Images().substr(0, 20));
  auto fewer = OpenIdx(folder / "fewer.gz", labels);
  ASSERT_TRUE(fewer.ok()) << fewer.status();
  auto status = VisitAll(**fewer);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("promises 3 images but it ends after 1"));

  // A gzip file that lost its end.
  WriteGzip(folder / "labels.gz", Labels());
  const auto cut = std::filesystem::file_size(folder / "labels.gz") - 9;
  std::filesystem::resize_file(folder / "labels.gz", cut);
  EXPECT_EQ(OpenIdx(folder.Write("images", Images()), folder / "labels.gz").status().code(),
            absl::StatusCode::kDataLoss);
}

std::string HeaderRefusal(std::string_view bytes) {
  auto header = ParseIdxHeader(bytes);
  EXPECT_FALSE(header.ok());
  return std::string(header.status().message());
}

TEST(IdxHeader, IsCheckedStrictly) {
  EXPECT_THAT(HeaderRefusal("PNG!"), HasSubstr("0x504e4721, which is not an IDX magic number"));
  EXPECT_THAT(HeaderRefusal(BigEndian({0xd03, 1, 1, 1})), HasSubstr("0x00000d03"));
  EXPECT_THAT(HeaderRefusal(BigEndian({0x802, 1, 1})), HasSubstr("0x00000802"));
  EXPECT_THAT(HeaderRefusal(BigEndian({0x803, 1, 1})), HasSubstr("within the IDX header"));
  EXPECT_THAT(HeaderRefusal(""), HasSubstr("ends after 0 bytes"));
  EXPECT_THAT(HeaderRefusal(BigEndian({0x801, 0})), HasSubstr("0 in dimension 0"));
  EXPECT_THAT(HeaderRefusal(BigEndian({0x803, 1, 0, 5})), HasSubstr("0 in dimension 1"));
  EXPECT_THAT(HeaderRefusal(BigEndian({0x803, 1, 0xffffffff, 0xffffffff})),
              HasSubstr("dimension 1"));
  EXPECT_THAT(HeaderRefusal(BigEndian({0x803, 1, 65536, 65536})), HasSubstr("dimension 2"));
  EXPECT_THAT(HeaderRefusal(BigEndian({0x801, 0xffffffff})), HasSubstr("examples"));
}

}  // namespace
}  // namespace muster
