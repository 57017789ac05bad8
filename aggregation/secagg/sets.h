// The digests of the two sets of clients that are signed, as client and coordinator compute them.
#pragma once

#include "aggregation/secagg/transcript.h"

namespace muster::secagg {

// Of one client's neighbours in U1, which its masked report names.
inline Digest NeighboursDigest(const Digest& sid, const ClientSet& neighbours) {
  return SetDigest(sid, "u1-neighbours", neighbours);
}

// Of U2, which consents sign and answers name.
inline Digest SurvivorsDigest(const Digest& sid, const ClientSet& survivors) {
  return SetDigest(sid, "u2", survivors);
}

}  // namespace muster::secagg
