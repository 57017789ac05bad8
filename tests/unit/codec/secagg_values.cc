#include "tests/unit/codec/secagg_values.h"

#include <algorithm>
#include <set>
#include <utility>

#include "proto/core/limits.h"

namespace muster::testing_codec {

std::string SecAggValues::ExactBytes(size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += std::string(AnyDigest().bytes());
  text.resize(bytes);
  return text;
}

std::string SecAggValues::Signature() {
  return ExactBytes(Between(1, limits::kMaxSecAggSignatureBytes));
}

std::vector<uint32_t> SecAggValues::Indices(uint32_t count, uint32_t size) {
  std::set<uint32_t> chosen;
  while (chosen.size() < count) chosen.insert(static_cast<uint32_t>(Between(0, size - 1)));
  return {chosen.begin(), chosen.end()};
}

secagg::Params SecAggValues::AnyParams() {
  secagg::Params params;
  params.job = JobId::Trusted(IdText());
  params.round = static_cast<uint32_t>(Between(1, limits::kMaxRounds));
  params.attempt = static_cast<uint32_t>(Between(1, limits::kMaxRoundAttempts));
  params.model = AnyDigest();
  params.dimension = Between(1, limits::kMaxParameters);
  for (uint64_t n = Between(0, limits::kMaxSecAggMetrics); n > 0; --n) {
    params.metrics.push_back("m" + std::to_string(n));
  }
  params.clip_lane = Coin();
  params.weighted = Coin();
  params.examples_cap = Between(1, limits::kMaxExamplesPerUpdate);
  params.ring_bits = 16u << Between(0, 2);
  params.clip = Real(1e-6, 1e6);
  params.scale = Real(1e-6, 1e9);
  params.max_clients = static_cast<uint32_t>(Between(1, limits::kMaxSecAggClients));
  params.min_clients = static_cast<uint32_t>(Between(1, params.max_clients));
  params.drop = Real(0, 0.999);
  params.corrupt = Real(0, 0.999);
  params.mode = static_cast<secagg::Mode>(Between(0, 1));
  params.cipher = static_cast<secagg::MaskCipher>(Between(0, 2));
  if (Coin()) params.noise = secagg::ClientNoise{Real(1e-3, 1e12), AnyDigest()};
  params.nonce = AnyDigest();
  return params;
}

secagg::Advert SecAggValues::AnyAdvert() {
  secagg::Advert advert;
  advert.client = DeviceId::Trusted(IdText());
  const auto fill = [&](secagg::PublicKeyBytes& key) {
    const std::string bytes = ExactBytes(key.size());
    std::copy(bytes.begin(), bytes.end(), key.begin());
  };
  fill(advert.mask_key);
  fill(advert.sharing_key);
  advert.nonce = AnyDigest();
  advert.certificate = ExactBytes(Between(1, limits::kMaxAdvertCertificateBytes));
  advert.signature = Signature();
  return advert;
}

secagg::RosterEntry SecAggValues::AnyEntry(uint32_t index) {
  secagg::RosterEntry entry{index, AnyAdvert(), {}};
  for (uint64_t n = Between(0, 8); n > 0; --n) entry.proof.push_back(AnyDigest());
  return entry;
}

secagg::RosterView SecAggValues::AnyRosterView() {
  secagg::RosterView view;
  view.size = static_cast<uint32_t>(Between(2, 40));
  view.neighbours = static_cast<uint32_t>(Between(1, view.size - 1));
  view.threshold = static_cast<uint32_t>(Between(1, view.neighbours));
  view.root = AnyDigest();
  std::vector<uint32_t> indices = Indices(view.neighbours + 1, view.size);
  const auto own = indices.begin() + static_cast<ptrdiff_t>(Between(0, view.neighbours));
  view.own = AnyEntry(*own);
  indices.erase(own);
  for (const uint32_t index : indices) view.others.push_back(AnyEntry(index));
  return view;
}

secagg::SharesView SecAggValues::AnySharesView() {
  secagg::SharesView view;
  for (const uint32_t index : Indices(static_cast<uint32_t>(Between(0, 20)), 1000)) {
    view.shares.push_back({.index = index,
                           .commitment = AnyDigest(),
                           .signature = Signature(),
                           .ciphertext = ExactBytes(limits::kSecAggBoxBytes)});
  }
  return view;
}

secagg::UnmaskRequest SecAggValues::AnyUnmaskRequest() {
  secagg::UnmaskRequest request;
  request.survivors = ExactBytes(Between(1, 300));
  for (const uint32_t index : Indices(static_cast<uint32_t>(Between(0, 20)), 1000)) {
    request.consents.push_back({.index = index, .signature = Signature()});
  }
  return request;
}

secagg::Outcome SecAggValues::AnyOutcome() {
  secagg::Outcome outcome;
  outcome.committed = Coin();
  if (!outcome.committed) outcome.reason = Text(200);
  return outcome;
}

secagg::JoinAnswer SecAggValues::AnyJoinAnswer() {
  if (Coin()) return AnyParams();
  return secagg::Closed{Text(200)};
}

secagg::Awaited SecAggValues::AnyAwaited() {
  switch (Between(0, 6)) {
    case 0:
      return AnyRosterView();
    case 1:
      return AnySharesView();
    case 2:
      return secagg::Survivors{ExactBytes(Between(1, 300))};
    case 3:
      return AnyUnmaskRequest();
    case 4:
      return AnyOutcome();
    case 5:
      return secagg::Closed{Text(200)};
    default:
      return secagg::Pending{};
  }
}

secagg::AdvertOffer SecAggValues::AnyAdvertOffer() {
  return {AnyInvocationId(), AnyAdvert(), AnyMetering()};
}

secagg::ShareOffer SecAggValues::AnyShareOffer() {
  secagg::ShareOffer offer;
  offer.invocation = AnyInvocationId();
  offer.bundle.commitment = AnyDigest();
  for (uint64_t n = Between(1, 40); n > 0; --n) {
    offer.bundle.ciphertexts.push_back(ExactBytes(limits::kSecAggBoxBytes));
  }
  offer.bundle.signature = Signature();
  return offer;
}

secagg::MaskedOffer SecAggValues::AnyMaskedOffer() {
  return {AnyInvocationId(), {AnyDigest(), AnyDigest(), Signature()}, AnyMetering()};
}

secagg::ConsentOffer SecAggValues::AnyConsentOffer() { return {AnyInvocationId(), {Signature()}}; }

secagg::UnmaskOffer SecAggValues::AnyUnmaskOffer() {
  secagg::UnmaskOffer offer;
  offer.invocation = AnyInvocationId();
  for (const uint32_t index : Indices(static_cast<uint32_t>(Between(1, 30)), 1000)) {
    (Coin() ? offer.reply.self_shares : offer.reply.key_shares)
        .push_back({.index = index, .share = ExactBytes(limits::kSecAggShareBytes)});
  }
  return offer;
}

secagg::Refusal SecAggValues::AnyRefusal() {
  return {AnyInvocationId(), static_cast<secagg::Phase>(Between(0, 4)), Text(200)};
}

secagg::AwaitAsk SecAggValues::AnyAwait() {
  return {AnyInvocationId(), static_cast<secagg::AwaitedPhase>(Between(0, 4)),
          std::chrono::milliseconds(Between(0, 25'000))};
}

}  // namespace muster::testing_codec
