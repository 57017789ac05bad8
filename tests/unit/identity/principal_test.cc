#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/identity/spiffe.h"
#include "proto/x509/certificate.h"

namespace muster {
namespace {

using std::chrono_literals::operator""h;
using testing::HasSubstr;

constexpr char kDomain[] = "fleet.example";

// A leaf with any names at all, as only a careless or hostile CA would make it.
std::string LeafPem(std::vector<std::string> uris, bool is_ca = false) {
  EcPrivateKey key = *EcPrivateKey::Generate();
  CertificateSpec spec;
  spec.unit = "test";
  spec.serial = std::string("\x0f\x01", 2);
  spec.uri_names = std::move(uris);
  spec.is_ca = is_ca;
  spec.not_before = {1'700'000'000'000'000};
  spec.not_after = spec.not_before + 1h;
  return MakeSelfSigned(spec, key)->ToPem();
}

TEST(Principal, ReadsRoleIdAndSerial) {
  for (Role role : {Role::kDevice, Role::kResearcher, Role::kOperator}) {
    auto principal =
        PrincipalFromCertificatePem(LeafPem({PrincipalUri(role, "ada", kDomain)}), kDomain);
    ASSERT_TRUE(principal.ok()) << principal.status();
    EXPECT_EQ(*principal, (Principal{role, "ada", "f01"}));
    EXPECT_EQ(*ParseRole(RoleName(role)), role);
  }
}

TEST(Principal, RefusesAnythingButOneSpiffeNameOfThisDomain) {
  const std::string good = PrincipalUri(Role::kOperator, "ada", kDomain);
  const struct {
    std::vector<std::string> uris;
    bool is_ca;
    const char* reason;
  } cases[] = {
      {{}, false, "0 URI names"},
      {{good, PrincipalUri(Role::kDevice, "ada", kDomain)}, false, "2 URI names"},
      {{good}, true, "CA certificate"},
      {{"https://fleet.example/ada"}, false, "not a SPIFFE ID"},
      {{PrincipalUri(Role::kOperator, "ada", "elsewhere.example")}, false, "another trust domain"},
      {{"spiffe://fleet.example/tenant/other/operator/ada"}, false, "another trust domain"},
      {{"spiffe://fleet.example/tenant/default/coordinator/server"}, false, "names no role"},
      {{"spiffe://fleet.example/tenant/default/root/ada"}, false, "names no role"},
  };
  for (const auto& [uris, is_ca, reason] : cases) {
    absl::Status status = PrincipalFromCertificatePem(LeafPem(uris, is_ca), kDomain).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << reason;
    EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
  }
  EXPECT_FALSE(PrincipalFromCertificatePem("", kDomain).ok());
}

}  // namespace
}  // namespace muster
