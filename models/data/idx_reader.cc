#include "models/data/idx_reader.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "models/data/open_file.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr uint8_t kUnsignedByte = 0x08;
constexpr size_t kReadBytes = 64u << 10;

uint32_t BigEndian32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

// A file that is read through zlib, which passes plain files through unchanged.
class GzipInput {
 public:
  static absl::StatusOr<GzipInput> Open(const fs::path& path, std::string_view what) {
    MUSTER_RETURN_IF_ERROR(CheckRegularFile(path, what));
    GzipInput input(path, gzopen(path.c_str(), "rb"));
    if (input.file_ == nullptr) {
      return absl::UnavailableError(
          StrCat("cannot open ", what, " ", path.string(), ": check its permissions"));
    }
    gzbuffer(input.file_.get(), 128u << 10);
    return input;
  }

  // Fills `out`, or less at the end of the file; returns how much.
  absl::StatusOr<size_t> Read(std::span<char> out) {
    const int got = gzread(file_.get(), out.data(), static_cast<unsigned>(out.size()));
    int code = Z_OK;
    const char* message = gzerror(file_.get(), &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
      return absl::DataLossError(
          StrCat(path_.string(), " is damaged or truncated (", message, "): copy it again"));
    }
    return static_cast<size_t>(got);
  }

  absl::Status Skip(uint64_t bytes) {
    if (bytes == 0 || gzseek(file_.get(), static_cast<z_off_t>(bytes), SEEK_CUR) >= 0) {
      return absl::OkStatus();
    }
    return absl::DataLossError(StrCat(path_.string(), " is damaged: copy it again"));
  }

  absl::StatusOr<IdxHeader> ReadHeader() {
    std::array<char, kMaxIdxHeaderBytes> bytes;
    MUSTER_ASSIGN_OR_RETURN(size_t got, Read(bytes));
    absl::StatusOr<IdxHeader> header = ParseIdxHeader({bytes.data(), got});
    if (!header.ok()) return Annotate(header.status(), path_.string());
    if (gzseek(file_.get(), static_cast<z_off_t>(header->bytes()), SEEK_SET) < 0) {
      return absl::DataLossError(StrCat(path_.string(), " is damaged: copy it again"));
    }
    return header;
  }

  bool plain() { return gzdirect(file_.get()) != 0; }
  const fs::path& path() const { return path_; }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose_r(file); }
  };
  GzipInput(fs::path path, gzFile file) : path_(std::move(path)), file_(file) {}

  fs::path path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

absl::Status Truncated(const fs::path& path, uint64_t promised, std::string_view unit,
                       uint64_t found) {
  return absl::DataLossError(StrCat(path.string(), " is truncated: its header promises ", promised,
                                    " ", unit, " but it ends after ", found, ": copy it again"));
}

absl::StatusOr<std::vector<int64_t>> ReadIdxLabels(const fs::path& path) {
  MUSTER_ASSIGN_OR_RETURN(GzipInput input, GzipInput::Open(path, "IDX labels"));
  MUSTER_ASSIGN_OR_RETURN(IdxHeader header, input.ReadHeader());
  if (header.dimensions.size() != 1) {
    return absl::InvalidArgumentError(StrCat(
        path.string(), " holds [", StrJoin(header.dimensions, ", "),
        "] values, which looks like images: `labels` must name the file with one dimension"));
  }
  const uint64_t n = header.dimensions[0];
  std::vector<int64_t> labels;  // grows with what is there, not with what the header promises
  std::array<char, kReadBytes> bytes;
  while (true) {
    MUSTER_ASSIGN_OR_RETURN(size_t got, input.Read(bytes));
    if (got == 0) break;
    if (labels.size() + got > n) {
      return absl::InvalidArgumentError(
          StrCat(path.string(), " goes on after the ", n, " labels that its header promises"));
    }
    for (char byte : std::span(bytes).first(got)) labels.push_back(static_cast<uint8_t>(byte));
  }
  if (labels.size() < n) return Truncated(path, n, "labels", labels.size());
  return labels;
}

class IdxSource final : public ExampleSource {
 public:
  IdxSource(fs::path images, std::vector<uint32_t> shape, std::vector<int64_t> labels)
      : images_(std::move(images)), shape_(std::move(shape)), labels_(std::move(labels)) {}

  const std::vector<uint32_t>& example_shape() const override { return shape_; }
  const std::vector<int64_t>& labels() const override { return labels_; }

