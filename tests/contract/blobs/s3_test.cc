// What only the S3 adapter promises: against a real server that is killed, cut off, refuses, or
// keeps what it should not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "coordinator/blobs/s3/s3_blobs.h"
#include "coordinator/blobs/s3/s3_limits.h"
#include "coordinator/blobs/s3/s3_staging.h"
#include "proto/core/limits.h"
#include "proto/core/strings.h"
#include "tests/support/cutting_relay.h"
#include "tests/support/s3_server.h"

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kOwner[] = "device/d1";

std::string RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::shared_ptr<S3Client> MakeClient(S3Options options) {
  if (!options.pause) options.pause = [](Duration) {};  // no test waits
  auto client = S3Client::Create(std::move(options));
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

int PortOf(const S3Server& server) {
  const std::string endpoint = server.endpoint();
  return std::atoi(endpoint.substr(endpoint.rfind(':') + 1).c_str());
}

class S3 : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    server_ = S3Server::Shared(&why);
    if (server_ == nullptr) GTEST_SKIP() << why;
  }
  S3Options Options() const {
    return server_->Options(::testing::UnitTest::GetInstance()->current_test_info()->name());
  }
  static absl::Status OpenStatus(S3Options options) {
    return S3Blobs::Open(MakeClient(std::move(options))).status();
  }
  S3Server* server_ = nullptr;
};

TEST_F(S3, AWrongSecretIsPermissionDeniedAndIsNotRepeated) {
  S3Options options = Options();
  options.credentials.secret_access_key = SecretText("wrong-and-private");
  const absl::Status status = OpenStatus(std::move(options));
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("SignatureDoesNotMatch"), HasSubstr("AWS_SECRET_ACCESS_KEY"),
                    Not(HasSubstr("wrong-and-private"))));
}

TEST_F(S3, AnUnknownAccessKeyIsPermissionDenied) {
  S3Options options = Options();
  options.credentials.access_key_id = "AKNOBODY";
  const absl::Status status = OpenStatus(std::move(options));
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("AWS_ACCESS_KEY_ID"));
}

TEST_F(S3, AMissingBucketIsNamed) {
  S3Options options = Options();
  options.location.bucket = "nobody-made-this";
  const absl::Status status = OpenStatus(std::move(options));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("nobody-made-this"), HasSubstr("create the bucket")));
}

TEST_F(S3, AnotherRegionIsNamed) {
  S3Options options = Options();
  options.region = "eu-central-9";
  const absl::Status status = OpenStatus(std::move(options));
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("--s3-region"));
}

TEST_F(S3, AStoreThatIsNotThereIsUnavailableAfterBoundedAttempts) {
  S3Options options = Options();
  options.endpoint = "http://127.0.0.1:1";
  int pauses = 0;
  options.pause = [&pauses](Duration pause) {
    EXPECT_LE(pause, limits::kS3LongestPause);
    ++pauses;
  };
  const absl::Status status = OpenStatus(std::move(options));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("127.0.0.1:1"), HasSubstr("--s3-endpoint")));
  EXPECT_EQ(pauses, static_cast<int>(limits::kS3Attempts) - 1);
}

TEST_F(S3, SomethingElseThanAStoreIsToldSo) {
  const CuttingRelay relay(PortOf(*server_));
  S3Options options = Options();
  // A server that speaks another language: TLS is expected where there is none.
  options.endpoint = StrCat("https://127.0.0.1:", relay.port());
  const absl::Status status = OpenStatus(std::move(options));
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("https://127.0.0.1"));
}

