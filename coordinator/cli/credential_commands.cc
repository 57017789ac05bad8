// credential renew.
#include "coordinator/cli/commands.h"
#include "coordinator/cli/text.h"
#include "proto/codec/enrol_codec.h"
#include "proto/core/strings.h"
#include "proto/transport/channel.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"
#include "proto/x509/trust_bundle.h"

namespace muster::cli {
namespace {

// What came is checked as a whole before any of it is kept: killed in between, the folder holds the
// old certificate under CAs of which one issued it.
absl::StatusOr<Certificate> CheckAnswer(const RenewalGrant& grant, const EcPublicKey& own,
                                        const Certificate& before) {
  MUSTER_ASSIGN_OR_RETURN(const TrustBundle trust, TrustBundle::FromPem(grant.ca_pem));
  MUSTER_ASSIGN_OR_RETURN(Certificate leaf, Certificate::FromPem(grant.certificate_pem));
  MUSTER_ASSIGN_OR_RETURN(const EcPublicKey certified, leaf.PublicKey());
  if (!(certified == own) || leaf.UriNames() != before.UriNames()) {
    return absl::DataLossError("the coordinator's answer is a certificate of somebody else");
  }
  MUSTER_RETURN_IF_ERROR(trust.Verify(before, CertificateUse::kClient, before.not_before()));
  MUSTER_RETURN_IF_ERROR(trust.Verify(leaf, CertificateUse::kClient, leaf.not_before()));
  return leaf;
}

absl::StatusOr<ExitCode> Renew(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_ASSIGN_OR_RETURN(TlsMaterial material, LoadTlsMaterial(context.settings.credential));
  MUSTER_ASSIGN_OR_RETURN(const Certificate before, Certificate::FromPem(material.certificate_pem));
  MUSTER_ASSIGN_OR_RETURN(const EcPrivateKey key, EcPrivateKey::FromPem(material.key_pem));
  MUSTER_ASSIGN_OR_RETURN(std::string request, MakeCertificateRequest(key));
  MUSTER_ASSIGN_OR_RETURN(const v1::RenewResponse response,
                          api->Call(EncodeRenewal({std::move(request)})));
  MUSTER_ASSIGN_OR_RETURN(const RenewalGrant grant, DecodeRenewalGrant(response));
  MUSTER_ASSIGN_OR_RETURN(const Certificate leaf, CheckAnswer(grant, key.PublicKey(), before));
  MUSTER_RETURN_IF_ERROR(
      RenewTlsMaterial(context.settings.credential, grant.ca_pem, grant.certificate_pem));
  MUSTER_ASSIGN_OR_RETURN(const TrustBundle trust, TrustBundle::FromPem(grant.ca_pem));
  if (context.json()) {
    Json pins = Json::array();
    for (const Certificate& ca : trust.authorities()) pins.push_back(CertificatePin(ca));
    PrintJson(context, {{"serial", leaf.SerialHex()},
                        {"not_after_unix_us", leaf.not_after().unix_us},
                        {"issuer_pin", CertificatePin(*trust.IssuerOf(leaf))},
                        {"trusted_pins", std::move(pins)}});
  } else {
    context.out << "renewed: until " << FormatTime(leaf.not_after().unix_us) << ", of the CA "
                << CertificatePin(*trust.IssuerOf(leaf)) << "; trusts "
                << trust.authorities().size() << (trust.authorities().size() == 1 ? " CA" : " CAs")
                << std::endl;
  }
  return kExitDone;
}

}  // namespace

std::vector<Command> CredentialCommands() {
  return {
      {.words = "credential renew",
       .operands = "",
       .summary = "follow the coordinator to another CA",
       .description =
           "Asks the coordinator for a new certificate for the key of this credential, and for "
           "the CAs that are trusted now, and puts both into the credential's folder. While the "
           "CA is replaced (`muster-coordinator ca rotate`), run it once after `ca rotate` and "
           "once after `ca switch`. The certificate's end stays what it was: a longer one is "
           "`muster-coordinator credential`'s to give. Killed at any instant, the folder can "
           "be used, and the command run again. With --json: {\"serial\", "
           "\"not_after_unix_us\", \"issuer_pin\", \"trusted_pins\"}.",
       .options = {},
       .examples = "muster credential renew\nmuster --credential ada/ credential renew --json",
       .run = Renew}};
}

}  // namespace muster::cli
