#include "proto/x509/device_certificates.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/core/status.h"

namespace muster {
namespace {

constexpr char kDeviceKind[] = "device";

absl::Status Refused(const DeviceId& device, const absl::Status& why) {
  return absl::UnauthenticatedError(absl::StrCat("client '", device.value(), "': ", why.message()));
}

}  // namespace

absl::StatusOr<SpiffeId> DeviceNameOf(const Certificate& leaf) {
  if (leaf.IsCa()) return absl::UnauthenticatedError("the certificate is a CA's, not a device's");
  const std::vector<std::string> uris = leaf.UriNames();
  if (uris.size() != 1) {
    return absl::UnauthenticatedError(
        absl::StrCat("the certificate carries ", uris.size(), " URI names, not one"));
  }
  absl::StatusOr<SpiffeId> name = SpiffeId::Parse(uris.front());
  if (!name.ok() || name->kind != kDeviceKind || name->tenant != kDefaultTenant) {
    return absl::UnauthenticatedError(
        absl::StrCat("the certificate is not a device's: ", uris.front()));
  }
  return name;
}

absl::StatusOr<EcPublicKey> DeviceCertificates::KeyOf(const DeviceId& device, std::string_view der,
                                                      Timestamp now) const {
  const Digest fingerprint = Sha256(der);
  {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(fingerprint);
    if (found != known_.end()) {
      const Known& known = *found->second;
      if (known.device == device && known.not_before <= now && now <= known.not_after) {
        order_.splice(order_.begin(), order_, found->second);
        return known.key;
      }
    }
  }
  MUSTER_ASSIGN_OR_RETURN(Known checked, Check(device, der, now));
  checked.fingerprint = fingerprint;
  EcPublicKey key = checked.key;
  const std::lock_guard lock(mutex_);
  if (capacity_ == 0 || known_.contains(fingerprint)) return key;
  if (known_.size() == capacity_) {
    known_.erase(order_.back().fingerprint);
    order_.pop_back();
  }
  order_.push_front(std::move(checked));
  known_.emplace(fingerprint, order_.begin());
  return key;
}

absl::StatusOr<DeviceCertificates::Known> DeviceCertificates::Check(const DeviceId& device,
                                                                    std::string_view der,
                                                                    Timestamp now) const {
  const absl::StatusOr<Certificate> leaf = Certificate::FromDer(der);
  if (!leaf.ok()) return Refused(device, leaf.status());
  const absl::Status issued = trust_.Verify(*leaf, CertificateUse::kClient, now);
  if (!issued.ok()) return Refused(device, issued);
  const Certificate* ca = trust_.IssuerOf(*leaf);
  if (ca == nullptr) return Refused(device, absl::UnauthenticatedError("no CA issued it"));
  const absl::StatusOr<SpiffeId> name = DeviceNameOf(*leaf);
  if (!name.ok()) return Refused(device, name.status());
  if (name->id != device.value() || name->trust_domain != trust_domain_) {
    return Refused(device, absl::UnauthenticatedError(
                               absl::StrCat("its certificate stands for ", name->ToUri())));
  }
  absl::StatusOr<EcPublicKey> key = leaf->PublicKey();
  if (!key.ok()) return Refused(device, key.status());
  return Known{.fingerprint = {},
               .device = device,
               .key = *std::move(key),
               .not_before = std::max(leaf->not_before(), ca->not_before()),
               .not_after = std::min(leaf->not_after(), ca->not_after())};
}

}  // namespace muster
