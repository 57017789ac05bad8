// OpenSSL's generator, thrown from a seed: signatures and keys of a history are the same each time.
#pragma once

#include <cstdint>

namespace muster::sim {

// From here on whatever this process asks OpenSSL for follows from `seed`. Never outside a
// simulation.
void SeedOpenSsl(uint64_t seed);

}  // namespace muster::sim
