#include "models/package/statement.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/package/base64.h"
#include "models/package/strict_json.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using strict_json::ExpectString;
using strict_json::Json;
using strict_json::Member;
using strict_json::StringMember;
using Type = Json::value_t;

// Over the resources' digests in order, as raw bytes.
Digest RootDigest(const std::vector<Resource>& resources) {
  Sha256Hasher hasher;
  for (const Resource& resource : resources) hasher.Update(resource.digest.bytes());
  return hasher.Finish();
}

absl::StatusOr<std::string> Base64Member(const Json& object, const char* name) {
  MUSTER_ASSIGN_OR_RETURN(std::string text, StringMember(object, name));
  absl::StatusOr<std::string> bytes = DecodeBase64(text);
  if (!bytes.ok()) return Annotate(bytes.status(), absl::StrCat("package: member \"", name, "\""));
  return bytes;
}

absl::StatusOr<Digest> DigestMember(const Json& object, const char* name) {
  MUSTER_ASSIGN_OR_RETURN(std::string hex, StringMember(object, name));
  absl::StatusOr<Digest> digest = Digest::FromHex(hex);
  if (!digest.ok()) {
    return Annotate(digest.status(), absl::StrCat("package: member \"", name, "\""));
  }
  return digest;
}

absl::StatusOr<const Json*> OnlyElement(const Json& object, const char* name) {
  MUSTER_ASSIGN_OR_RETURN(const Json* array, Member(object, name, Type::array));
  if (array->size() == 1 && array->front().is_object()) return &array->front();
  return absl::InvalidArgumentError(
      absl::StrCat("package: member \"", name, "\" must hold exactly one object"));
}

// How files became resources. Anything but whole files under SHA-256 would give the digests another
// meaning.
absl::Status CheckSerialization(const Json& predicate) {
  MUSTER_ASSIGN_OR_RETURN(const Json* serialization,
                          Member(predicate, "serialization", Type::object));
  MUSTER_RETURN_IF_ERROR(ExpectString(*serialization, "method", "files"));
  return ExpectString(*serialization, "hash_type", "sha256");
}

absl::StatusOr<std::vector<Resource>> ParseResources(const Json& predicate) {
  MUSTER_ASSIGN_OR_RETURN(const Json* array, Member(predicate, "resources", Type::array));
  if (array->size() > limits::kMaxResources) {
    return absl::InvalidArgumentError(absl::StrCat(
        "package: ", array->size(), " resources, at most ", limits::kMaxResources, " allowed"));
  }
  std::vector<Resource> resources;
  for (const Json& element : *array) {
    if (!element.is_object()) {
      return absl::InvalidArgumentError("package: each resource must be an object");
    }
    Resource resource;
    MUSTER_ASSIGN_OR_RETURN(resource.name, StringMember(element, "name"));
    MUSTER_RETURN_IF_ERROR(ExpectString(element, "algorithm", "sha256"));
    MUSTER_ASSIGN_OR_RETURN(resource.digest, DigestMember(element, "digest"));
    MUSTER_ASSIGN_OR_RETURN(resource.size, strict_json::SizeMember(element, "size"));
    resources.push_back(std::move(resource));
  }
  return resources;
}

}  // namespace

bool ResourcePathLess(std::string_view a, std::string_view b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    auto rank = [](char c) { return c == '/' ? 0 : static_cast<unsigned char>(c); };
    return rank(x) < rank(y);
  });
}

std::string PreAuthEncoding(std::string_view payload) {
  return absl::StrCat("DSSEv1 ", sizeof(kPayloadType) - 1, " ", kPayloadType, " ", payload.size(),
                      " ", absl::string_view(payload.data(), payload.size()));
}

std::string PrintBundle(const Bundle& bundle) {
  Json signature = {{"sig", EncodeBase64(bundle.signature)}, {"keyid", ""}};
  Json json;
  json["mediaType"] = kBundleMediaType;
  json["verificationMaterial"]["publicKey"]["hint"] = bundle.key_hint;
  json["verificationMaterial"]["tlogEntries"] = Json::array();
  json["dsseEnvelope"]["payload"] = EncodeBase64(bundle.payload);
  json["dsseEnvelope"]["payloadType"] = kPayloadType;
  json["dsseEnvelope"]["signatures"] = Json::array({signature});
  return json.dump();
}

