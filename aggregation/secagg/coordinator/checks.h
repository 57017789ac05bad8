// What more than one step of the coordinator checks. Internal to the coordinator's steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "aggregation/secagg/coordinator/coordinator.h"

namespace muster::secagg {

// "client 'c7' (index 7)", for messages.
std::string NameOf(const Roster& roster, uint32_t index);

// InvalidArgument if there is no client of that index.
absl::Status CheckIndex(const Roster& roster, uint32_t index);

// That client's signature over `statement`.
absl::Status CheckSignature(const Roster& roster, uint32_t index, std::string_view statement,
                            std::string_view signature, const Notary& notary);

// How many of that client's neighbours are in `set`.
uint32_t NeighboursIn(const Roster& roster, uint32_t index, const ClientSet& set);

// U1 and U2 are sets over the roster, and U2 is within U1. InvalidArgument.
absl::Status CheckSets(const Roster& roster, const ClientSet& sharers, const ClientSet& survivors);

// Whether the sum needs a secret of that member of U1: the self-mask seed if it is in U2, else the
// mask key, unless no neighbour masked with it.
bool NeedsSecret(const Roster& roster, const ClientSet& survivors, uint32_t index);

}  // namespace muster::secagg
