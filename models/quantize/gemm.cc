#include "models/quantize/gemm.h"

#include <algorithm>
#include <cstring>

namespace muster {
namespace {

// Sanitizer runtimes are not up yet when the loader resolves a cloned function.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__clang__)
#define MUSTER_CLONES __attribute__((target_clones("arch=haswell", "default")))
#else
#define MUSTER_CLONES
#endif

typedef float Vector __attribute__((vector_size(32), aligned(4), may_alias));
constexpr size_t kLanes = 8;
constexpr size_t kRows = 4, kColumns = 2 * kLanes;
constexpr size_t kDepth = 256;  // of a block of b that stays in the first-level cache

}  // namespace

MUSTER_CLONES
void AddProduct(size_t m, size_t n, size_t k, const float* a, const float* b, float* c) {
  for (size_t depth = 0; depth < k; depth += kDepth) {
    const size_t end = std::min(k, depth + kDepth);
    for (size_t column = 0; column < n; column += kColumns) {
      const size_t width = std::min(kColumns, n - column);
      size_t row = 0;
      for (; width == kColumns && row + kRows <= m; row += kRows) {
        Vector sums[kRows][2] = {};
        for (size_t i = depth; i < end; ++i) {
          const Vector left = *reinterpret_cast<const Vector*>(b + i * n + column);
          const Vector right = *reinterpret_cast<const Vector*>(b + i * n + column + kLanes);
          for (size_t r = 0; r < kRows; ++r) {
            const float value = a[(row + r) * k + i];
            sums[r][0] += value * left;
            sums[r][1] += value * right;
          }
        }
        for (size_t r = 0; r < kRows; ++r) {
          float* out = c + (row + r) * n + column;
          *reinterpret_cast<Vector*>(out) += sums[r][0];
          *reinterpret_cast<Vector*>(out + kLanes) += sums[r][1];
        }
      }
      for (; row < m; ++row) {  // the edges
        float sums[kColumns] = {};
        for (size_t i = depth; i < end; ++i) {
          const float value = a[row * k + i];
          for (size_t j = 0; j < width; ++j) sums[j] += value * b[i * n + column + j];
        }
        for (size_t j = 0; j < width; ++j) c[row * n + column + j] += sums[j];
      }
    }
  }
}

}  // namespace muster
