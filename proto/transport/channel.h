// mTLS channels to a coordinator. Every channel has the same retry policy, message limit and
// keepalive, and asks for the name muster-coordinator whatever address it dials: the private CA is
// the trust, not DNS.
#pragma once

#include <grpcpp/channel.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

// Pings only while a call is open and silent for this long; servers must permit it.
inline constexpr std::chrono::seconds kKeepaliveTime{30};
inline constexpr std::chrono::seconds kKeepaliveTimeout{10};
inline constexpr std::chrono::milliseconds kReconnectBackoffMin{100};
inline constexpr std::chrono::milliseconds kReconnectBackoffMax{5000};

// A credential folder, as `muster-coordinator init` and `muster-coordinator credential` write it.
inline constexpr char kCaFile[] = "ca.pem";
inline constexpr char kCertificateFile[] = "cert.pem";
inline constexpr char kKeyFile[] = "key.pem";

// PEM. Certificate and key are both empty for a caller that has no identity yet.
struct TlsMaterial {
  std::string ca_pem, certificate_pem, key_pem;
};

// Reads a credential folder; NotFound says how to make one.
absl::StatusOr<TlsMaterial> LoadTlsMaterial(const std::filesystem::path& dir);
// key.pem is readable by the owner alone. The folder is made if it is missing.
absl::Status SaveTlsMaterial(const std::filesystem::path& dir, const TlsMaterial& material);

// `address` is HOST:PORT, or several replicas' as HostPort::ParseList takes them: the channel stays
// with one while it answers, and callers spread over all. InvalidArgument for a bad address or PEM,
// Unauthenticated when the certificate has expired. Connects lazily: no coordinator needs to be
// there yet.
absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const std::string& address,
                                                       const TlsMaterial& material);

}  // namespace muster
