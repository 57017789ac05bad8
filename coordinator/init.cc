#include "coordinator/init.h"

#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/blobs/staging.h"
#include "coordinator/identity/authority.h"
#include "coordinator/serve.h"
#include "coordinator/store/open_store.h"
#include "models/package/package.h"
#include "proto/core/ids.h"
#include "proto/core/random.h"
#include "proto/core/status.h"
#include "proto/transport/channel.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"

namespace muster {

absl::StatusOr<std::string> InitCoordinator(const std::filesystem::path& state_dir,
                                            const std::string& trust_domain,
                                            const std::string& store_url) {
  MUSTER_RETURN_IF_ERROR(CheckStoreUrl(store_url));
  SystemClock clock;
  SystemRandom random;
  MUSTER_RETURN_IF_ERROR(
      CertificateAuthority::Create(state_dir / kIdentityFolder, random, clock.Now(), trust_domain));
  MUSTER_RETURN_IF_ERROR(PackageSigner::Create(state_dir / kPackageKeyFile));
  // What the first start would have to make durable before it could answer.
  MUSTER_RETURN_IF_ERROR(OpenStore(store_url, state_dir).status());
  MUSTER_RETURN_IF_ERROR(OpenDirectoryBlobs(state_dir / kBlobFolder).status());
  MUSTER_RETURN_IF_ERROR(AtRestKeys::Create(state_dir / kAtRestKeyFile, random));
  MUSTER_ASSIGN_OR_RETURN(const auto keys, AtRestKeys::Open(state_dir / kAtRestKeyFile));
  MUSTER_RETURN_IF_ERROR(StagingArea::OpenSealed(state_dir / kStagingFolder, keys).status());
  return ReadCaPin(state_dir);
}

absl::Status IssueCredential(const std::filesystem::path& state_dir, Role role,
                             const std::string& name, const std::filesystem::path& out,
                             Duration lifetime) {
  MUSTER_RETURN_IF_ERROR(ValidateId("credential name", name));
  std::error_code error;
  if (std::filesystem::exists(out / kKeyFile, error)) {
    return absl::AlreadyExistsError("a credential is in " + out.string() +
                                    " already; choose another folder with --out");
  }
  MUSTER_ASSIGN_OR_RETURN(const CertificateAuthority authority,
                          CertificateAuthority::Open(state_dir / kIdentityFolder));
  MUSTER_ASSIGN_OR_RETURN(const EcPrivateKey key, EcPrivateKey::Generate());
  MUSTER_ASSIGN_OR_RETURN(const std::string request, MakeCertificateRequest(key));
  SystemClock clock;
  MUSTER_ASSIGN_OR_RETURN(const IssuedCertificate issued,
                          authority.SignCsr(request, role, name, lifetime, clock.Now()));
  TlsMaterial material{.ca_pem = authority.trust().ToPem(),
                       .certificate_pem = issued.certificate_pem,
                       .key_pem = key.ToPem()};
  absl::Status saved = SaveTlsMaterial(out, material);
  WipeString(material.key_pem);
  return saved;
}

absl::StatusOr<std::string> ReadCaPin(const std::filesystem::path& state_dir) {
  MUSTER_ASSIGN_OR_RETURN(const CertificateAuthority authority,
                          CertificateAuthority::Open(state_dir / kIdentityFolder));
  return authority.ca_pin();
}

}  // namespace muster
