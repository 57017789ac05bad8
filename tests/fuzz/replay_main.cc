// Replays a corpus through a fuzz target when libFuzzer is absent, so that every build checks that
// known inputs stay harmless. Arguments: files or folders. Also feeds each input with its bytes cut
// and flipped, which needs no engine and finds shallow faults.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kMutationsPerInput = 200;

void Replay(std::vector<uint8_t> bytes) {
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  std::mt19937 random(static_cast<unsigned>(bytes.size()) + 1);
  for (int i = 0; i < kMutationsPerInput; ++i) {
    std::vector<uint8_t> copy = bytes;
    if (copy.empty() || i % 7 == 0) copy.push_back(static_cast<uint8_t>(random()));
    for (unsigned flips = random() % 4 + 1; flips > 0; --flips) {
      copy[random() % copy.size()] = static_cast<uint8_t>(random());
    }
    if (i % 3 == 0) copy.resize(random() % copy.size() + 1);
    LLVMFuzzerTestOneInput(copy.data(), copy.size());
  }
}

}  // namespace

int main(int argc, char** argv) {
  int inputs = 0;
  Replay({});
  for (int i = 1; i < argc; ++i) {
    std::vector<std::filesystem::path> files;
    if (std::filesystem::is_directory(argv[i])) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
        if (entry.is_regular_file()) files.push_back(entry.path());
      }
    } else {
      files.emplace_back(argv[i]);
    }
    for (const auto& file : files) {
      std::ifstream in(file, std::ios::binary);
      Replay({std::istreambuf_iterator<char>(in), {}});
      ++inputs;
    }
  }
  std::printf("replayed %d corpus inputs\n", inputs);
  return 0;
}
