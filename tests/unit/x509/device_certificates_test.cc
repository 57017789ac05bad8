#include "proto/x509/device_certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using std::chrono::hours;
using testing::HasSubstr;

constexpr size_t kCapacity = 2;
constexpr Timestamp kNow{1'700'000'000'000'000};

struct Authority {
  explicit Authority(Duration validity = hours(24 * 365))
      : certificate(*MakeSelfSigned({.unit = "ca",
                                     .is_ca = true,
                                     .serial = "\x01",
                                     .not_before = kNow - hours(1),
                                     .not_after = kNow + validity},
                                    key)) {}
  // For the URI, valid from an hour ago for `validity` from now on.
  std::string Issue(const std::string& uri, Duration validity = hours(24)) const {
    return MakeCertificate({.unit = "device",
                            .uri_names = {uri},
                            .serial = "\x02",
                            .not_before = kNow - hours(1),
                            .not_after = kNow + validity},
                           subject.PublicKey(), certificate, key)
        ->ToDer();
  }

  EcPrivateKey key = *EcPrivateKey::Generate();
  EcPrivateKey subject = *EcPrivateKey::Generate();  // of all certificates
  Certificate certificate;
};

std::string UriOf(const std::string& device) {
  return "spiffe://muster.local/tenant/default/device/" + device;
}
DeviceId Named(const std::string& name) { return DeviceId::Trusted(name); }

class DeviceCertificatesTest : public testing::Test {
 protected:
  absl::Status Ask(const std::string& device, const std::string& der, Timestamp now = kNow) {
    return devices_.KeyOf(Named(device), der, now).status();
  }

  const Authority ca_;
  const DeviceCertificates devices_{ca_.certificate, kDefaultTrustDomain, kCapacity};
};

TEST_F(DeviceCertificatesTest, TheKeyIsTheCertificatesWhetherItIsRememberedOrNot) {
  const std::string der = ca_.Issue(UriOf("a"));
  for (int i = 0; i < 2; ++i) {
    const auto key = devices_.KeyOf(Named("a"), der, kNow);
    ASSERT_TRUE(key.ok()) << key.status();
    EXPECT_TRUE(*key == ca_.subject.PublicKey());
  }
}

TEST_F(DeviceCertificatesTest, MoreCertificatesThanAreRememberedAreStillAnswered) {
  std::vector<std::string> ders;
  for (int i = 0; i < 4; ++i) ders.push_back(ca_.Issue(UriOf(std::to_string(i))));
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_TRUE(Ask(std::to_string(i), ders[static_cast<size_t>(i)]).ok());
    }
  }
}

TEST_F(DeviceCertificatesTest, ARememberedCertificateStandsForItsOwnDeviceOnly) {
  const std::string der = ca_.Issue(UriOf("a"));
  ASSERT_TRUE(Ask("a", der).ok());
  const absl::Status status = Ask("b", der);
  EXPECT_TRUE(absl::IsUnauthenticated(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("stands for " + UriOf("a")));
}

TEST_F(DeviceCertificatesTest, ARememberedCertificateExpires) {
  const std::string der = ca_.Issue(UriOf("a"), hours(24));
  ASSERT_TRUE(Ask("a", der).ok());
  const absl::Status status = Ask("a", der, kNow + hours(25));
  EXPECT_TRUE(absl::IsUnauthenticated(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("expired"));
  EXPECT_TRUE(absl::IsUnauthenticated(Ask("a", der, kNow - hours(2))));
}

TEST_F(DeviceCertificatesTest, ARememberedCertificateEndsWithItsCa) {
  const Authority brief(hours(2));
  const DeviceCertificates devices(brief.certificate, kDefaultTrustDomain, kCapacity);
  const std::string der = brief.Issue(UriOf("a"), hours(24));
  ASSERT_TRUE(devices.KeyOf(Named("a"), der, kNow).ok());
  EXPECT_TRUE(absl::IsUnauthenticated(devices.KeyOf(Named("a"), der, kNow + hours(3)).status()));
}

TEST_F(DeviceCertificatesTest, WhatIsRefusedIsNeverRemembered) {
  const Authority other;
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(absl::IsUnauthenticated(Ask("a", other.Issue(UriOf("a")))));
    EXPECT_TRUE(absl::IsUnauthenticated(Ask("a", "no certificate")));
    EXPECT_TRUE(absl::IsUnauthenticated(
        Ask("a", ca_.Issue("spiffe://muster.local/tenant/default/operator/a"))));
    EXPECT_TRUE(
        absl::IsUnauthenticated(Ask("a", ca_.Issue("spiffe://elsewhere/tenant/default/device/a"))));
  }
}

TEST_F(DeviceCertificatesTest, NothingIsRememberedWithoutCapacity) {
  const DeviceCertificates devices(ca_.certificate, kDefaultTrustDomain, 0);
  const std::string der = ca_.Issue(UriOf("a"));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(devices.KeyOf(Named("a"), der, kNow).ok());
}

}  // namespace
}  // namespace muster