  absl::Status VisitRows(std::span<const uint64_t> rows, Visitor visit) const override {
    static const std::array<float, 256> kScaled = [] {
      std::array<float, 256> table;
      for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i) / 255.0f;
      return table;
    }();
    MUSTER_ASSIGN_OR_RETURN(GzipInput input, GzipInput::Open(images_, "IDX images"));
    MUSTER_RETURN_IF_ERROR(input.ReadHeader().status());
    const size_t pixels = size_t{shape_[1]} * shape_[2];
    std::vector<char> bytes(pixels);
    std::vector<float> features(pixels);
    uint64_t next = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      MUSTER_RETURN_IF_ERROR(input.Skip((rows[i] - next) * pixels));
      MUSTER_ASSIGN_OR_RETURN(size_t got, input.Read(bytes));
      if (got < pixels) return Truncated(images_, labels_.size(), "images", rows[i]);
      std::transform(bytes.begin(), bytes.end(), features.begin(),
                     [](char byte) { return kScaled[static_cast<uint8_t>(byte)]; });
      visit(i, features);
      next = rows[i] + 1;
    }
    return absl::OkStatus();
  }

 private:
  fs::path images_;
  std::vector<uint32_t> shape_;
  std::vector<int64_t> labels_;
};

// The size of a plain file is known at once, so a wrong one need not wait until the row is missed.
absl::Status CheckPlainSize(const fs::path& path, const IdxHeader& header) {
  uint64_t expected = header.bytes();
  uint64_t elements = 1;
  for (uint32_t dimension : header.dimensions) elements *= dimension;
  expected += elements;
  std::error_code error;
  const uint64_t size = fs::file_size(path, error);
  if (error) return absl::UnavailableError(StrCat(path.string(), ": ", error.message()));
  if (size == expected) return absl::OkStatus();
  const std::string message =
      StrCat(path.string(), " has ", size, " bytes but its header promises ", expected);
  if (size < expected) return absl::DataLossError(message + ": it is truncated, copy it again");
  return absl::InvalidArgumentError(message + ": it is not an IDX file of this kind");
}

}  // namespace

absl::StatusOr<IdxHeader> ParseIdxHeader(std::string_view bytes) {
  if (bytes.size() < 4) {
    return absl::DataLossError(
        StrCat("ends after ", bytes.size(), " bytes, within the IDX header"));
  }
  const auto type = static_cast<uint8_t>(bytes[2]);
  const auto rank = static_cast<uint8_t>(bytes[3]);
  if (bytes[0] != 0 || bytes[1] != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("starts with 0x%08x, which is not an IDX magic number: name a file in "
                        "MNIST's format (gzip or plain)",
                        BigEndian32(bytes, 0)));
  }
  if (type != kUnsignedByte || (rank != 1 && rank != 3)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("has IDX magic number 0x%08x; expected 0x00000803 for images or 0x00000801 "
                        "for labels (unsigned bytes)",
                        BigEndian32(bytes, 0)));
  }
  IdxHeader header;
  if (bytes.size() < 4 + 4 * size_t{rank}) {
    return absl::DataLossError(
        StrCat("ends after ", bytes.size(), " bytes, within the IDX header"));
  }
  uint64_t example = 1;
  for (size_t i = 0; i < rank; ++i) {
    const uint32_t dimension = BigEndian32(bytes, 4 + 4 * i);
    if (i > 0 && dimension > 0 && dimension <= kMaxExampleElements) example *= dimension;
    const uint64_t limit = i == 0 ? kMaxDatasetExamples : kMaxExampleElements;
    if (dimension == 0 || dimension > limit || example > kMaxExampleElements) {
      return absl::InvalidArgumentError(StrCat("has ", dimension, " in dimension ", i,
                                               " of its IDX header; allowed are 1 to ", limit,
                                               i == 0 ? " examples" : " pixels an image"));
    }
    header.dimensions.push_back(dimension);
  }
  return header;
}

absl::StatusOr<std::unique_ptr<ExampleSource>> OpenIdx(const fs::path& images,
                                                       const fs::path& labels) {
  MUSTER_ASSIGN_OR_RETURN(GzipInput input, GzipInput::Open(images, "IDX images"));
  MUSTER_ASSIGN_OR_RETURN(IdxHeader header, input.ReadHeader());
  if (header.dimensions.size() != 3) {
    return absl::InvalidArgumentError(
        StrCat(images.string(), " has one dimension of ", header.dimensions[0],
               ", which looks like labels: `images` must name the file with [n, height, width]"));
  }
  if (input.plain()) MUSTER_RETURN_IF_ERROR(CheckPlainSize(images, header));
  MUSTER_ASSIGN_OR_RETURN(std::vector<int64_t> read, ReadIdxLabels(labels));
  if (read.size() != header.dimensions[0]) {
    return absl::InvalidArgumentError(StrCat(images.string(), " has ", header.dimensions[0],
                                             " images but ", labels.string(), " has ", read.size(),
                                             " labels: name two files of the same set"));
  }
  return std::make_unique<IdxSource>(
      images, std::vector<uint32_t>{1, header.dimensions[1], header.dimensions[2]},
      std::move(read));
}

}  // namespace muster
