#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "coordinator/identity/authority.h"
#include "proto/transport/channel.h"
#include "proto/transport/host_port.h"
#include "tests/support/temp_folder.h"

namespace muster {
namespace {

using std::chrono_literals::operator""h;
using testing::HasSubstr;

TEST(HostPort, ParsesNamesAndAddresses) {
  EXPECT_EQ(HostPort::Parse("coordinator.example:7443")->ToString(), "coordinator.example:7443");
  EXPECT_EQ(HostPort::Parse("127.0.0.1:1")->port, 1);
  EXPECT_EQ(HostPort::Parse("[::1]:65535")->host, "::1");
  EXPECT_EQ(HostPort::Parse("[::1]:65535")->ToString(), "[::1]:65535");
}

TEST(HostPort, RefusesEverythingElse) {
  for (const char* bad : {"", "host", "host:", ":1", "host:0", "host:65536", "host:1x", "::1:1",
                          "[]:1", "ho st:1", "http://host:1", "host:-1", "unix:/tmp/x:1"}) {
    EXPECT_EQ(HostPort::Parse(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(HostPort, ParsesTheAddressesOfSeveralReplicas) {
  EXPECT_EQ(HostPort::ParseList("coordinator.example:7443")->size(), 1u);
  const auto replicas = HostPort::ParseList("10.0.0.1:7443,10.0.0.2:7444");
  ASSERT_TRUE(replicas.ok()) << replicas.status();
  ASSERT_EQ(replicas->size(), 2u);
  EXPECT_EQ((*replicas)[1].ToString(), "10.0.0.2:7444");
  EXPECT_EQ(HostPort::ParseList("[::1]:1,[::2]:2")->size(), 2u);
}

TEST(HostPort, RefusesListsThatNoChannelCouldDial) {
  std::string many = "10.0.0.1:1";
  for (size_t i = 0; i < kMaxAddresses; ++i) many += ",10.0.0.1:1";
  for (const std::string& bad :
       {std::string("10.0.0.1:1,"), std::string("10.0.0.1:1,host:2"),
        std::string("10.0.0.1:1,[::1]:2"), std::string("host:1,host:2"), many}) {
    EXPECT_EQ(HostPort::ParseList(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

class TlsMaterialTest : public testing::Test {
 protected:
  TlsMaterial Make(Timestamp issued) {
    SystemRandom random;
    (void)CertificateAuthority::Create(folder_.path() / "ca", random, issued - 24h);
    auto authority = CertificateAuthority::Open(folder_.path() / "ca");
    EcPrivateKey key = *EcPrivateKey::Generate();
    auto leaf =
        authority->SignCsr(*MakeCertificateRequest(key), Role::kOperator, "ada", 1h, issued);
    return {authority->ca_pem(), leaf->certificate_pem, key.ToPem()};
  }
  TempFolder folder_;
};

TEST_F(TlsMaterialTest, FoldersSurviveARoundTripAndKeepTheKeyPrivate) {
  TlsMaterial material = Make(SystemClock().Now());
  const std::filesystem::path dir = folder_.path() / "operator";
  ASSERT_TRUE(SaveTlsMaterial(dir, material).ok());
  auto loaded = LoadTlsMaterial(dir);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->ca_pem, material.ca_pem);
  EXPECT_EQ(loaded->certificate_pem, material.certificate_pem);
  EXPECT_EQ(loaded->key_pem, material.key_pem);
  struct stat info {};
  ASSERT_EQ(stat((dir / kKeyFile).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(TlsMaterialTest, MissingFilesSayHowToMakeThem) {
  absl::Status status = LoadTlsMaterial(folder_.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("muster-coordinator credential"));
}

TEST_F(TlsMaterialTest, ConnectSaysWhatIsWrongWithACredential) {
  TlsMaterial good = Make(SystemClock().Now());
  EXPECT_TRUE(Connect("localhost:1", good).ok());
  EXPECT_FALSE(Connect("localhost", good).ok());
  TlsMaterial mixed = good, empty = good;
  mixed.key_pem = EcPrivateKey::Generate()->ToPem();
  empty.ca_pem.clear();
  EXPECT_THAT(std::string(Connect("localhost:1", mixed).status().message()),
              HasSubstr("two different credentials"));
  EXPECT_THAT(std::string(Connect("localhost:1", empty).status().message()),
              HasSubstr("CA certificate"));
}

TEST_F(TlsMaterialTest, ConnectRefusesAnExpiredCertificate) {
  absl::Status status = Connect("localhost:1", Make(SystemClock().Now() - 2h)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(status.message()), HasSubstr("expired at"));
}

}  // namespace
}  // namespace muster
