// Any bytes: the parser refuses them, or every span that it gives out lies inside them.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "models/quantize/format.h"

using namespace muster::mq8;

namespace {

struct alignas(64) Block {
  uint8_t bytes[64];
};

template <typename T>
void MustLieWithin(std::span<const uint8_t> file, std::span<const T> part) {
  const auto* begin = reinterpret_cast<const uint8_t*>(part.data());
  if (begin < file.data() || begin + part.size_bytes() > file.data() + file.size()) std::abort();
}

void Parse(std::span<const uint8_t> file) {
  const auto model = ParseModel(file);
  if (!model.ok()) return;
  if (model->output_extent().size() != model->header.outputs) std::abort();
  for (const OpRecord& op : model->ops) {
    if (op.kind != OpKind::kConvolution) continue;
    MustLieWithin(file, model->weights(op));
    MustLieWithin(file, model->scales(op));
    MustLieWithin(file, model->bias(op));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<Block> blocks(size / sizeof(Block) + 1);
  auto* bytes = reinterpret_cast<uint8_t*>(blocks.data());
  if (size > 0) std::memcpy(bytes, data, size);
  Parse({bytes, size});
  if (size < sizeof(FileHeader)) return 0;
  // Once more with the size and checksum made right, to reach what lies behind them.
  FileHeader header;
  std::memcpy(&header, bytes, sizeof(header));
  header.file_bytes = size;
  std::memcpy(bytes, &header, sizeof(header));
  header.checksum = Checksum({bytes, size});
  std::memcpy(bytes, &header, sizeof(header));
  Parse({bytes, size});
  return 0;
}
