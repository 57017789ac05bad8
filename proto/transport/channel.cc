#include "proto/transport/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/random.h"
#include "proto/core/status.h"
#include "proto/transport/host_port.h"
#include "proto/transport/tls_groups.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"
#include "proto/x509/trust_bundle.h"

namespace muster {
namespace {

// gRPC retries a call that never reached the server's code, with jitter of its own.
constexpr char kServiceConfig[] = R"({"methodConfig": [{
  "name": [{}],
  "retryPolicy": {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"]
  }
}]})";

// One name is asked for, so that one session is ever looked up.
constexpr size_t kSessionsKept = 1;

int Milliseconds(std::chrono::milliseconds value) { return static_cast<int>(value.count()); }

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride(kCoordinatorName);
  arguments.SetServiceConfigJSON(kServiceConfig);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 1);
  arguments.SetMaxReceiveMessageSize(static_cast<int>(limits::kMaxMessageBytes));
  arguments.SetMaxSendMessageSize(static_cast<int>(limits::kMaxMessageBytes));
  // The automatic window asks for a ping with each message, which costs the coordinator as much as
  // the message: a fixed one instead.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(kKeepaliveTime));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(kKeepaliveTimeout));
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, Milliseconds(kReconnectBackoffMin));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, Milliseconds(kReconnectBackoffMax));
  return arguments;
}

// gRPC answers bad PEM with a channel that fails each call without a reason: say it here instead.
absl::Status CheckMaterial(const TlsMaterial& material) {
  absl::StatusOr<TrustBundle> trust = TrustBundle::FromPem(material.ca_pem);
  if (!trust.ok()) return Annotate(trust.status(), "CA certificate");
  if (material.certificate_pem.empty() && material.key_pem.empty()) return absl::OkStatus();
  absl::StatusOr<Certificate> leaf = Certificate::FromPem(material.certificate_pem);
  if (!leaf.ok()) return Annotate(leaf.status(), "own certificate");
  MUSTER_ASSIGN_OR_RETURN(EcPrivateKey key, EcPrivateKey::FromPem(material.key_pem));
  MUSTER_ASSIGN_OR_RETURN(EcPublicKey certified, leaf->PublicKey());
  if (!(certified == key.PublicKey())) {
    return absl::InvalidArgumentError(
        "the private key is not the one that the certificate was issued for; the files come from "
        "two different credentials");
  }
  absl::Status valid = trust->Verify(*leaf, CertificateUse::kClient, SystemClock().Now());
  return valid.ok() ? valid : Annotate(valid, "own certificate");
}

// One address by its name or number; several as gRPC's list of addresses, in an order of chance,
// because gRPC tries them in order and a fleet must not all begin with the same.
std::string TargetOf(std::vector<HostPort> addresses) {
  if (addresses.size() == 1) return addresses.front().ToString();
  SystemRandom random;
  for (size_t i = addresses.size(); i > 1; --i) {
    std::swap(addresses[i - 1], addresses[random.Below(i)]);
  }
  const bool ipv6 = addresses.front().host.find(':') != std::string::npos;
  return absl::StrCat(ipv6 ? "ipv6:" : "ipv4:",
                      absl::StrJoin(addresses, ",", [](std::string* out, const HostPort& address) {
                        absl::StrAppend(out, address.ToString());
                      }));
}

absl::StatusOr<std::string> ReadPem(const std::filesystem::path& path) {
  absl::StatusOr<std::string> pem = ReadFile(path, kMaxPemBytes);
  if (absl::IsNotFound(pem.status())) {
    return absl::NotFoundError(
        absl::StrCat(path.string(), " is missing; a credential folder holds ", kCaFile, ", ",
                     kCertificateFile, " and ", kKeyFile,
                     ": `muster-coordinator init` makes the first operator's, and "
                     "`muster-coordinator credential` makes more"));
  }
  return pem;
}

}  // namespace

absl::StatusOr<TlsMaterial> LoadTlsMaterial(const std::filesystem::path& dir) {
  TlsMaterial material;
  MUSTER_ASSIGN_OR_RETURN(material.ca_pem, ReadPem(dir / kCaFile));
  MUSTER_ASSIGN_OR_RETURN(material.certificate_pem, ReadPem(dir / kCertificateFile));
  MUSTER_ASSIGN_OR_RETURN(material.key_pem, ReadPem(dir / kKeyFile));
  return material;
}

absl::Status SaveTlsMaterial(const std::filesystem::path& dir, const TlsMaterial& material) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) return ErrnoStatus(error.value(), "making the credential folder", dir);
  MUSTER_RETURN_IF_ERROR(WriteFileDurably(dir / kKeyFile, material.key_pem, kPrivateKeyMode));
  MUSTER_RETURN_IF_ERROR(
      WriteFileDurably(dir / kCertificateFile, material.certificate_pem, kPublicFileMode));
  return WriteFileDurably(dir / kCaFile, material.ca_pem, kPublicFileMode);
}

absl::Status RenewTlsMaterial(const std::filesystem::path& dir, const std::string& ca_pem,
                              const std::string& certificate_pem) {
  // In this order: the present certificate is of one of the CAs too.
  MUSTER_RETURN_IF_ERROR(WriteFileDurably(dir / kCaFile, ca_pem, kPublicFileMode));
  return WriteFileDurably(dir / kCertificateFile, certificate_pem, kPublicFileMode);
}

TlsSessions::TlsSessions()
    : cache_(grpc_ssl_session_cache_create_lru(kSessionsKept), grpc_ssl_session_cache_destroy) {}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const std::string& address,
                                                       const TlsMaterial& material,
                                                       const TlsSessions& sessions) {
  MUSTER_ASSIGN_OR_RETURN(std::vector<HostPort> addresses, HostPort::ParseList(address));
  MUSTER_RETURN_IF_ERROR(CheckMaterial(material));
  OfferTlsGroups();
  grpc::SslCredentialsOptions options{material.ca_pem, material.key_pem, material.certificate_pem};
  grpc::ChannelArguments arguments = Arguments();
  const grpc_arg cache = grpc_ssl_session_cache_create_channel_arg(sessions.cache_.get());
  arguments.SetPointerWithVtable(cache.key, cache.value.pointer.p, cache.value.pointer.vtable);
  return grpc::CreateCustomChannel(TargetOf(std::move(addresses)), grpc::SslCredentials(options),
                                   arguments);
}

}  // namespace muster
