#include "models/quantize/format.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "proto/core/random.h"
#include "tests/unit/quantize/networks.h"

namespace muster::mq8 {
namespace {

using namespace testing_support;

std::string QuantizedLenet() {
  const Network network = MakeZooNetwork("lenet5", 1);
  const auto examples = MakeExamples(network.architecture, 2, 1);
  return *QuantizeModel(network.architecture, network.layout, network.weights, examples, 2, {});
}

// Bytes at an aligned address, as a mapping has them.
class Aligned {
 public:
  explicit Aligned(std::string_view bytes)
      : blocks_((bytes.size() + 63) / 64), size_(bytes.size()) {
    std::memcpy(blocks_.data(), bytes.data(), bytes.size());
  }
  std::span<uint8_t> bytes() { return {reinterpret_cast<uint8_t*>(blocks_.data()), size_}; }
  template <typename Edit>
  void EditHeader(Edit edit) {
    FileHeader header;
    std::memcpy(&header, bytes().data(), sizeof(header));
    edit(header);
    std::memcpy(bytes().data(), &header, sizeof(header));
  }
  template <typename Edit>
  void EditOp(size_t index, Edit edit) {
    OpRecord op;
    uint8_t* at = bytes().data() + sizeof(FileHeader) + index * sizeof(OpRecord);
    std::memcpy(&op, at, sizeof(op));
    edit(op);
    std::memcpy(at, &op, sizeof(op));
  }
  // Makes the checksum right again, so that a test reaches what it spoiled.
  void Seal() {
    EditHeader([&](FileHeader& h) { h.checksum = Checksum(bytes()); });
  }

