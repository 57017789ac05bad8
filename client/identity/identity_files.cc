#include "client/identity/identity_files.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"
#include "proto/x509/spiffe.h"
#include "proto/x509/trust_bundle.h"

namespace muster {
namespace {

using Json = nlohmann::json;

constexpr char kDeviceKind[] = "device";
constexpr char kGenerationPrefix[] = "trust generation ";

std::string PrintDevice(const DeviceIdentity& identity) {
  return Json{{"id", identity.id.value()}, {"labels", identity.labels}}.dump(2) + "\n";
}

absl::Status ParseDevice(const std::string& text, DeviceIdentity& identity) {
  const absl::Status damaged = absl::DataLossError(
      "expected {\"id\": ..., \"labels\": {...}}; the file is damaged: enrol this device anew");
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("id") || !json["id"].is_string() ||
      !json.contains("labels") || !json["labels"].is_object()) {
    return damaged;
  }
  MUSTER_ASSIGN_OR_RETURN(identity.id, DeviceId::Parse(json["id"].get_ref<std::string&>()));
  for (const auto& [key, value] : json["labels"].items()) {
    if (!value.is_string()) return damaged;
    identity.labels[key] = value.get<std::string>();
  }
  return ValidateLabels(identity.labels);
}

// Only the certificates of a credential file.
absl::StatusOr<std::string> CertificatesOf(const std::string& credential) {
  MUSTER_ASSIGN_OR_RETURN(std::vector<Certificate> chain, Certificate::ChainFromPem(credential));
  std::string pem;
  for (const Certificate& certificate : chain) pem += certificate.ToPem();
  return pem;
}

absl::StatusOr<std::string> Read(const std::filesystem::path& path) {
  absl::StatusOr<std::string> bytes = ReadFile(path, kMaxPemBytes);
  if (absl::IsNotFound(bytes.status())) {
    return absl::DataLossError(
        absl::StrCat(path.string(),
                     " is missing though this device has enrolled; restore it, or remove the "
                     "folder and enrol anew"));
  }
  return bytes;
}

absl::Status ReadAll(const std::filesystem::path& dir, std::string& credential,
                     DeviceIdentity& identity) {
  MUSTER_ASSIGN_OR_RETURN(EcPrivateKey key, EcPrivateKey::FromPem(credential));
  identity.key_pem = key.ToPem();
  MUSTER_ASSIGN_OR_RETURN(identity.certificate_pem, CertificatesOf(credential));
  MUSTER_ASSIGN_OR_RETURN(const std::string trusted, Read(dir / kPinnedCaFile));
  absl::StatusOr<TrustUpdate> trust = ParseTrust(trusted);
  if (!trust.ok()) return Annotate(trust.status(), (dir / kPinnedCaFile).string());
  identity.ca_pem = std::move(trust->ca_pem);
  identity.trust_generation = trust->generation;
  MUSTER_ASSIGN_OR_RETURN(identity.package_key_pem, Read(dir / kPackageKeyFile));
  MUSTER_ASSIGN_OR_RETURN(std::string device, Read(dir / kDeviceFile));
  absl::Status parsed = ParseDevice(device, identity);
  if (!parsed.ok()) return Annotate(parsed, (dir / kDeviceFile).string());
  return CompleteIdentity(identity);
}

}  // namespace

bool DeviceIdentity::DueForRenewal(Timestamp now) const {
  return now >= not_before + (not_after - not_before) * 2 / 3;
}

absl::Status CompleteIdentity(DeviceIdentity& identity) {
  MUSTER_ASSIGN_OR_RETURN(EcPrivateKey key, EcPrivateKey::FromPem(identity.key_pem));
  MUSTER_ASSIGN_OR_RETURN(Certificate leaf, Certificate::FromPem(identity.certificate_pem));
  MUSTER_ASSIGN_OR_RETURN(const TrustBundle trust, TrustBundle::FromPem(identity.ca_pem));
  MUSTER_ASSIGN_OR_RETURN(EcPublicKey certified, leaf.PublicKey());
  if (!(certified == key.PublicKey())) {
    return absl::DataLossError("the certificate was issued for another key than this device's");
  }
  // At the leaf's own time: whether it has expired is asked where the clock is.
  MUSTER_RETURN_IF_ERROR(trust.Verify(leaf, CertificateUse::kClient, leaf.not_before()));
  const std::vector<std::string> uris = leaf.UriNames();
  if (uris.size() != 1) return absl::DataLossError("the certificate must carry one URI name");
  MUSTER_ASSIGN_OR_RETURN(SpiffeId spiffe, SpiffeId::Parse(uris.front()));
  if (spiffe.kind != kDeviceKind) {
    return absl::DataLossError(
        absl::StrCat("the certificate is not a device's but names a ", spiffe.kind));
  }
  if (!identity.id.empty() && identity.id.value() != spiffe.id) {
    return absl::DataLossError(absl::StrCat("the certificate names ", spiffe.id,
                                            ", but this device is ", identity.id.value()));
  }
  MUSTER_ASSIGN_OR_RETURN(identity.id, DeviceId::Parse(spiffe.id));
  absl::StatusOr<EcPublicKey> package_key = EcPublicKey::FromPem(identity.package_key_pem);
  if (!package_key.ok()) return Annotate(package_key.status(), "package verification key");
  identity.not_before = leaf.not_before();
  identity.not_after = leaf.not_after();
  return absl::OkStatus();
}