absl::StatusOr<Bundle> ParseBundle(std::string_view text) {
  if (text.size() > kMaxPackageBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("package: ", text.size(), " bytes, at most ", kMaxPackageBytes, " allowed"));
  }
  MUSTER_ASSIGN_OR_RETURN(Json json, strict_json::Parse("the bundle", text, kMaxJsonDepth));
  MUSTER_RETURN_IF_ERROR(ExpectString(json, "mediaType", kBundleMediaType));
  MUSTER_ASSIGN_OR_RETURN(const Json* material, Member(json, "verificationMaterial", Type::object));
  MUSTER_ASSIGN_OR_RETURN(const Json* key, Member(*material, "publicKey", Type::object));
  MUSTER_ASSIGN_OR_RETURN(const Json* envelope, Member(json, "dsseEnvelope", Type::object));
  MUSTER_RETURN_IF_ERROR(ExpectString(*envelope, "payloadType", kPayloadType));
  MUSTER_ASSIGN_OR_RETURN(const Json* signature, OnlyElement(*envelope, "signatures"));
  Bundle bundle;
  MUSTER_ASSIGN_OR_RETURN(bundle.key_hint, StringMember(*key, "hint"));
  MUSTER_ASSIGN_OR_RETURN(bundle.payload, Base64Member(*envelope, "payload"));
  MUSTER_ASSIGN_OR_RETURN(bundle.signature, Base64Member(*signature, "sig"));
  return bundle;
}

std::string PrintStatement(const Package& package) {
  Json resources = Json::array();
  for (const Resource& resource : package.resources) {
    resources.push_back({{"name", resource.name},
                         {"algorithm", "sha256"},
                         {"digest", resource.digest.hex()},
                         {"size", resource.size}});
  }
  Json subject = {{"name", package.name},
                  {"digest", {{"sha256", RootDigest(package.resources).hex()}}}};
  Json json;
  json["_type"] = kStatementType;
  json["subject"] = Json::array({subject});
  json["predicateType"] = kPredicateType;
  json["predicate"]["serialization"] = {{"method", "files"},
                                        {"hash_type", "sha256"},
                                        {"allow_symlinks", false},
                                        {"ignore_paths", Json::array()}};
  json["predicate"]["resources"] = std::move(resources);
  return json.dump();
}

absl::StatusOr<Package> ParseStatement(std::string_view text) {
  MUSTER_ASSIGN_OR_RETURN(Json json, strict_json::Parse("the statement", text, kMaxJsonDepth));
  MUSTER_RETURN_IF_ERROR(ExpectString(json, "_type", kStatementType));
  MUSTER_RETURN_IF_ERROR(ExpectString(json, "predicateType", kPredicateType));
  MUSTER_ASSIGN_OR_RETURN(const Json* subject, OnlyElement(json, "subject"));
  MUSTER_ASSIGN_OR_RETURN(const Json* root, Member(*subject, "digest", Type::object));
  MUSTER_ASSIGN_OR_RETURN(const Json* predicate, Member(json, "predicate", Type::object));
  MUSTER_RETURN_IF_ERROR(CheckSerialization(*predicate));
  Package package;
  MUSTER_ASSIGN_OR_RETURN(package.name, StringMember(*subject, "name"));
  MUSTER_ASSIGN_OR_RETURN(Digest expected, DigestMember(*root, "sha256"));
  MUSTER_ASSIGN_OR_RETURN(package.resources, ParseResources(*predicate));
  MUSTER_RETURN_IF_ERROR(ValidatePackage(package));
  const bool sorted = std::is_sorted(
      package.resources.begin(), package.resources.end(),
      [](const Resource& a, const Resource& b) { return ResourcePathLess(a.name, b.name); });
  if (!sorted) return absl::InvalidArgumentError("package: its resources are not in path order");
  if (RootDigest(package.resources) != expected) {
    return absl::InvalidArgumentError(
        "package: the subject's digest is not that of the resources listed");
  }
  return package;
}

}  // namespace muster
