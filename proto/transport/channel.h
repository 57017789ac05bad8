// mTLS channels to a coordinator. Every channel has the same retry policy, message limit and
// keepalive, and asks for the name muster-coordinator whatever address it dials: the private CA is
// the trust, not DNS.
#pragma once

#include <grpc/grpc_security.h>
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

// That one stream may have on its way: what a window of this size costs in memory it gives in
// speed, 10 MB/s over a line of 100 ms.
inline constexpr int kStreamWindowBytes = 1 << 20;

// A credential folder, as `muster-coordinator init` and `muster-coordinator credential` write it.
inline constexpr char kCaFile[] = "ca.pem";
inline constexpr char kCertificateFile[] = "cert.pem";
inline constexpr char kKeyFile[] = "key.pem";

// PEM; `ca_pem` is one or more CAs. Certificate and key are both empty for a caller that has no
// identity yet.
struct TlsMaterial {
  std::string ca_pem, certificate_pem, key_pem;
};

// Reads a credential folder; NotFound says how to make one.
absl::StatusOr<TlsMaterial> LoadTlsMaterial(const std::filesystem::path& dir);
// key.pem is readable by the owner alone. The folder is made if it is missing.
absl::Status SaveTlsMaterial(const std::filesystem::path& dir, const TlsMaterial& material);
// Another certificate for the key that is there, and the CAs that issued it and the present one.
absl::Status RenewTlsMaterial(const std::filesystem::path& dir, const std::string& ca_pem,
                              const std::string& certificate_pem);

// TLS sessions of ONE credential (RFC 8446, 2.2): a connection that resumes one spares both sides
// the certificates and their signatures. Whoever resumes is, to the coordinator, who began the
// session: never share them between credentials, and drop them when a certificate is renewed.
// Copies share one cache. Thread-safe.
class TlsSessions {
 public:
  TlsSessions();

 private:
  friend absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const std::string& address,
                                                                const TlsMaterial& material,
                                                                const TlsSessions& sessions);
  std::shared_ptr<grpc_ssl_session_cache> cache_;
};

// `address` is HOST:PORT, or several replicas' as HostPort::ParseList takes them: the channel stays
// with one while it answers, and callers spread over all. InvalidArgument for a bad address or PEM,
// Unauthenticated when the certificate has expired. Connects lazily: no coordinator needs to be
// there yet. A channel resumes the sessions of its own earlier connections, or those of `sessions`.
absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const std::string& address,
                                                       const TlsMaterial& material,
                                                       const TlsSessions& sessions = {});

}  // namespace muster