absl::StatusOr<DeviceIdentity> LoadIdentity(const std::filesystem::path& state_dir) {
  const std::filesystem::path dir = state_dir / kIdentityFolder;
  absl::StatusOr<std::string> credential = ReadFile(dir / kCredentialFile, kMaxPemBytes);
  if (absl::IsNotFound(credential.status())) {
    return absl::NotFoundError(absl::StrCat(
        "this device has not enrolled: there is no ", (dir / kCredentialFile).string(),
        "; run `muster-client enroll --coordinator HOST:PORT --token T --ca-pin sha256:...`"));
  }
  MUSTER_RETURN_IF_ERROR(credential.status());
  DeviceIdentity identity;
  absl::Status status = ReadAll(dir, *credential, identity);
  WipeString(*credential);
  if (!status.ok()) return Annotate(status, absl::StrCat("reading the identity in ", dir.string()));
  return identity;
}

absl::Status ReplaceCredential(const std::filesystem::path& state_dir,
                               const DeviceIdentity& identity) {
  std::string credential = absl::StrCat(identity.key_pem, identity.certificate_pem);
  absl::Status status =
      WriteFileDurably(state_dir / kIdentityFolder / kCredentialFile, credential, kPrivateKeyMode);
  WipeString(credential);
  return status;
}

std::string PrintTrust(const TrustUpdate& trust) {
  return absl::StrCat(kGenerationPrefix, trust.generation, "\n", trust.ca_pem);
}

absl::StatusOr<TrustUpdate> ParseTrust(std::string_view text) {
  TrustUpdate trust{.generation = 1, .ca_pem = std::string(text)};
  if (!text.starts_with(kGenerationPrefix)) return trust;
  const std::string line(text.substr(0, text.find('\n')));
  const bool whole = line.size() < text.size();
  if (!whole || !absl::SimpleAtoi(line.substr(sizeof(kGenerationPrefix) - 1), &trust.generation) ||
      trust.generation == 0 || trust.generation > INT64_MAX) {
    return absl::DataLossError("its first line is damaged: enrol this device anew");
  }
  trust.ca_pem = std::string(text.substr(line.size() + 1));
  return trust;
}

absl::Status SaveTrust(const std::filesystem::path& state_dir, const DeviceIdentity& identity) {
  return WriteFileDurably(state_dir / kIdentityFolder / kPinnedCaFile,
                          PrintTrust({identity.trust_generation, identity.ca_pem}),
                          kPublicFileMode);
}

absl::StatusOr<DeviceIdentity> AdoptTrust(const std::filesystem::path& state_dir,
                                          const DeviceIdentity& identity,
                                          const TrustUpdate& update) {
  if (update.generation <= identity.trust_generation) return identity;
  MUSTER_ASSIGN_OR_RETURN(const TrustBundle trust, TrustBundle::FromPem(update.ca_pem));
  DeviceIdentity adopted = identity;
  adopted.ca_pem = trust.ToPem();
  adopted.trust_generation = update.generation;
  MUSTER_RETURN_IF_ERROR(CompleteIdentity(adopted));
  MUSTER_RETURN_IF_ERROR(SaveTrust(state_dir, adopted));
  return adopted;
}

absl::Status SaveNewIdentity(const std::filesystem::path& state_dir,
                             const DeviceIdentity& identity) {
  const std::filesystem::path dir = state_dir / kIdentityFolder;
  MUSTER_RETURN_IF_ERROR(
      WriteFileDurably(dir / kPackageKeyFile, identity.package_key_pem, kPublicFileMode));
  MUSTER_RETURN_IF_ERROR(SaveTrust(state_dir, identity));
  MUSTER_RETURN_IF_ERROR(
      WriteFileDurably(dir / kDeviceFile, PrintDevice(identity), kPublicFileMode));
  return ReplaceCredential(state_dir, identity);
}

}  // namespace muster
