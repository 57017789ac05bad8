#include "coordinator/cli/package_listing.h"

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/escaping.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

constexpr size_t kMaxKeyBytes = 64u << 10;

absl::StatusOr<Package> ReadUnverified(std::string_view bytes) {
  const absl::Status wrong = absl::DataLossError("the package is not in the format of a package");
  if (bytes.size() > kMaxPackageBytes) return wrong;
  try {
    const auto bundle = nlohmann::json::parse(bytes);
    const std::string encoded = bundle.at("dsseEnvelope").at("payload").get<std::string>();
    std::string payload;
    if (!absl::Base64Unescape(encoded, &payload)) return wrong;
    const auto statement = nlohmann::json::parse(payload);
    Package package{.name = statement.at("subject").at(0).at("name").get<std::string>()};
    for (const auto& listed : statement.at("predicate").at("resources")) {
      MUSTER_ASSIGN_OR_RETURN(const Digest digest,
                              Digest::FromHex(listed.at("digest").get<std::string>()));
      package.resources.push_back(
          {listed.at("name").get<std::string>(), digest, listed.value("size", uint64_t{0})});
    }
    MUSTER_RETURN_IF_ERROR(ValidatePackage(package));
    return package;
  } catch (const nlohmann::json::exception&) {
    return wrong;
  }
}

}  // namespace

absl::StatusOr<Package> ReadPackage(std::string_view bytes, const std::filesystem::path& key_file) {
  if (key_file.empty()) return ReadUnverified(bytes);
  auto pem = ReadFile(key_file, kMaxKeyBytes);
  if (!pem.ok()) return Annotate(pem.status(), "--package-key");
  MUSTER_ASSIGN_OR_RETURN(const PackageVerifier verifier, PackageVerifier::FromPublicKeyPem(*pem));
  auto package = verifier.Verify(bytes);
  if (absl::IsUnauthenticated(package.status())) {  // not about the caller's own credential
    return absl::DataLossError(std::string(package.status().message()));
  }
  return package;
}

}  // namespace muster::cli
