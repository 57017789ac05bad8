// What more than one step of the client checks. Internal to the client's steps.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "aggregation/secagg/client/client.h"

namespace muster::secagg {

// InvalidArgument unless the view is one that Graph can be built from and its indices are in order:
// n within the protocol's limit, 1 <= k < n, k even or n - 1, 1 <= t <= k, k neighbours ascending,
// none of them the own index. Says nothing about safety.
absl::Status CheckShape(const RosterView& roster);

// FailedPrecondition unless `sid` is the id that these parameters and this roster give: a state
// goes on only under the parameters that it began with.
absl::Status CheckSession(const Params& params, const RosterView& roster, const Digest& sid);

// Its neighbour of that index, or null.
const RosterEntry* FindNeighbour(const RosterView& roster, uint32_t index);

// "client 'c7' (index 7)", for messages.
std::string NameOf(const RosterEntry& entry);

// The share of a neighbour's that this client holds, or null if the neighbour is not in U1.
const HeldShare* FindHeld(const Masked& state, uint32_t index);

// What a client asks of U2 before it says or reveals anything: itself in it, min_clients in it, no
// neighbour from outside U1, at least t neighbours.
absl::Status CheckSurvivors(const Params& params, const Masked& state, const ClientSet& survivors);

}  // namespace muster::secagg
