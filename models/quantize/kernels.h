// The int8 operations that XNNPACK lacks or does not do well. Tensors are [height, width,
// channels].
#pragma once

#include <cstdint>
#include <span>

#include "models/quantize/format.h"

namespace muster {

// [channels, positions] float -> [positions, channels] int8.
void QuantizeInput(const mq8::Extent& extent, float scale, int32_t zero_point, const float* in,
                   int8_t* out);
// [positions, channels] int8 -> [channels, positions] float.
void DequantizeOutput(const mq8::Extent& extent, float scale, int32_t zero_point, const int8_t* in,
                      float* out);

void MaxPool(const mq8::OpRecord& op, const int8_t* in, int8_t* out);
// `sums` is scratch for op.output.channels values.
void AveragePool(const mq8::OpRecord& op, std::span<int32_t> sums, const int8_t* in, int8_t* out);
void Clamp(const mq8::OpRecord& op, const int8_t* in, int8_t* out);

}  // namespace muster
