#include "models/package/package.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"

namespace muster {
namespace {

// Names go into paths, messages and other people's shells.
bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-' || c == '@' || c == '+';
}

bool IsPlainSegment(std::string_view segment) {
  if (segment.empty() || segment == "." || segment == "..") return false;
  for (char c : segment) {
    if (!IsNameCharacter(c)) return false;
  }
  return true;
}

bool IsPlainPath(std::string_view path) {
  while (true) {
    const size_t slash = path.find('/');
    if (!IsPlainSegment(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

absl::Status ValidateResource(const Resource& resource) {
  if (resource.name.size() > kMaxResourceNameBytes || !IsPlainPath(resource.name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "package: a resource's name must be a relative path of letters, digits and ._-@+ with at "
        "most ",
        kMaxResourceNameBytes, " bytes and no \"..\""));
  }
  if (resource.digest.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("package: resource ", resource.name, " has no digest"));
  }
  if (resource.size > limits::kMaxBlobBytes) {
    return absl::InvalidArgumentError(absl::StrCat("package: resource ", resource.name, " has ",
                                                   resource.size, " bytes, at most ",
                                                   limits::kMaxBlobBytes, " allowed"));
  }
  return absl::OkStatus();
}

}  // namespace

const Resource* Package::Find(std::string_view resource) const {
  for (const Resource& candidate : resources) {
    if (candidate.name == resource) return &candidate;
  }
  return nullptr;
}

absl::Status ValidatePackage(const Package& package) {
  if (package.name.size() > kMaxPackageNameBytes || !IsPlainSegment(package.name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "package: its name must have 1 to ", kMaxPackageNameBytes, " letters, digits and ._-@+"));
  }
  if (package.resources.empty() || package.resources.size() > limits::kMaxResources) {
    return absl::InvalidArgumentError(absl::StrCat("package: ", package.resources.size(),
                                                   " resources, expected 1 to ",
                                                   limits::kMaxResources));
  }
  std::set<std::string_view> names;
  for (const Resource& resource : package.resources) {
    MUSTER_RETURN_IF_ERROR(ValidateResource(resource));
    if (!names.insert(resource.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("package: resource ", resource.name, " is there twice"));
    }
  }
  return absl::OkStatus();
}

}  // namespace muster
