// Whatever the bytes: a header is refused or writes the same bytes again, and opening them as
// sealed ones never gives plaintext that the key's owner did not seal.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>

#include "coordinator/blobs/at_rest/sealed_blobs.h"

namespace {

using namespace muster;

class BytesReader final : public BlobReader {
 public:
  explicit BytesReader(std::string_view bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  absl::StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> out) const override {
    if (offset >= bytes_.size()) return 0;
    const std::string_view part = bytes_.substr(offset, out.size());
    std::memcpy(out.data(), part.data(), part.size());
    return part.size();
  }

 private:
  std::string_view bytes_;
};

std::shared_ptr<const AtRestKeys> Keys() {
  static const std::shared_ptr<const AtRestKeys> keys = [] {
    std::string pattern = (std::filesystem::temp_directory_path() / "muster-fuzz-XXXXXX").string();
    const std::filesystem::path folder = mkdtemp(pattern.data());
    SystemRandom random;
    if (!AtRestKeys::Create(folder / "key", random).ok()) std::abort();
    auto opened = AtRestKeys::Open(folder / "key").value();
    std::filesystem::remove_all(folder);
    return opened;
  }();
  return keys;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto header = SealedHeader::Parse(bytes.substr(0, kSealedHeaderBytes));
  if (header.ok() && header->ToBytes() != bytes.substr(0, kSealedHeaderBytes)) std::abort();
  const SealedShape shape = SealedShape::Of(size);
  if (shape.segments > 0 && shape.sealed_bytes() > size) std::abort();
  if (OpenSealed(std::make_unique<BytesReader>(bytes), *Keys()).ok()) std::abort();
  if (!header.ok()) return 0;
  // The same under a key that is there: still nobody sealed it.
  std::string own = SealedHeader{Keys()->current_id(), header->salt}.ToBytes();
  own += bytes.substr(kSealedHeaderBytes);
  if (OpenSealed(std::make_unique<BytesReader>(own), *Keys()).ok()) std::abort();
  return 0;
}
