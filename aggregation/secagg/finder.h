// How many neighbours and which threshold a session needs (Bell et al. 2020, section 3 and
// appendix): the smallest k, then the smallest t, with which
//   security     no client has enough colluding neighbours to open its secrets, and the honest
//                survivors stay connected, but for 2^-(sigma + 1) each;
//   correctness  every secret keeps t holders that did not drop out, but for 2^-eta.
// Neighbours are drawn without replacement, so their numbers are hypergeometric; bounds over all
// clients are sums.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "proto/core/secagg_messages.h"

namespace muster::secagg {

inline constexpr uint32_t kMinClients = 4;           // the smallest session at all
inline constexpr uint32_t kCompleteGraphBelow = 30;  // clients
inline constexpr uint32_t kMinCorrupt = 2;           // assumed, however small the fraction

struct Assumptions {
  uint32_t clients = 0;
  double drop = 0.1;     // [0, 1)
  double corrupt = 0.1;  // [0, 1)
  Mode mode = Mode::kSemiHonest;
  double sigma =
      40;           // statistical security, bits; 80 in malicious mode, where rosters can be ground
  double eta = 40;  // correctness, bits
};
struct GraphPlan {
  uint32_t neighbours = 0;    // k
  uint32_t threshold = 0;     // t
  double log2_insecure = 0;   // bound on P[some honest client's privacy fails]; -inf: impossible
  double log2_incorrect = 0;  // bound on P[the sum cannot be recovered within the drop rate]
};

// The published optimum for exactly floor(corrupt * n) corrupted clients and no minimum: what
// tables in the literature show.
absl::StatusOr<GraphPlan> FindGraph(const Assumptions& assumptions);

// What sessions use: at least max(kMinCorrupt, ceil(corrupt * n)) corrupted clients. Below
// kCompleteGraphBelow, or where the finder finds nothing, the complete graph with
// t = floor(2 k / 3) + 1, or more if that many could collude. Never more than
// limits::kMaxSecAggNeighbours. FailedPrecondition, with the numbers and how many clients would do,
// where no parameters are safe (n below kMinClients, t beyond what drops leave, too many
// corrupted).
absl::StatusOr<GraphPlan> PlanGraph(const Assumptions& assumptions);
Assumptions AssumptionsOf(const Params& params, uint32_t clients);  // sigma by mode

// On the client: are the coordinator's k and t at least as safe as the parameters promise?
// InvalidArgument for what is no graph, FailedPrecondition with the broken promise otherwise.
absl::Status CheckGraphPlan(const Assumptions& assumptions, uint32_t neighbours,
                            uint32_t threshold);

}  // namespace muster::secagg
