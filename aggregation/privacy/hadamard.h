// The randomized Hadamard transform: random signs, then the Walsh-Hadamard transform, normalised.
// It is a rotation, so norms and the noise's distribution stay; it spreads any vector evenly over
// all its coordinates, which keeps single coordinates small in a ring (Kairouz, Liu, Steinke 2021,
// "The Distributed Discrete Gaussian Mechanism", arXiv 2102.06387).
#pragma once

#include <span>

#include "proto/core/digest.h"

namespace muster {

// In place, n log2(n) additions. The signs are the bits of the ChaCha20 keystream (RFC 8439) whose
// key is SHA-256("muster hadamard signs 1" || seed), lowest bit of each byte first: 1 is minus. The
// seed need not be secret. The size is a power of two; anything else aborts.
void RandomizedHadamard(const Digest& seed, std::span<float> values);
void InverseRandomizedHadamard(const Digest& seed, std::span<float> values);

}  // namespace muster
