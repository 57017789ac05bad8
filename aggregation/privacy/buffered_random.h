// A source that reads ahead: samplers ask for eight bytes at a time, and a call to the operating
// system's generator costs as much for eight bytes as for hundreds.
#pragma once

#include <openssl/crypto.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "proto/core/random.h"

namespace muster {

// Not thread-safe. What is left in the buffer is wiped at the end.
class BufferedRandom final : public RandomSource {
 public:
  explicit BufferedRandom(RandomSource& source) : source_(source) {}
  ~BufferedRandom() override { OPENSSL_cleanse(buffer_.data(), buffer_.size()); }
  BufferedRandom(const BufferedRandom&) = delete;
  BufferedRandom& operator=(const BufferedRandom&) = delete;

  void Fill(std::span<uint8_t> bytes) override {
    if (bytes.size() > buffer_.size()) return source_.Fill(bytes);
    if (bytes.size() > buffer_.size() - used_) {
      source_.Fill(buffer_);  // a few bytes of the old ones go unused
      used_ = 0;
    }
    std::memcpy(bytes.data(), buffer_.data() + used_, bytes.size());
    used_ += bytes.size();
  }

 private:
  static constexpr size_t kBytes = 8192;
  RandomSource& source_;
  std::array<uint8_t, kBytes> buffer_;
  size_t used_ = kBytes;
};

}  // namespace muster
