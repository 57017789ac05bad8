#include <algorithm>

#include "aggregation/secagg/coordinator/coordinator.h"
#include "aggregation/secagg/transcript.h"

namespace muster::secagg {
namespace {

std::vector<Digest> LeavesOf(const std::vector<Advert>& adverts) {
  std::vector<Digest> leaves;
  leaves.reserve(adverts.size());
  for (const Advert& advert : adverts) leaves.push_back(LeafOf(advert));
  return leaves;
}

}  // namespace

Roster::Roster(Params params, std::vector<Advert> adverts, GraphPlan plan)
    : params_(std::move(params)),
      adverts_(std::move(adverts)),
      plan_(plan),
      tree_(LeavesOf(adverts_)),
      sid_(SessionId(params_, size(), neighbours(), threshold(), root())),
      graph_(size(), neighbours(), root()) {}

std::optional<uint32_t> Roster::IndexOf(const DeviceId& client) const {
  const auto at = std::lower_bound(
      adverts_.begin(), adverts_.end(), client,
      [](const Advert& advert, const DeviceId& wanted) { return advert.client < wanted; });
  if (at == adverts_.end() || at->client != client) return std::nullopt;
  return static_cast<uint32_t>(at - adverts_.begin());
}

RosterView Roster::ViewFor(uint32_t index) const {
  const auto entry = [this](uint32_t i) {
    return RosterEntry{.index = i, .advert = adverts_[i], .proof = tree_.Proof(i)};
  };
  RosterView view{.size = size(),
                  .neighbours = neighbours(),
                  .threshold = threshold(),
                  .root = root(),
                  .own = entry(index)};
  for (const uint32_t neighbour : graph_.NeighboursOf(index)) {
    view.others.push_back(entry(neighbour));
  }
  return view;
}

}  // namespace muster::secagg
