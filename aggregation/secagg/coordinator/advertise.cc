// Phase 0: adverts, and the roster that they freeze into.
#include <algorithm>
#include <map>

#include "aggregation/secagg/coordinator/coordinator.h"
#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/transcript.h"
#include "aggregation/secagg/x25519.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

// A public key of small order gives an all-zero shared secret with every secret key, because
// X25519's secret keys are multiples of the cofactor (RFC 7748, section 6.1); one known key finds
// it. Neighbours would refuse it only after the roster is frozen.
absl::Status CheckOrder(const Advert& advert) {
  static const X25519Key kProbe = [] {
    std::array<uint8_t, kSecretBytes> secret;
    secret.fill(0x55);
    return X25519Key(secret);
  }();
  const bool usable =
      kProbe.Agree(advert.mask_key).has_value() && kProbe.Agree(advert.sharing_key).has_value();
  if (usable) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat("client '", advert.client.value(),
                                           "' advertises a key of small order, which keeps no "
                                           "secret"));
}

// A key that two clients advertise (as copies of one virtual machine may) would make all their
// neighbours refuse the roster.
absl::Status CheckDistinct(const std::vector<Advert>& adverts) {
  std::map<PublicKeyBytes, const DeviceId*> owners;
  for (const Advert& advert : adverts) {
    for (const PublicKeyBytes& key : {advert.mask_key, advert.sharing_key}) {
      const auto [at, fresh] = owners.emplace(key, &advert.client);
      if (!fresh) {
        return absl::InvalidArgumentError(StrCat("clients '", at->second->value(), "' and '",
                                                 advert.client.value(),
                                                 "' advertise the same key: each key must be "
                                                 "fresh"));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckAdvert(const Params& params, const DeviceId& caller, const Advert& advert,
                         const Notary& notary) {
  if (advert.client != caller) {
    return absl::UnauthenticatedError(StrCat(
        "client '", caller.value(), "' sent the advert of client '", advert.client.value(), "'"));
  }
  if (advert.mask_key == advert.sharing_key) {
    return absl::InvalidArgumentError(
        StrCat("client '", caller.value(),
               "' advertises one key for masks and for shares; they must differ"));
  }
  MUSTER_RETURN_IF_ERROR(CheckOrder(advert));
  return Annotate(
      notary.Verify(caller, advert.certificate,
                    AdvertStatement(PreSessionId(params), params, advert), advert.signature),
      StrCat("the advert of client '", caller.value(), "'"));
}

absl::StatusOr<Roster> FreezeRoster(const Params& params, std::vector<Advert> adverts) {
  MUSTER_RETURN_IF_ERROR(CheckParams(params));
  if (adverts.size() < params.min_clients) {
    return absl::FailedPreconditionError(StrCat(adverts.size(), " clients advertised, but the ",
                                                "session needs at least ", params.min_clients));
  }
  if (adverts.size() > params.max_clients) {
    return absl::FailedPreconditionError(StrCat(adverts.size(), " clients advertised, but the ",
                                                "session takes at most ", params.max_clients));
  }
  std::sort(adverts.begin(), adverts.end(),
            [](const Advert& a, const Advert& b) { return a.client < b.client; });
  for (size_t i = 1; i < adverts.size(); ++i) {
    if (adverts[i].client == adverts[i - 1].client) {
      return absl::InvalidArgumentError(
          StrCat("client '", adverts[i].client.value(), "' is in the roster twice"));
    }
  }
  MUSTER_RETURN_IF_ERROR(CheckDistinct(adverts));
  MUSTER_ASSIGN_OR_RETURN(const GraphPlan plan,
                          PlanGraph(AssumptionsOf(params, static_cast<uint32_t>(adverts.size()))));
  return Roster(params, std::move(adverts), plan);
}

}  // namespace muster::secagg
