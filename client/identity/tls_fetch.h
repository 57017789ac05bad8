// The certificate chain that a TLS server presents, before anything is trusted.
#pragma once

#include <chrono>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/transport/host_port.h"
#include "proto/x509/certificate.h"

namespace muster {

// Leaf first. The handshake proves that the server holds the leaf's key; that the leaf is anyone's
// in particular is for the caller to check. Unavailable when nobody answers, DeadlineExceeded when
// it takes longer than `timeout` in all.
absl::StatusOr<std::vector<Certificate>> FetchServerChain(const HostPort& server,
                                                          std::chrono::milliseconds timeout);

}  // namespace muster
