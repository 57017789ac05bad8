// Valid values of secure aggregation at random, from a seed.
#pragma once

#include <string>
#include <vector>

#include "proto/core/secagg_messages.h"
#include "tests/unit/codec/random_values.h"

namespace muster::testing_codec {

class SecAggValues : public RandomValues {
 public:
  using RandomValues::RandomValues;

  std::string ExactBytes(size_t bytes);
  std::string Signature();
  InvocationId AnyInvocationId() { return InvocationId::Trusted(IdText()); }
  // `count` indices below `size`, ascending; count <= size.
  std::vector<uint32_t> Indices(uint32_t count, uint32_t size);

  secagg::Params AnyParams();
  secagg::Advert AnyAdvert();
  secagg::RosterView AnyRosterView();
  secagg::SharesView AnySharesView();
  secagg::UnmaskRequest AnyUnmaskRequest();
  secagg::Outcome AnyOutcome();
  secagg::JoinAnswer AnyJoinAnswer();
  secagg::Awaited AnyAwaited();

  secagg::JoinAsk AnyJoin() { return {AnyInvocationId()}; }
  secagg::AdvertOffer AnyAdvertOffer();
  secagg::ShareOffer AnyShareOffer();
  secagg::MaskedOffer AnyMaskedOffer();
  secagg::ConsentOffer AnyConsentOffer();
  secagg::UnmaskOffer AnyUnmaskOffer();
  secagg::Refusal AnyRefusal();
  secagg::AwaitAsk AnyAwait();

 private:
  secagg::RosterEntry AnyEntry(uint32_t index);
};

}  // namespace muster::testing_codec
