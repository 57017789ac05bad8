// From the coordinator's store to the device's cache: the real server, the real wire, the device's
// own transfer, and an S3-compatible store that devices reach by presigned URLs.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <random>

#include "client/agent/blob_cache.h"
#include "client/agent/transfer.h"
#include "client/agent/url_fetch.h"
#include "coordinator/blobs/s3/s3_blobs.h"
#include "coordinator/blobs/s3/s3_presign.h"
#include "coordinator/rpc/blob_service.h"
#include "coordinator/rpc/server.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"
#include "tests/support/cutting_relay.h"
#include "tests/support/s3_server.h"
#include "tests/support/small_coordinator.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kLimit = 1'000'000;  // larger blobs go directly

std::string RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

int PortOf(const std::string& endpoint) {
  return std::atoi(endpoint.substr(endpoint.rfind(':') + 1).c_str());
}

// A store whose URLs have a signature of nobody.
class SpoiledUrls final : public BlobStore, public BlobUrls {
 public:
  explicit SpoiledUrls(std::unique_ptr<BlobStore> inner) : inner_(std::move(inner)) {}
  absl::StatusOr<std::unique_ptr<BlobWriter>> Create() override { return inner_->Create(); }
  absl::StatusOr<std::unique_ptr<BlobReader>> Open(const Digest& digest) const override {
    return inner_->Open(digest);
  }
  absl::StatusOr<bool> Has(const Digest& digest) const override { return inner_->Has(digest); }
  absl::Status Delete(const Digest& digest) override { return inner_->Delete(digest); }
  absl::StatusOr<bool> Touch(const Digest& digest) override { return inner_->Touch(digest); }
  absl::Status List(const std::function<absl::Status(const BlobInfo&)>& visit) const override {
    return inner_->List(visit);
  }
  absl::StatusOr<bool> DeleteIfOlder(const Digest& digest, Timestamp before) override {
    return inner_->DeleteIfOlder(digest, before);
  }
  absl::StatusOr<std::string> Presign(const Digest& digest, Duration lifetime) const override {
    MUSTER_ASSIGN_OR_RETURN(const auto url, PresignBlob(*inner_, digest, lifetime));
    ++presigned;
    std::string spoiled = url.value();
    spoiled.replace(spoiled.size() - 8, 8, "00000000");
    return spoiled;
  }

  mutable std::atomic<int> presigned{0};

 private:
  std::unique_ptr<BlobStore> inner_;
};

class DirectDownload : public SmallCoordinator {
 protected:
  void SetUp() override {
    std::string why;
    s3_ = S3Server::Shared(&why);
    SmallCoordinator::SetUp();
    if (s3_ == nullptr) GTEST_SKIP() << why;
    relay_.emplace(PortOf(s3_->endpoint()));
    AddDevice("device");
    Serve(Store(StrCat("http://127.0.0.1:", relay_->port())));
  }
  void TearDown() override {
    server_.reset();
    SmallCoordinator::TearDown();
  }
  // The store, which devices reach at `public_endpoint`.
  std::unique_ptr<BlobStore> Store(const std::string& public_endpoint) {
    S3Options options =
        s3_->Options(::testing::UnitTest::GetInstance()->current_test_info()->name());
    options.public_endpoint = public_endpoint;
    return *S3Blobs::Open(S3Client::Create(std::move(options)).value());
  }
  // A coordinator over `blobs`.
  void Serve(std::unique_ptr<BlobStore> blobs) {
    server_.reset();
    blobs_ = std::move(blobs);
    RestartCoordinator();
    std::filesystem::remove_all(folder_ / "ca");
    ASSERT_TRUE(CertificateAuthority::Create(folder_ / "ca", random_, system_.Now()).ok());
    authority_.emplace(CertificateAuthority::Open(folder_ / "ca").value());
    edge_.emplace(*context_, executor_, counters_, authority_->trust_domain());
    const ServerCredential credential =
        authority_->IssueServer({}, std::chrono::hours(1), system_.Now()).value();
    server_ = RpcServer::Start({.listen = "127.0.0.1:0",
                                .ca_pem = authority_->ca_pem(),
                                .certificate_pem = credential.certificate_pem,
                                .key_pem = credential.key_pem,
                                .device_certificate_lifetime = std::chrono::hours(1),
                                .direct_downloads = {.above_bytes = kLimit}},
                               *edge_, *dispatcher_, *intake_, *authority_)
                  .value();
    cache_ = BlobCache::Open(folder_ / "cache", 64u << 20).value();
  }
  std::shared_ptr<grpc::Channel> Channel() {
    const auto key = EcPrivateKey::Generate().value();
    const auto issued = authority_
                            ->SignCsr(MakeCertificateRequest(key).value(), Role::kDevice, "device",
                                      std::chrono::hours(1), system_.Now())
                            .value();
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride(kCoordinatorName);
    return grpc::CreateCustomChannel(
        StrCat("127.0.0.1:", server_->port()),
        grpc::SslCredentials({.pem_root_certs = authority_->ca_pem(),
                              .pem_private_key = key.ToPem(),
                              .pem_cert_chain = issued.certificate_pem}),
        arguments);
  }
  // The blob reaches the device's disk, byte for byte.
  void Fetch(BlobTransfer& transfer, const std::string& bytes) {
    const auto blob = cache_->Get(Sha256(bytes), bytes.size(), transfer, Bounds{});
    ASSERT_TRUE(blob.ok()) << blob.status();
    EXPECT_EQ(*ReadFile(blob->path(), bytes.size()), bytes);
  }