 private:
  struct alignas(64) Block {
    uint8_t bytes[64] = {};
  };
  std::vector<Block> blocks_;
  size_t size_;
};

TEST(ModelFile, IsReadBackAsWritten) {
  Aligned file(QuantizedLenet());
  const auto model = ParseModel(file.bytes());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->name(), "lenet5");
  EXPECT_EQ(model->header.outputs, 10u);
  EXPECT_EQ(model->header.input_rank, 3u);
  size_t convolutions = 0;
  for (const OpRecord& op : model->ops) convolutions += op.kind == OpKind::kConvolution;
  EXPECT_EQ(convolutions, 5u);
}

TEST(ModelFile, RefusesEveryTruncation) {
  const std::string bytes = QuantizedLenet();
  for (size_t size = 0; size < bytes.size(); size += 1 + size / 16) {
    Aligned file(std::string_view(bytes).substr(0, size));
    EXPECT_EQ(ParseModel(file.bytes()).status().code(), absl::StatusCode::kInvalidArgument) << size;
  }
}

TEST(ModelFile, RefusesAnyFlippedBit) {
  const std::string bytes = QuantizedLenet();
  SeededRandom random(9);
  for (int i = 0; i < 300; ++i) {
    Aligned file(bytes);
    const size_t at = i < 200 ? static_cast<size_t>(i) : random.Below(bytes.size());
    file.bytes()[at] ^= static_cast<uint8_t>(1u << random.Below(8));
    EXPECT_FALSE(ParseModel(file.bytes()).ok()) << "byte " << at;
  }
}

TEST(ModelFile, RefusesFieldsThatDoNotFitTogetherEvenWithARightChecksum) {
  const std::string bytes = QuantizedLenet();
  const std::function<void(Aligned&)> damages[] = {
      [](Aligned& f) { f.EditHeader([](FileHeader& h) { h.version = 2; }); },
      [](Aligned& f) { f.EditHeader([](FileHeader& h) { h.op_count = 0; }); },
      [](Aligned& f) { f.EditHeader([](FileHeader& h) { h.op_count = ~0u; }); },
      [](Aligned& f) { f.EditHeader([](FileHeader& h) { h.input_rank = 4; }); },
      [](Aligned& f) { f.EditHeader([](FileHeader& h) { h.input_shape[1] = 1u << 31; }); },
      [](Aligned& f) { f.EditHeader([](FileHeader& h) { h.outputs = 11; }); },
      [](Aligned& f) { f.EditHeader([](FileHeader& h) { h.input_scale = 0; }); },
      [](Aligned& f) { f.EditHeader([](FileHeader& h) { h.name[kMaxNameBytes] = 'x'; }); },
      [](Aligned& f) { f.EditHeader([](FileHeader& h) { h.reserved[7] = 1; }); },
      [](Aligned& f) { f.EditOp(0, [](OpRecord& o) { o.kind = static_cast<OpKind>(9); }); },
      [](Aligned& f) {
        f.EditOp(0, [](OpRecord& o) { o.weight_offset += kAlignment * 1'000'000; });
      },
      [](Aligned& f) { f.EditOp(0, [](OpRecord& o) { o.weight_offset += 1; }); },
      [](Aligned& f) { f.EditOp(0, [](OpRecord& o) { o.scale_offset = 0; }); },
      [](Aligned& f) { f.EditOp(0, [](OpRecord& o) { o.bias_offset = ~0ull - 63; }); },
      [](Aligned& f) { f.EditOp(0, [](OpRecord& o) { o.output.channels += 1; }); },
      [](Aligned& f) { f.EditOp(0, [](OpRecord& o) { o.kernel_h = 0; }); },
      [](Aligned& f) { f.EditOp(0, [](OpRecord& o) { o.stride_w = 0; }); },
      [](Aligned& f) { f.EditOp(0, [](OpRecord& o) { o.padding_h = 1u << 20; }); },
      [](Aligned& f) { f.EditOp(0, [](OpRecord& o) { o.groups = 0; }); },
      [](Aligned& f) { f.EditOp(0, [](OpRecord& o) { o.output_scale = -1; }); },
      [](Aligned& f) { f.EditOp(0, [](OpRecord& o) { o.output_min = o.output_max; }); },
      [](Aligned& f) { f.EditOp(1, [](OpRecord& o) { o.input_zero_point = 300; }); },
      [](Aligned& f) { f.EditOp(1, [](OpRecord& o) { o.input_scale *= 2; }); },
      [](Aligned& f) { f.EditOp(1, [](OpRecord& o) { o.input.height += 1; }); },
      [](Aligned& f) { f.EditOp(1, [](OpRecord& o) { o.weight_offset = kAlignment * 64; }); },
  };
  for (size_t i = 0; i < std::size(damages); ++i) {
    Aligned file(bytes);
    ASSERT_TRUE(ParseModel(file.bytes()).ok());
    damages[i](file);
    file.Seal();
    EXPECT_EQ(ParseModel(file.bytes()).status().code(), absl::StatusCode::kInvalidArgument)
        << "damage " << i;
  }
}

TEST(ModelFile, RefusesAWeightOutsideTheSymmetricRange) {
  Aligned file(QuantizedLenet());
  const auto model = ParseModel(file.bytes());
  ASSERT_TRUE(model.ok());
  file.bytes()[model->ops[0].weight_offset] = 0x80;
  file.Seal();
  EXPECT_FALSE(ParseModel(file.bytes()).ok());
}

TEST(ModelFile, ADamagedFileIsNotOpened) {
  std::string bytes = QuantizedLenet();
  bytes[bytes.size() / 2] ^= 4;
  const auto model = Int8Model::Open(WriteTemporary(bytes));
  EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(model.status().message().find("damaged"), std::string::npos);
}

TEST(ModelInfo, TellsShapesWithoutOpeningTheRuntime) {
  const std::string bytes = QuantizedLenet();
  const auto info = ReadModelInfo(WriteTemporary(bytes));
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->name, "lenet5");
  EXPECT_EQ(info->input_shape, (std::vector<uint32_t>{1, 28, 28}));
  EXPECT_EQ(info->outputs, 10u);
  EXPECT_EQ(info->file_bytes, bytes.size());
}

}  // namespace
}  // namespace muster::mq8