TEST_F(S3, ABrokenDownloadGoesOnWhereItEnded) {
  const std::string bytes = RandomBytes(3'000'000, 1);
  CuttingRelay relay(PortOf(*server_));
  S3Options options = Options();
  options.endpoint = StrCat("http://127.0.0.1:", relay.port());
  const auto client = MakeClient(std::move(options));
  ASSERT_TRUE(client->Put(client->Key("object"), bytes).ok());
  relay.CutAnswers(700'000, 3);
  std::string out(bytes.size(), '\0');
  // The connection that is kept has brought few bytes so far, so it is cut too.
  const auto slice = client->Get(client->Key("object"), 0, out);
  ASSERT_TRUE(slice.ok()) << slice.status();
  EXPECT_EQ(slice->received, bytes.size());
  EXPECT_EQ(out, bytes);
  EXPECT_EQ(relay.cuts(), 3);
}

TEST_F(S3, ADownloadThatNeverMovesFailsInTheEnd) {
  CuttingRelay relay(PortOf(*server_));
  S3Options options = Options();
  options.endpoint = StrCat("http://127.0.0.1:", relay.port());
  const auto client = MakeClient(std::move(options));
  ASSERT_TRUE(client->Put(client->Key("object"), RandomBytes(100'000, 2)).ok());
  relay.CutAnswers(0, 1'000'000);
  std::string out(100'000, '\0');
  const absl::Status status = client->Get(client->Key("object"), 0, out).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

TEST_F(S3, ALostAnswerToTheEndOfAnUploadDoesNotLoseIt) {
  CuttingRelay relay(PortOf(*server_));
  S3Options options = Options();
  options.endpoint = StrCat("http://127.0.0.1:", relay.port());
  const auto client = MakeClient(std::move(options));
  const std::string key = client->Key("object"), upload = *client->BeginUpload(key);
  const std::string etag = *client->PutPart(key, upload, 1, "all of it");
  relay.CutAnswers(0, 1);
  const absl::Status completed = client->CompleteUpload(key, upload, {etag});
  EXPECT_TRUE(completed.ok()) << completed;
  EXPECT_EQ(relay.cuts(), 1);
  std::string out(9, '\0');
  ASSERT_TRUE(client->Get(key, 0, out).ok());
  EXPECT_EQ(out, "all of it");
  const absl::Status never = client->CompleteUpload(client->Key("other"), upload, {etag});
  EXPECT_TRUE(absl::IsNotFound(never)) << never;
}

// As a blob of more than 5 GiB does.
TEST_F(S3, AVeryLargeBlobIsPutTogetherFromSeveralObjects) {
  S3Options options = Options();
  options.part_bytes = limits::kS3MinPartBytes;
  options.object_bytes = 2 * limits::kS3MinPartBytes;
  const auto client = MakeClient(std::move(options));
  const auto blobs = *S3Blobs::Open(client);
  const std::string bytes = RandomBytes(23'000'000, 11);
  const auto digest = PutBlob(*blobs, bytes);
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*GetBlob(*blobs, *digest, bytes.size()), bytes);
  int temporary = 0;
  ASSERT_TRUE(client
                  ->List(client->Key("tmp/"),
                         [&temporary](const S3Listed&) {
                           ++temporary;
                           return absl::OkStatus();
                         })
                  .ok());
  EXPECT_EQ(temporary, 0);
}

TEST_F(S3, OnlyOldLeftoversAreSwept) {
  const auto young = MakeClient(Options());
  const std::string upload = *young->BeginUpload(young->Key("tmp/1"));
  ASSERT_TRUE(S3Blobs::Open(young).ok());  // another process may be at it
  EXPECT_EQ(young->ListUploads(young->Key(""))->size(), 1u);
  S3Options options = Options();
  options.leftover_age = -std::chrono::minutes(1);  // everything is old, whatever clocks say
  ASSERT_TRUE(S3Blobs::Open(MakeClient(std::move(options))).ok());
  EXPECT_TRUE(young->ListUploads(young->Key(""))->empty());
}

TEST_F(S3, ListingsOfManyPagesAreWhole) {
  const auto client = MakeClient(Options());
  constexpr int kObjects = 1'100;
  for (int i = 0; i < kObjects; ++i)
    ASSERT_TRUE(client->Put(client->Key(StrCat("o/", i)), "x").ok());
  int listed = 0;
  ASSERT_TRUE(client
                  ->List(client->Key("o/"),
                         [&listed](const S3Listed&) {
                           ++listed;
                           return absl::OkStatus();
                         })
                  .ok());
  EXPECT_EQ(listed, kObjects);
}

// Two processes over one store; the device talks to the one or the other at every call.
TEST_F(S3, TwoAreasTakeTurnsAtOneUpload) {
  const auto client = MakeClient(Options());
  const auto blobs = *S3Blobs::Open(client);
  const std::unique_ptr<StagingArea> areas[] = {OpenS3Staging(client),
                                                OpenS3Staging(MakeClient(Options()))};
  const std::string bytes = RandomBytes(1'000'000, 4);
  const Digest digest = Sha256(bytes);
  constexpr size_t kChunk = 130'000;
  bool complete = false;
  for (size_t offset = 0, turn = 0; offset < bytes.size(); offset += kChunk, ++turn) {
    StagingArea& area = *areas[turn % 2];
    EXPECT_EQ(area.Stat(kOwner, digest)->offset, offset);
    ASSERT_TRUE(area.Append(kOwner, digest, bytes.size(), offset,
                            std::string_view(bytes).substr(offset, kChunk))
                    .ok());
    const auto flushed = area.Flush(kOwner, digest);
    ASSERT_TRUE(flushed.ok()) << flushed.status();
    EXPECT_EQ(flushed->offset, std::min(offset + kChunk, bytes.size()));
    complete = flushed->complete;
  }
  EXPECT_TRUE(complete);
  EXPECT_TRUE(areas[0]->Stat(kOwner, digest)->complete);
  ASSERT_TRUE(areas[0]->Promote(kOwner, digest, *blobs).ok());
  EXPECT_FALSE(areas[1]->Stat(kOwner, digest)->complete);
  EXPECT_EQ(*GetBlob(*blobs, digest, bytes.size()), bytes);
}

// The first process was left in the middle; when it goes on, it must not undo what the other did.
TEST_F(S3, AnAreaThatWasLeftBehindAsksTheStoreAgain) {
  const auto here = OpenS3Staging(MakeClient(Options()));
  const auto there = OpenS3Staging(MakeClient(Options()));
  const std::string bytes = RandomBytes(1'000, 5);
  const Digest digest = Sha256(bytes);
  const auto append = [&](StagingArea& area, size_t from, size_t size) {
    return area.Append(kOwner, digest, bytes.size(), from,
                       std::string_view(bytes).substr(from, size));
  };
  ASSERT_TRUE(append(*here, 0, 400).ok());  // and never flushed
  EXPECT_EQ(there->Stat(kOwner, digest)->offset, 0u);
  ASSERT_TRUE(append(*there, 0, 700).ok());
  ASSERT_EQ(there->Flush(kOwner, digest)->offset, 700u);
  const absl::Status gone_on = append(*here, 700, 300);
  EXPECT_TRUE(gone_on.ok()) << gone_on;
  EXPECT_TRUE(here->Flush(kOwner, digest)->complete);
  EXPECT_TRUE(there->Open(kOwner, digest).ok());
}

TEST_F(S3, LimitsCountWhatOtherProcessesHold) {
  const auto here = OpenS3Staging(MakeClient(Options()), {.max_uploads_per_owner = 1});
  const auto there = OpenS3Staging(MakeClient(Options()), {.max_uploads_per_owner = 1});
  ASSERT_TRUE(here->Append(kOwner, Sha256("one"), 3, 0, "one").ok());
  ASSERT_TRUE(here->Flush(kOwner, Sha256("one")).ok());
  const absl::Status second = there->Append(kOwner, Sha256("two"), 3, 0, "two");
  EXPECT_TRUE(absl::IsResourceExhausted(second)) << second;
  ASSERT_TRUE(there->Remove(kOwner, Sha256("one")).ok());
  // What the first process remembers of it does not count any more.
  EXPECT_TRUE(here->Append(kOwner, Sha256("two"), 3, 0, "two").ok());
}

TEST_F(S3, WhatWaitsInMemoryIsBounded) {
  S3Options options = Options();
  options.staging_memory = 100'000;
  const auto client = MakeClient(std::move(options));
  const auto area = OpenS3Staging(client);
  const std::string bytes = RandomBytes(60'000, 6);
  for (int device = 0; device < 4; ++device) {
    ASSERT_TRUE(area->Append(StrCat("d", device), Sha256(bytes), 2 * bytes.size(), 0, bytes).ok());
  }
  uint64_t durable = 0;
  ASSERT_TRUE(client
                  ->List(client->Key("staging/"),
                         [&durable](const S3Listed& object) {
                           durable += object.size;
                           return absl::OkStatus();
                         })
                  .ok());
  EXPECT_GE(durable, 4 * bytes.size() - 100'000);
}

TEST_F(S3, AnUploadOfSeveralPartsIsPromotedWithinTheStore) {
  S3Options options = Options();
  options.part_bytes = limits::kS3MinPartBytes;
  const auto client = MakeClient(std::move(options));
  const auto blobs = *S3Blobs::Open(client);
  const auto area = OpenS3Staging(client);
  const std::string bytes = RandomBytes(12'000'000, 7);
  const Digest digest = Sha256(bytes);
  for (size_t offset = 0; offset < bytes.size(); offset += limits::kChunkBytes) {
    ASSERT_TRUE(area->Append(kOwner, digest, bytes.size(), offset,
                             std::string_view(bytes).substr(offset, limits::kChunkBytes))
                    .ok());
  }
  ASSERT_TRUE(area->Flush(kOwner, digest)->complete);
  const absl::Status promoted = area->Promote(kOwner, digest, *blobs);
  ASSERT_TRUE(promoted.ok()) << promoted;
  EXPECT_EQ(*GetBlob(*blobs, digest, bytes.size()), bytes);
  EXPECT_EQ(area->Stat(kOwner, digest)->offset, 0u);
}

class S3Killed : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = S3Server::Start();
    if (absl::IsNotFound(server.status())) GTEST_SKIP() << server.status().message();
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  // Starts the server again while a request waits for its next attempt.
  S3Options Reviving() {
    S3Options options = server_->Options("p");
    options.part_bytes = limits::kS3MinPartBytes;
    options.pause = [this](Duration) { ASSERT_TRUE(server_->Restart().ok()); };
    return options;
  }
  std::unique_ptr<S3Server> server_;
};

TEST_F(S3Killed, AServerKilledInTheMiddleOfAnUploadLosesNothing) {
  const auto blobs = *S3Blobs::Open(MakeClient(Reviving()));
  const std::string bytes = RandomBytes(16'000'000, 8);
  auto writer = *blobs->Create();
  for (size_t offset = 0; offset < bytes.size(); offset += 4'000'000) {
    server_->Kill();
    const absl::Status status = writer->Append(std::string_view(bytes).substr(offset, 4'000'000));
    ASSERT_TRUE(status.ok()) << status;
  }
  server_->Kill();
  const auto digest = writer->Commit();
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*GetBlob(*blobs, *digest, bytes.size()), bytes);
}

TEST_F(S3Killed, StagedBytesThatWereFlushedSurviveIt) {
  const auto area = OpenS3Staging(MakeClient(Reviving()));
  const std::string bytes = RandomBytes(1'000, 9);
  const Digest digest = Sha256(bytes);
  ASSERT_TRUE(area->Append(kOwner, digest, 1'000, 0, std::string_view(bytes).substr(0, 600)).ok());
  ASSERT_TRUE(area->Flush(kOwner, digest).ok());
  server_->Kill();
  EXPECT_EQ(area->Stat(kOwner, digest)->offset, 600u);
  ASSERT_TRUE(area->Append(kOwner, digest, 1'000, 600, std::string_view(bytes).substr(600)).ok());
  server_->Kill();
  EXPECT_TRUE(area->Flush(kOwner, digest)->complete);
}

TEST_F(S3Killed, AStoreThatStaysAwayLosesNothingEither) {
  S3Options options = server_->Options("p");
  const auto area = OpenS3Staging(MakeClient(std::move(options)));
  const std::string bytes = RandomBytes(1'000, 10);
  const Digest digest = Sha256(bytes);
  ASSERT_TRUE(area->Append(kOwner, digest, 1'000, 0, bytes).ok());
  server_->Kill();
  const absl::Status away = area->Flush(kOwner, digest).status();
  EXPECT_TRUE(absl::IsUnavailable(away)) << away;
  ASSERT_TRUE(server_->Restart().ok());
  EXPECT_TRUE(area->Flush(kOwner, digest)->complete);
}

TEST(S3Tls, OnlyATrustedCertificateIsSpokenTo) {
  const TempFolder folder;
  const std::string key = folder.path() / "key.pem", certificate = folder.path() / "cert.pem";
  const std::string command = StrCat(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=s3 ",
      "-addext subjectAltName=IP:127.0.0.1 -keyout ", key, " -out ", certificate, " 2>/dev/null");
  ASSERT_EQ(std::system(command.c_str()), 0);
  auto server = S3Server::Start({.certificate = certificate, .key = key});
  if (absl::IsNotFound(server.status())) GTEST_SKIP() << server.status().message();
  ASSERT_TRUE(server.ok()) << server.status();
  const auto blobs = S3Blobs::Open(MakeClient((*server)->Options("p")));
  ASSERT_TRUE(blobs.ok()) << blobs.status();
  EXPECT_TRUE(PutBlob(**blobs, "over TLS").ok());
  S3Options untrusting = (*server)->Options("p");
  untrusting.ca_file.clear();
  const absl::Status status = S3Blobs::Open(MakeClient(std::move(untrusting))).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("--s3-ca-file"));
}

}  // namespace
}  // namespace muster
