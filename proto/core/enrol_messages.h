// What a device and the coordinator tell each other about identity, as validated values.
#pragma once

#include <cstdint>
#include <string>

#include "proto/core/ids.h"
#include "proto/core/labels.h"

namespace muster {

struct Enrolment {
  std::string token;  // a secret: never logged, never part of an error
  std::string csr_der;
  DeviceId requested_name;  // empty: the coordinator chooses
  Labels labels;
  friend bool operator==(const Enrolment&, const Enrolment&) = default;
};

struct EnrolmentGrant {
  DeviceId device;
  std::string certificate_pem;  // leaf, then the CA
  std::string ca_pem;           // every CA that is trusted
  std::string package_key_pem;
  Labels labels;
  uint64_t trust_generation = 0;  // of ca_pem
  friend bool operator==(const EnrolmentGrant&, const EnrolmentGrant&) = default;
};

struct Renewal {
  std::string csr_der;
  friend bool operator==(const Renewal&, const Renewal&) = default;
};

struct RenewalGrant {
  std::string certificate_pem;
  std::string ca_pem;  // every CA that is trusted
  uint64_t trust_generation = 0;
  friend bool operator==(const RenewalGrant&, const RenewalGrant&) = default;
};

}  // namespace muster