  S3Server* s3_ = nullptr;
  std::optional<CuttingRelay> relay_;  // between the devices and the store
  SystemClock system_;
  Executor executor_{2, 100};
  RpcCounters counters_;
  std::optional<CertificateAuthority> authority_;
  std::optional<Edge> edge_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<BlobCache> cache_;
};

TEST_F(DirectDownload, ALargeBlobComesFromTheStoreAndASmallOneFromTheCoordinator) {
  const std::string large = RandomBytes(5'000'000, 1), small = RandomBytes(kLimit, 2);
  ASSERT_TRUE(PutBlob(*blobs_, large).ok());
  ASSERT_TRUE(PutBlob(*blobs_, small).ok());
  BlobTransfer transfer(Channel());
  Fetch(transfer, large);
  EXPECT_EQ(transfer.bytes_direct(), large.size());
  Fetch(transfer, small);
  EXPECT_EQ(transfer.bytes_direct(), large.size());
  EXPECT_EQ(transfer.bytes_down(), large.size() + small.size());
}

TEST_F(DirectDownload, ADeviceThatWantsNoUrlsGetsNone) {
  const std::string large = RandomBytes(5'000'000, 3);
  ASSERT_TRUE(PutBlob(*blobs_, large).ok());
  BlobTransfer transfer(Channel(), {.direct = false});
  Fetch(transfer, large);
  EXPECT_EQ(transfer.bytes_direct(), 0u);
}

TEST_F(DirectDownload, ABrokenOneGoesOnWhereItEnded) {
  const std::string large = RandomBytes(5'000'000, 4);
  ASSERT_TRUE(PutBlob(*blobs_, large).ok());
  relay_->CutAnswers(2'000'000, 2);
  BlobTransfer transfer(Channel());
  Fetch(transfer, large);
  EXPECT_EQ(relay_->cuts(), 2);
  EXPECT_EQ(transfer.bytes_down(), large.size()) << "no byte came twice";
  EXPECT_EQ(transfer.bytes_direct(), large.size());
}

TEST_F(DirectDownload, WhereNobodyListensTheCoordinatorServes) {
  Serve(Store("http://127.0.0.1:1"));
  const std::string large = RandomBytes(5'000'000, 5);
  ASSERT_TRUE(PutBlob(*blobs_, large).ok());
  BlobTransfer transfer(Channel());
  Fetch(transfer, large);
  EXPECT_EQ(transfer.bytes_direct(), 0u);
}

TEST_F(DirectDownload, WhereTheStoreRefusesTheCoordinatorServes) {
  const std::string large = RandomBytes(5'000'000, 9);
  ASSERT_TRUE(PutBlob(*blobs_, large).ok());
  auto spoiled = std::make_unique<SpoiledUrls>(std::move(blobs_));
  const SpoiledUrls& urls = *spoiled;
  Serve(std::move(spoiled));
  BlobTransfer transfer(Channel());
  Fetch(transfer, large);
  EXPECT_EQ(transfer.bytes_direct(), 0u);
  const std::string other = RandomBytes(5'000'000, 10);
  ASSERT_TRUE(PutBlob(*blobs_, other).ok());
  Fetch(transfer, other);
  EXPECT_EQ(urls.presigned, 1) << "the next one is not tried at once";
}

TEST_F(DirectDownload, BytesThatTheStoreCorruptedAreRefused) {
  const std::string large = RandomBytes(5'000'000, 6);
  const Digest digest = *PutBlob(*blobs_, large);
  const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  std::fstream file(s3_->Files(name) / digest.hex().substr(0, 2) / digest.hex());
  file.seekp(1'000'000);
  file << "X";
  file.close();
  BlobTransfer transfer(Channel());
  const auto blob = cache_->Get(digest, large.size(), transfer, Bounds{});
  EXPECT_TRUE(absl::IsDataLoss(blob.status())) << blob.status();
  EXPECT_EQ(transfer.bytes_direct(), large.size()) << "the second attempt asks the coordinator";
  EXPECT_EQ(transfer.bytes_down(), 2 * large.size());
}

