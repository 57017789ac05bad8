#include "tests/unit/agent/secure_device.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <utility>

#include "proto/core/files.h"

namespace muster {
namespace {

using std::chrono::hours;

CertificateSpec Spec(std::string unit, std::string serial, Duration lifetime) {
  const Timestamp now = SystemClock().Now();
  return {.unit = std::move(unit),
          .serial = std::move(serial),
          .not_before = now - hours(2),
          .not_after = now + lifetime};
}

}  // namespace

TestAuthority::TestAuthority() : key_(*EcPrivateKey::Generate()) {
  CertificateSpec spec = Spec("CA", "\x01", hours(24));
  spec.is_ca = true;
  ca_ = std::make_unique<Certificate>(*MakeSelfSigned(spec, key_));
  ca_pem_ = ca_->ToPem();
}

DeviceIdentity TestAuthority::Issue(const std::string& uri, const DeviceId& id,
                                    Duration lifetime) const {
  const EcPrivateKey key = *EcPrivateKey::Generate();
  CertificateSpec spec = Spec("device", "\x02", lifetime);
  spec.uri_names = {uri};
  const Certificate leaf = *MakeCertificate(spec, key.PublicKey(), *ca_, key_);
  DeviceIdentity identity;
  identity.id = id;
  identity.key_pem = key.ToPem();
  identity.certificate_pem = leaf.ToPem() + ca_pem_;
  identity.ca_pem = ca_pem_;
  identity.package_key_pem = key_.PublicKey().ToPem();
  identity.not_before = leaf.not_before();
  identity.not_after = leaf.not_after();
  return identity;
}

DeviceIdentity TestAuthority::IssueDevice(const std::string& id) const {
  return Issue("spiffe://muster.local/tenant/default/device/" + id, DeviceId::Trusted(id));
}

SecureDevice::SecureDevice(const TestAuthority& authority, const std::string& id)
    : identity_(authority.IssueDevice(id)), invocation_(SecAggFleet::InvocationOf(identity_.id)) {
  std::string name = testing::TempDir() + "/secure-device-XXXXXX";
  dir_.root = mkdtemp(name.data());
  Restart();
}

SecureDevice::~SecureDevice() { std::filesystem::remove_all(dir_.root); }

void SecureDevice::Restart() {
  runner_.reset();
  secure_.reset();
  packages_.reset();
  cache_.reset();
  journal_.reset();
  std::filesystem::create_directories(dir_.work());
  journal_ = *Journal::Open(dir_.journal());
  cache_ = *BlobCache::Open(dir_.cache(), 1u << 20);
  packages_ = std::make_unique<PackageLoader>(
      *PackageVerifier::FromPublicKeyPem(identity_.package_key_pem), *cache_, *journal_);
  secure_ = std::make_unique<SecureUpdate>(dir_, *journal_, random_, clock_);
  const RunWorker no_worker = [](const worker::v1::WorkerRequest&, const Bounds&) {
    return absl::UnimplementedError("these devices have trained already");
  };
  runner_ = std::make_unique<Runner>(dir_, FunctionSettings{}, *journal_, *packages_, no_worker,
                                     *secure_);
  EXPECT_TRUE(runner_->Recover().ok());
}

void SecureDevice::Connect(const SecAggFleet& fleet) {
  channel_ = fleet.channel();
  uplink_ = MakeUplink(channel_, *SecAggIdentity::From(identity_, clock_));
}

void SecureDevice::Renew(const TestAuthority& authority) {
  identity_ = authority.IssueDevice(identity_.id.value());
  uplink_ = MakeUplink(channel_, *SecAggIdentity::From(identity_, clock_));
}

void SecureDevice::Train(const Invocation& invocation, const std::vector<float>& update,
                         uint64_t examples, const Metrics& metrics) {
  Invocation own = invocation;
  own.id = invocation_;
  own.secure = true;
  const std::string bytes(reinterpret_cast<const char*>(update.data()),
                          update.size() * sizeof(float));
  ASSERT_TRUE(journal_->Receive(own).ok());
  ASSERT_TRUE(journal_->StartAttempt(invocation_).ok());
  std::filesystem::create_directories(dir_.work(invocation_.value()));
  ASSERT_TRUE(WriteFileDurably(dir_.update(invocation_.value()), bytes).ok());
  UpdateOffer offer{invocation_, Sha256(bytes), examples, metrics, {}};
  offer.metering = {.wall = Duration(5000), .cpu = Duration(4000), .bytes_up = bytes.size()};
  ASSERT_TRUE(journal_->StoreAnswer(invocation_, offer).ok());
}

}  // namespace muster
