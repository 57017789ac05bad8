// interop_sign_folder sign FOLDER KEY PUBLIC_KEY SIGNATURE: makes KEY, signs FOLDER's files as a
// package. interop_sign_folder verify FOLDER PUBLIC_KEY SIGNATURE: verifies one, and the files'
// digests.
#include <cstdio>
#include <filesystem>
#include <string>

#include "models/package/package.h"
#include "proto/core/files.h"
#include "proto/core/status.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

absl::Status Sign(const fs::path& folder, const fs::path& key, const fs::path& public_key,
                  const fs::path& signature) {
  Package package{folder.filename().string(), {}};
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    MUSTER_ASSIGN_OR_RETURN(Digest digest, Sha256File(entry.path()));
    package.resources.push_back(
        {fs::relative(entry.path(), folder).string(), digest, entry.file_size()});
  }
  MUSTER_RETURN_IF_ERROR(PackageSigner::Create(key));
  MUSTER_ASSIGN_OR_RETURN(PackageSigner signer, PackageSigner::Open(key));
  MUSTER_ASSIGN_OR_RETURN(std::string bytes, signer.Sign(package));
  MUSTER_RETURN_IF_ERROR(WriteFileDurably(public_key, signer.public_key_pem()));
  return WriteFileDurably(signature, bytes);
}

absl::Status Verify(const fs::path& folder, const fs::path& public_key, const fs::path& signature) {
  MUSTER_ASSIGN_OR_RETURN(std::string pem, ReadFile(public_key, kMaxPemBytes));
  MUSTER_ASSIGN_OR_RETURN(PackageVerifier verifier, PackageVerifier::FromPublicKeyPem(pem));
  MUSTER_ASSIGN_OR_RETURN(std::string bytes, ReadFile(signature, kMaxPackageBytes));
  MUSTER_ASSIGN_OR_RETURN(Package package, verifier.Verify(bytes));
  for (const Resource& resource : package.resources) {
    MUSTER_ASSIGN_OR_RETURN(Digest digest, Sha256File(folder / resource.name));
    if (digest != resource.digest) return absl::DataLossError(resource.name + " differs");
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  absl::Status status = absl::InvalidArgumentError("usage: see the head of sign_folder.cc");
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "sign" && argc == 6) status = muster::Sign(argv[2], argv[3], argv[4], argv[5]);
  if (verb == "verify" && argc == 5) status = muster::Verify(argv[2], argv[3], argv[4]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
