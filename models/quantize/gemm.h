// The one float32 kernel of the reference executor.
#pragma once

#include <cstddef>

namespace muster {

// c[m, n] += a[m, k] * b[k, n], all row-major and dense.
void AddProduct(size_t m, size_t n, size_t k, const float* a, const float* b, float* c);

}  // namespace muster
