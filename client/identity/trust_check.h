// Why a coordinator that can be reached refuses, or is refused, before a word is said.
#pragma once

#include <chrono>
#include <string>

#include "client/identity/device_identity.h"

namespace muster {

// Looks at the certificate that the first replica which answers shows. What is wrong between its CA
// and this device's, and what to do; empty if nothing is, or if nobody answers.
std::string ExplainTrust(const std::string& coordinator, const DeviceIdentity& identity,
                         Timestamp now, std::chrono::milliseconds timeout);

}  // namespace muster
