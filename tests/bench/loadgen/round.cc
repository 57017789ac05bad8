#include "tests/bench/loadgen/round.h"

#include <chrono>
#include <cmath>
#include <utility>

#include "models/package/package.h"
#include "proto/codec/device_codec.h"
#include "proto/codec/model_codec.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "tests/bench/loadgen/participant.h"

namespace muster::load {
namespace {

using DeviceAsync = v1::DeviceService::StubInterface::async_interface;

constexpr Duration kPollPause = std::chrono::milliseconds(200);

// Spreads a share of the numbers 0, 1, 2, ... evenly over them.
bool InShare(double share, uint32_t number) {
  return std::floor((number + 1) * share) > std::floor(number * share);
}

Duration Since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - start);
}

}  // namespace

Participant::Participant(const RoundParts& parts, VirtualDevice& device, uint32_t number)
    : parts_(parts),
      device_(device),
      number_(number),
      slow_(InShare(parts.plan.slow, number)),
      leaves_(InShare(parts.plan.dropped, number)),
      leaves_late_(InShare(parts.plan.dropped / 2, number)) {}

Co<absl::StatusOr<std::string>> Participant::Run() {
  LOAD_RETURN_IF_ERROR(co_await TakeInvitation());
  co_await parts_.heavy.Enter();
  const absl::Status fetched = Fetch();
  co_await parts_.caller.pool.Enter();
  LOAD_RETURN_IF_ERROR(fetched);
  if (invocation_.secure) co_return co_await Secure();
  co_return co_await Clear();
}

Co<absl::Status> Participant::TakeInvitation() {
  while (true) {
    LOAD_ASSIGN_OR_RETURN(const CheckInAnswer answer,
                          co_await device_.CheckIn(parts_.caller, limits::kMaxCheckInWait));
    for (const Invocation& invocation : answer.invocations) {
      if (invocation.job != parts_.plan.job) continue;
      if (invocation.function != FunctionKind::kTrain) continue;
      invocation_ = invocation;
      co_return absl::OkStatus();
    }
    co_await parts_.caller.pool.Sleep(kPollPause);
  }
}

absl::Status Participant::FetchBlob(BlobTransfer& blobs, const Digest& digest,
                                    std::string* keep) const {
  Sha256Hasher hasher;
  const auto sink = [&](uint64_t, std::string_view data) {
    hasher.Update(data);
    if (keep != nullptr) keep->append(data);
    return absl::OkStatus();
  };
  MUSTER_RETURN_IF_ERROR(blobs.Read(digest, 0, sink, Bounds{}));
  if (hasher.Finish() == digest) return absl::OkStatus();
  return absl::DataLossError("a blob is not what its digest says");
}

absl::Status Participant::Fetch() {
  const auto started = std::chrono::steady_clock::now();
  BlobTransfer blobs(device_.channel());
  std::string envelope, manifest_json;
  MUSTER_RETURN_IF_ERROR(FetchBlob(blobs, invocation_.package, &envelope));
  MUSTER_ASSIGN_OR_RETURN(const PackageVerifier verifier,
                          PackageVerifier::FromPublicKeyPem(device_.identity().package_key_pem));
  MUSTER_ASSIGN_OR_RETURN(const Package package, verifier.Verify(envelope));
  for (const Resource& resource : package.resources) {
    const bool manifest = resource.name == kManifestResource;
    if (!manifest && !parts_.plan.download) continue;
    MUSTER_RETURN_IF_ERROR(FetchBlob(blobs, resource.digest, manifest ? &manifest_json : nullptr));
  }
  MUSTER_ASSIGN_OR_RETURN(const Manifest manifest, ManifestFromJson(manifest_json));
  dimension_ = manifest.layout.shared_size();
  parts_.caller.figures.AddBytes(0, blobs.bytes_down());
  parts_.caller.figures.calls("Download").Add(Since(started));
  return absl::OkStatus();
}

SpoolFile Participant::Spool() const {
  return SpoolFile(parts_.plan.spool / StrCat("vector-", number_));
}

