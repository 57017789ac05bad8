// OpenSSL 3 still honours RAND_METHOD, before its own providers. The declarations are deprecated in
// favour of a provider, which is far more than a simulation needs.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tests/sim/openssl_dice.h"

#include <openssl/rand.h>

#include <optional>

#include "proto/core/random.h"

namespace muster::sim {
namespace {

std::optional<SeededRandom> dice;

int Fill(unsigned char* out, int count) {
  dice->Fill({out, static_cast<size_t>(count)});
  return 1;
}

int Seeded() { return 1; }

}  // namespace

void SeedOpenSsl(uint64_t seed) {
  static const RAND_METHOD method{.seed = nullptr,
                                  .bytes = Fill,
                                  .cleanup = nullptr,
                                  .add = nullptr,
                                  .pseudorand = Fill,
                                  .status = Seeded};
  dice.emplace(DeriveSeed(seed, "openssl"));
  RAND_set_rand_method(&method);
}

}  // namespace muster::sim