TEST_F(DirectDownload, AUrlIsGoodForItsBlobAndItsTimeOnly) {
  const std::string bytes = RandomBytes(100'000, 7);
  const Digest digest = *PutBlob(*blobs_, bytes);
  std::string got;
  const auto sink = [&got](uint64_t, std::string_view data) {
    got += data;
    return absl::OkStatus();
  };
  const std::string url = *PresignBlob(*blobs_, digest, std::chrono::minutes(5)).value();
  ASSERT_TRUE(FetchUrl(url, 0, {}, sink, Bounds{}).ok());
  EXPECT_EQ(got, bytes);
  got.clear();
  ASSERT_TRUE(FetchUrl(url, 60'000, {}, sink, Bounds{}).ok());
  EXPECT_EQ(got, bytes.substr(60'000));
  EXPECT_TRUE(absl::IsOutOfRange(FetchUrl(url, 200'000, {}, sink, Bounds{})));

  // Another key with the same signature.
  const Digest other = *PutBlob(*blobs_, "another blob");
  std::string moved = url;
  moved.replace(moved.find(digest.hex()), 64, other.hex());
  EXPECT_TRUE(absl::IsFailedPrecondition(FetchUrl(moved, 0, {}, sink, Bounds{})));
  // One that ended yesterday.
  S3Options options = s3_->Options("x");
  const std::string path = url.substr(url.find('/', 8), url.find('?') - url.find('/', 8));
  const std::string origin = UrlOrigin(url);
  const auto expired = PresignGet(origin, path, options.region, options.credentials,
                                  std::chrono::minutes(5), system_.Now() - std::chrono::hours(24));
  const absl::Status refused = FetchUrl(*expired, 0, {}, sink, Bounds{});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("403"));
}

TEST_F(DirectDownload, AStoppedDeviceStopsAtOnce) {
  const std::string url =
      *PresignBlob(*blobs_, *PutBlob(*blobs_, RandomBytes(5'000'000, 8)), std::chrono::minutes(5))
           .value();
  std::stop_source stop;
  uint64_t chunks = 0;
  const auto sink = [&](uint64_t, std::string_view) {
    ++chunks;
    stop.request_stop();
    return absl::OkStatus();
  };
  const absl::Status status = FetchUrl(url, 0, {}, sink, Bounds{.stop = stop.get_token()});
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(chunks, 1u);
}

TEST(FetchUrl, OnlyAStoreWithATrustedCertificateIsSpokenTo) {
  const TempFolder folder;
  const std::string key = folder.path() / "key.pem", certificate = folder.path() / "cert.pem";
  const std::string command = StrCat(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=s3 ",
      "-addext subjectAltName=IP:127.0.0.1 -keyout ", key, " -out ", certificate, " 2>/dev/null");
  ASSERT_EQ(std::system(command.c_str()), 0);
  auto server = S3Server::Start({.certificate = certificate, .key = key});
  if (absl::IsNotFound(server.status())) GTEST_SKIP() << server.status().message();
  ASSERT_TRUE(server.ok()) << server.status();
  const auto blobs = S3Blobs::Open((*server)->Client("p")).value();
  const Digest digest = PutBlob(*blobs, "over TLS").value();
  const std::string url = *PresignBlob(*blobs, digest, std::chrono::minutes(5)).value();
  std::string got;
  const auto sink = [&got](uint64_t, std::string_view data) {
    got += data;
    return absl::OkStatus();
  };
  const absl::Status untrusted = FetchUrl(url, 0, {}, sink, Bounds{});
  EXPECT_TRUE(absl::IsFailedPrecondition(untrusted)) << untrusted;
  EXPECT_THAT(std::string(untrusted.message()), HasSubstr("downloads.ca_file"));
  EXPECT_EQ(got, "");
  const absl::Status trusted = FetchUrl(url, 0, {.ca_file = certificate}, sink, Bounds{});
  EXPECT_TRUE(trusted.ok()) << trusted;
  EXPECT_EQ(got, "over TLS");
  // The name is the certificate's, or nobody's.
  std::string renamed = url;
  renamed.replace(renamed.find("127.0.0.1"), 9, "localhost");
  EXPECT_TRUE(
      absl::IsFailedPrecondition(FetchUrl(renamed, 0, {.ca_file = certificate}, sink, Bounds{})));
}

TEST(FetchUrl, WhatIsNoUrlOrWouldBeReadOnTheWayIsRefusedWithoutAConnection) {
  const auto sink = [](uint64_t, std::string_view) { return absl::OkStatus(); };
  for (const char* url :
       {"file:///etc/passwd", "http://user:secret@127.0.0.1:1/x", "http://store.example:1/x"}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(FetchUrl(url, 0, {}, sink, Bounds{}))) << url;
  }
}

}  // namespace
}  // namespace muster