absl::Status Participant::Upload(const Digest& digest, const SpoolFile& file) const {
  const auto started = std::chrono::steady_clock::now();
  BlobTransfer blobs(device_.channel());
  MUSTER_RETURN_IF_ERROR(blobs.Upload(digest, file.path(), Bounds{}));
  parts_.caller.figures.AddBytes(blobs.bytes_up(), 0);
  parts_.caller.figures.calls("Upload").Add(Since(started));
  return absl::OkStatus();
}

Co<void> Participant::PauseIfSlow() {
  if (slow_) co_await parts_.caller.pool.Sleep(parts_.plan.slow_pause);
}

absl::StatusOr<Digest> Participant::MakeAndUpload() const {
  const SpoolFile file = Spool();
  MUSTER_ASSIGN_OR_RETURN(const Digest digest, WriteUpdate(number_, dimension_, file));
  MUSTER_RETURN_IF_ERROR(Upload(digest, file));
  return digest;
}

Co<absl::StatusOr<std::string>> Participant::Clear() {
  co_await PauseIfSlow();
  if (!leaves_ || leaves_late_) {
    co_await parts_.heavy.Enter();
    absl::StatusOr<Digest> made = MakeAndUpload();
    co_await parts_.caller.pool.Enter();
    LOAD_ASSIGN_OR_RETURN(const Digest update, std::move(made));
    co_await PauseIfSlow();
    if (!leaves_) {
      const UpdateOffer offer{.invocation = invocation_.id,
                              .update = update,
                              .examples = kExamples,
                              .metrics = {{"train_loss", 0.5}},
                              .metering = {}};
      const v1::SubmitUpdateRequest request = EncodeUpdateOffer(offer);
      auto call = Call(parts_.caller, "SubmitUpdate", *device_.service().async(),
                       &DeviceAsync::SubmitUpdate, request);
      LOAD_ASSIGN_OR_RETURN(const v1::SubmitUpdateResponse wire, co_await call);
      LOAD_ASSIGN_OR_RETURN(const OfferAnswer answer, DecodeUpdateAnswer(wire));
      if (answer.verdict != Verdict::kRefused) co_return std::string("accepted");
      co_return absl::FailedPreconditionError(answer.reason);
    }
  }
  if (parts_.plan.drop_silently) co_return std::string("left");
  const ResultOffer offer{.invocation = invocation_.id,
                          .metrics = {},
                          .metering = {},
                          .failure = "it was told to leave"};
  const v1::SubmitResultRequest request = EncodeResultOffer(offer);
  auto call = Call(parts_.caller, "SubmitResult", *device_.service().async(),
                   &DeviceAsync::SubmitResult, request);
  LOAD_RETURN_IF_ERROR((co_await call).status());
  co_return std::string("left");
}

absl::Status SharedNotary::Verify(const DeviceId& client, std::string_view certificate,
                                  std::string_view statement, std::string_view signature) const {
  const std::pair<DeviceId, std::string> key(client, certificate);
  {
    std::unique_lock lock(mutex_);
    if (const auto known = known_.find(key); known != known_.end()) {
      const EcPublicKey& public_key = known->second;  // nothing is ever taken out
      lock.unlock();
      return public_key.Verify(statement, signature);
    }
  }
  MUSTER_RETURN_IF_ERROR(checks_.Verify(client, certificate, statement, signature));
  MUSTER_ASSIGN_OR_RETURN(const Certificate leaf, Certificate::FromDer(certificate));
  MUSTER_ASSIGN_OR_RETURN(EcPublicKey public_key, leaf.PublicKey());
  std::lock_guard lock(mutex_);
  known_.emplace(key, std::move(public_key));
  return absl::OkStatus();
}

Co<void> TakePart(RoundParts parts, VirtualDevice& device, uint32_t number) {
  Participant participant(parts, device, number);
  const absl::StatusOr<std::string> ended = co_await participant.Run();
  if (ended.ok()) {
    parts.caller.figures.Count(*ended);
  } else if (absl::IsFailedPrecondition(ended.status())) {
    parts.caller.figures.Count(StrCat("refused: ", ended.status().message()));
  } else {
    parts.caller.figures.Count(StrCat("failed: ", ended.status().ToString()));
  }
}

}  // namespace muster::load
