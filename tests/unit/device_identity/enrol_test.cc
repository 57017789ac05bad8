#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "client/identity/device_identity.h"
#include "client/identity/identity_files.h"
#include "client/identity/tls_fetch.h"
#include "proto/core/files.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/device_identity/enrolment_server.h"

namespace muster {
namespace {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""ms;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class EnrolTest : public testing::Test {
 protected:
  EnrolmentServer& Start(EnrolmentServer::Options options = {}) {
    server_ = std::make_unique<EnrolmentServer>(folder_.path() / "ca", options);
    return *server_;
  }
  EnrolOptions Options() {
    return {.state_dir = state(),
            .coordinator = server_->address(),
            .token = server_->token(),
            .ca_pin = server_->pin(),
            .requested_name = "pi-1",
            .labels = {{"room", "kitchen"}}};
  }
  std::filesystem::path state() const { return folder_.path() / "state"; }
  unsigned Mode(const std::filesystem::path& path) {
    struct stat info {};
    return stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
  }

  TempFolder folder_;
  std::unique_ptr<EnrolmentServer> server_;
};

TEST_F(EnrolTest, GivesADurableIdentityUnderThePinnedCa) {
  Start();
  auto identity = EnrolDevice(Options());
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_EQ(identity->id.value(), "pi-1");
  EXPECT_THAT(identity->labels, ElementsAre(Pair("room", "kitchen"), Pair("site", "a")));
  EXPECT_EQ(identity->ca_pem, server_->authority().ca_pem());
  EXPECT_EQ(identity->package_key_pem, server_->package_key().PublicKey().ToPem());
  auto loaded = LoadIdentity(state());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->id, identity->id);
  EXPECT_EQ(loaded->key_pem, identity->key_pem);
  EXPECT_EQ(loaded->certificate_pem, identity->certificate_pem);
  EXPECT_EQ(loaded->not_after, identity->not_after);
  EXPECT_EQ(loaded->labels, identity->labels);
}

TEST_F(EnrolTest, SecretsBelongToTheOwnerAlone) {
  Start();
  ASSERT_TRUE(EnrolDevice(Options()).ok());
  const std::filesystem::path dir = state() / kIdentityFolder;
  EXPECT_EQ(Mode(dir), 0700u);
  EXPECT_EQ(Mode(dir / kCredentialFile), 0600u);
  EXPECT_EQ(Mode(dir / kPinnedCaFile), 0644u);
  EXPECT_EQ(Mode(dir / kPackageKeyFile), 0644u);
  EXPECT_EQ(Mode(dir / kDeviceFile), 0644u);
}

TEST_F(EnrolTest, AWrongPinIsRefusedBeforeTheTokenIsSent) {
  Start();
  EnrolOptions options = Options();
  options.ca_pin = "sha256:" + Sha256("another CA").hex();
  absl::Status status = EnrolDevice(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(status.message()), HasSubstr("expected " + options.ca_pin));
  EXPECT_THAT(std::string(status.message()), HasSubstr("got " + server_->pin()));
  EXPECT_THAT(std::string(status.message()), HasSubstr("muster-coordinator init"));
  EXPECT_EQ(server_->enrolled(), 0);
  EXPECT_TRUE(absl::IsNotFound(LoadIdentity(state()).status()));
}

TEST_F(EnrolTest, AnExpiredServerCertificateIsRefusedBeforeTheTokenIsSent) {
  const Timestamp last_week = SystemClock().Now() - 24h * 7;
  Start({.server_certificate_from = last_week, .server_lifetime = 24h});
  absl::Status status = EnrolDevice(Options()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(status.message()), HasSubstr("expired at"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("clock"));
  EXPECT_EQ(server_->enrolled(), 0);
}

TEST_F(EnrolTest, AnUnknownTokenGetsTheCoordinatorsAnswer) {
  Start();
  EnrolOptions options = Options();
  SystemRandom random;
  options.token = MintJoinToken(random).text;
  absl::Status status = EnrolDevice(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()), HasSubstr("this token is unknown"));
}

TEST_F(EnrolTest, ALiveIdentityIsNotEnrolledOver) {
  Start();
  ASSERT_TRUE(EnrolDevice(Options()).ok());
  absl::Status again = EnrolDevice(Options()).status();
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(again.message()), HasSubstr("pi-1"));
  EXPECT_EQ(server_->enrolled(), 1);
}

TEST_F(EnrolTest, AnExpiredIdentityMayEnrolAnew) {
  Start({.device_lifetime = 1h, .device_certificate_age = 2h});
  ASSERT_TRUE(EnrolDevice(Options()).ok());
  ASSERT_TRUE(LoadIdentity(state())->Expired(SystemClock().Now()));
  server_->set_device_certificate_age(Duration(0));
  auto again = EnrolDevice(Options());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE(again->Expired(SystemClock().Now()));
}

TEST_F(EnrolTest, BadOptionsAreRefusedBeforeAnythingIsSent) {
  Start();
  EnrolOptions address = Options(), pin = Options(), label = Options();
  address.coordinator = "nowhere";
  pin.ca_pin = "sha256:12";
  label.labels = {{"NOT OK", "x"}};
  for (const EnrolOptions& options : {address, pin, label}) {
    EXPECT_EQ(EnrolDevice(options).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(EnrolTest, AnUnwritableFolderIsFoundBeforeTheTokenIsSpent) {
  Start();
  EnrolOptions options = Options();
  ASSERT_TRUE(WriteFileDurably(folder_.path() / "file", "x").ok());
  options.state_dir = folder_.path() / "file";
  EXPECT_FALSE(EnrolDevice(options).ok());
  EXPECT_EQ(server_->enrolled(), 0);
}

// A listener that never speaks.
class SilentListener {
 public:
  SilentListener() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(fd_.get(), generic, size) != 0 || listen(fd_.get(), 4) != 0) std::abort();
    getsockname(fd_.get(), generic, &size);
    port_ = ntohs(address.sin_port);
  }
  uint16_t port() const { return port_; }
  void Close() { fd_.Reset(); }

 private:
  UniqueFd fd_;
  uint16_t port_ = 0;
};

TEST(FetchServerChain, GivesUpOnAServerThatNeverAnswers) {
  SilentListener listener;
  absl::Status status = FetchServerChain({"127.0.0.1", listener.port()}, 50ms).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no TLS handshake"));
}

TEST(FetchServerChain, SaysThatNobodyListens) {
  SilentListener listener;
  listener.Close();
  absl::Status status = FetchServerChain({"127.0.0.1", listener.port()}, 5000ms).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("check the address"));
}

}  // namespace
}  // namespace muster
