#include "models/quantize/kernels.h"

#include <algorithm>
#include <cmath>

namespace muster {
namespace {

// Rounds to nearest, ties to even, without a call: adding 1.5 * 2^23 leaves no fraction bits. The
// argument is within [-128, 127] (a NaN compares false and becomes `low`).
inline int8_t RoundToInt8(float value, float low, float high) {
  value = value > low ? value : low;
  value = value < high ? value : high;
  constexpr float kMagic = 12582912.0f;
  return static_cast<int8_t>(static_cast<int32_t>((value + kMagic) - kMagic));
}

}  // namespace

void QuantizeInput(const mq8::Extent& extent, float scale, int32_t zero_point, const float* in,
                   int8_t* out) {
  const size_t positions = size_t{extent.height} * extent.width, channels = extent.channels;
  const float inverse = 1.0f / scale, zero = static_cast<float>(zero_point);
  if (positions == 1 || channels == 1) {
    for (size_t i = 0; i < positions * channels; ++i) {
      out[i] = RoundToInt8(in[i] * inverse + zero, -128.0f, 127.0f);
    }
    return;
  }
  for (size_t c = 0; c < channels; ++c) {
    for (size_t p = 0; p < positions; ++p) {
      out[p * channels + c] = RoundToInt8(in[c * positions + p] * inverse + zero, -128.0f, 127.0f);
    }
  }
}

void DequantizeOutput(const mq8::Extent& extent, float scale, int32_t zero_point, const int8_t* in,
                      float* out) {
  const size_t positions = size_t{extent.height} * extent.width, channels = extent.channels;
  for (size_t p = 0; p < positions; ++p) {
    for (size_t c = 0; c < channels; ++c) {
      out[c * positions + p] = scale * static_cast<float>(in[p * channels + c] - zero_point);
    }
  }
}

void MaxPool(const mq8::OpRecord& op, const int8_t* in, int8_t* out) {
  const size_t channels = op.input.channels;
  const auto low = static_cast<int8_t>(op.output_min), high = static_cast<int8_t>(op.output_max);
  for (uint32_t y = 0; y < op.output.height; ++y) {
    for (uint32_t x = 0; x < op.output.width; ++x, out += channels) {
      std::fill_n(out, channels, low);
      for (uint32_t kh = 0; kh < op.kernel_h; ++kh) {
        for (uint32_t kw = 0; kw < op.kernel_w; ++kw) {
          const size_t row = size_t{y} * op.stride_h + kh, column = size_t{x} * op.stride_w + kw;
          const int8_t* pixel = in + (row * op.input.width + column) * channels;
          for (size_t c = 0; c < channels; ++c) out[c] = std::max(out[c], pixel[c]);
        }
      }
      for (size_t c = 0; c < channels; ++c) out[c] = std::min(out[c], high);
    }
  }
}

void AveragePool(const mq8::OpRecord& op, std::span<int32_t> sums, const int8_t* in, int8_t* out) {
  const size_t channels = op.input.channels;
  const double count = static_cast<double>(op.kernel_h) * op.kernel_w;
  const auto factor = static_cast<float>(double{op.input_scale} / double{op.output_scale} / count);
  // At most 2^24 elements of at most 8 bits: the sum fits, and so does its distance from zero.
  const auto zero = static_cast<int32_t>(count) * op.input_zero_point;
  for (uint32_t y = 0; y < op.output.height; ++y) {
    for (uint32_t x = 0; x < op.output.width; ++x) {
      std::fill(sums.begin(), sums.end(), -zero);
      for (uint32_t kh = 0; kh < op.kernel_h; ++kh) {
        for (uint32_t kw = 0; kw < op.kernel_w; ++kw) {
          const size_t row = size_t{y} * op.stride_h + kh, column = size_t{x} * op.stride_w + kw;
          const int8_t* pixel = in + (row * op.input.width + column) * channels;
          for (size_t c = 0; c < channels; ++c) sums[c] += pixel[c];
        }
      }
      for (size_t c = 0; c < channels; ++c) {
        *out++ = RoundToInt8(
            static_cast<float>(sums[c]) * factor + static_cast<float>(op.output_zero_point),
            static_cast<float>(op.output_min), static_cast<float>(op.output_max));
      }
    }
  }
}

void Clamp(const mq8::OpRecord& op, const int8_t* in, int8_t* out) {
  const auto low = static_cast<int8_t>(op.output_min), high = static_cast<int8_t>(op.output_max);
  const size_t size = op.input.size();
  for (size_t i = 0; i < size; ++i) out[i] = std::clamp(in[i], low, high);
}

}  // namespace muster
