// The keys of devices whose certificates a trusted CA vouches for. Each certificate is checked once
// and then remembered: in secure aggregation the same few sign message after message, and to read
// one costs OpenSSL more than to check several signatures.
#pragma once

#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "proto/core/digest.h"
#include "proto/core/ids.h"
#include "proto/core/time.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"
#include "proto/x509/spiffe.h"
#include "proto/x509/trust_bundle.h"

namespace muster {

// Whom the leaf stands for: the SPIFFE ID of a device. Unauthenticated if it is a CA certificate,
// carries not exactly one URI name, or names no device.
absl::StatusOr<SpiffeId> DeviceNameOf(const Certificate& leaf);

// Thread-safe.
class DeviceCertificates {
 public:
  // Remembers up to `capacity` certificates, a few kilobytes each: those that were asked for last.
  DeviceCertificates(TrustBundle trust, std::string trust_domain, size_t capacity)
      : trust_(std::move(trust)), trust_domain_(std::move(trust_domain)), capacity_(capacity) {}

  // The key in `der` (a certificate), if it is `device`'s under one of the CAs at the time `now`;
  // Unauthenticated with the reason otherwise.
  absl::StatusOr<EcPublicKey> KeyOf(const DeviceId& device, std::string_view der,
                                    Timestamp now) const;

 private:
  struct Known {
    Digest fingerprint;
    DeviceId device;
    EcPublicKey key;
    Timestamp not_before, not_after;  // both the certificate's and its CA's
  };
  using Order = std::list<Known>;  // asked for last comes first

  absl::StatusOr<Known> Check(const DeviceId& device, std::string_view der, Timestamp now) const;

  const TrustBundle trust_;
  const std::string trust_domain_;
  const size_t capacity_;
  mutable std::mutex mutex_;
  mutable Order order_;
  mutable std::map<Digest, Order::iterator> known_;
};

}  // namespace muster
