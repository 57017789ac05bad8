// Who this device is: a key that was made here and never leaves, and the short-lived certificate
// that the coordinator issued for it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "proto/core/device_messages.h"
#include "proto/core/ids.h"
#include "proto/core/labels.h"
#include "proto/core/time.h"

namespace muster {

struct DeviceIdentity {
  DeviceId id;
  std::string key_pem;          // secret
  std::string certificate_pem;  // leaf, then CA
  std::string ca_pem;           // the CAs that are trusted: the pinned one, and what it announced
  std::string package_key_pem;  // public key that packages must be signed with
  Timestamp not_before, not_after;
  Labels labels;
  uint64_t trust_generation = 1;  // of ca_pem

  bool DueForRenewal(Timestamp now) const;  // from two thirds of the lifetime
  bool Expired(Timestamp now) const { return now >= not_after; }
};

// From <state_dir>/identity. NotFound when the device has not enrolled; an expired identity loads,
// and says so by Expired.
absl::StatusOr<DeviceIdentity> LoadIdentity(const std::filesystem::path& state_dir);

struct EnrolOptions {
  std::filesystem::path state_dir;
  std::string coordinator;     // HOST:PORT
  std::string token;           // secret: "mjt_..."
  std::string ca_pin;          // "sha256:<hex>"
  std::string requested_name;  // optional device id
  Labels labels;
};

// First contact. Fetches the coordinator's chain over TLS, recognises the CA by its pin, then
// enrols over server-authenticated TLS. AlreadyExists if a live identity is here; Unauthenticated
// if the pin or the coordinator's certificate is wrong; else what the coordinator answers.
absl::StatusOr<DeviceIdentity> EnrolDevice(const EnrolOptions& options);

// What the coordinator says, over mTLS, that is to be trusted from now on: durable when it returns.
// An older generation changes nothing. InvalidArgument for what are no CAs; Unauthenticated if the
// device's own certificate would not stand under any of them.
absl::StatusOr<DeviceIdentity> AdoptTrust(const std::filesystem::path& state_dir,
                                          const DeviceIdentity& identity,
                                          const TrustUpdate& update);

// A new key and certificate for the same id, over mTLS with the present ones. The old credential
// stays in place until the new one is durable; on any error it goes on being used.
absl::StatusOr<DeviceIdentity> RenewIdentity(const std::filesystem::path& state_dir,
                                             const std::string& coordinator);

}  // namespace muster
