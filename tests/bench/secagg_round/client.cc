#include "tests/bench/secagg_round/client.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "aggregation/secagg/ring.h"
#include "coordinator/drive/offers.h"
#include "proto/codec/blob_codec.h"
#include "proto/codec/device_codec.h"
#include "proto/codec/secagg_codec.h"
#include "proto/core/limits.h"
#include "proto/core/strings.h"
#include "tests/bench/secagg_round/wire.h"

namespace muster {
namespace {

constexpr uint64_t kExamples = 100;
constexpr Duration kCertificateLifetime = std::chrono::hours(24 * 30);

DeviceId NameOf(uint64_t number) { return DeviceId::Trusted(StrCat("device-", number)); }

std::string_view AsText(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

BenchSigner::BenchSigner(DeviceId id, const CertificateAuthority& authority, Timestamp now)
    : id_(std::move(id)), key_(Must(EcPrivateKey::Generate())) {
  const IssuedCertificate issued = Must(
      authority.SignDeviceCsr(Must(MakeCertificateRequest(key_)), id_, kCertificateLifetime, now));
  certificate_ = Must(Certificate::FromPem(issued.certificate_pem)).ToDer();
}

MemoryFile::MemoryFile() : fd_(memfd_create("client", MFD_CLOEXEC)) {
  if (!fd_.valid()) Must(ErrnoStatus(errno, "making a file in memory", "client"));
}

void MemoryFile::Clear() {
  if (ftruncate(fd_.get(), 0) != 0) Must(ErrnoStatus(errno, "clearing", "client"));
  size_ = 0;
}

void MemoryFile::Append(std::string_view bytes) {
  const ssize_t written = pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(size_));
  if (written != static_cast<ssize_t>(bytes.size())) {
    Must(ErrnoStatus(errno, "writing", "client"));
  }
  size_ += bytes.size();
}

void MemoryFile::ReadAt(uint64_t offset, std::span<char> out) const {
  const ssize_t got = pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
  if (got != static_cast<ssize_t>(out.size())) Must(ErrnoStatus(errno, "reading", "client"));
}

void FillUpdate(uint64_t seed, uint64_t offset, std::span<float> out) {
  static const auto kTable = [] {
    auto table = std::make_unique<std::array<float, 1u << 14>>();
    SeededRandom random(1);
    for (float& value : *table) value = static_cast<float>(random.Unit() - 0.5);
    return table;
  }();
  constexpr uint64_t kStride = 997;  // between clients
  uint64_t at = (seed * kStride + offset) % kTable->size();
  while (!out.empty()) {
    const size_t run = std::min<size_t>(out.size(), kTable->size() - at);
    std::copy_n(kTable->begin() + static_cast<ptrdiff_t>(at), run, out.begin());
    out = out.subspan(run);
    at = 0;
  }
}

BenchClient::BenchClient(BenchCoordinator& coordinator, uint64_t number)
    : coordinator_(coordinator),
      number_(number),
      signer_(NameOf(number), coordinator.authority(), coordinator.clock().Now()),
      notary_(
          Must(DeviceNotary::Create(coordinator.authority().ca_pem(),
                                    coordinator.authority().trust_domain(), coordinator.clock()))) {
  Must(coordinator.store().Write([&](StoreTx& tx) { return tx.PutDevice({.id = signer_.id()}); }));
}

void BenchClient::CheckIn() {
  const muster::CheckIn check_in{.eligibility = {true, true, true, true, true, kExamples},
                                 .agent_version = "bench"};
  const CheckInAnswer answer = Must(coordinator_.dispatcher().CheckIn(
      signer_.id(), Must(DecodeCheckIn(OverWire(EncodeCheckIn(check_in))))));
  const CheckInAnswer told = Must(DecodeCheckInAnswer(OverWire(EncodeCheckInAnswer(answer))));
  if (told.invocations.size() != 1) Must(absl::InternalError("a client was not invited"));
  invocation_ = told.invocations.front();
}

void BenchClient::Upload(const Digest& digest, uint64_t size,
                         const std::function<void(uint64_t, std::span<char>)>& read) {
  StagingArea& staging = coordinator_.staging();
  const std::string owner = StagingOwner("device", signer_.id().value());
  const Digest asked = Must(DecodeStatUpload(OverWire(EncodeStatUpload(digest))));
  const StagedUpload held = Must(staging.Stat(owner, asked));
  Must(DecodeStatUploadAnswer(OverWire(EncodeStatUploadAnswer({held.offset, held.complete}))));

  std::string buffer(std::min<uint64_t>(limits::kChunkBytes, size), '\0');
  for (uint64_t at = held.offset; at < size;) {
    const size_t count = std::min<uint64_t>(buffer.size(), size - at);
    read(at, std::span(buffer.data(), count));
    const BlobChunk chunk{at, std::string_view(buffer.data(), count)};
    // What arrives refers to its message.
    v1::UploadChunk message;
    BlobChunk arrived;
    if (at == held.offset) {
      message = OverWire(EncodeUploadStart({digest, size, chunk}));
      arrived = Must(DecodeUploadStart(message)).chunk;
    } else {
      message = OverWire(EncodeUploadChunk(chunk));
      arrived = Must(DecodeUploadChunk(message, size));
    }
    Must(staging.Append(owner, digest, size, arrived.offset, arrived.data));
    at += count;
  }
  const StagedUpload staged = Must(staging.Flush(owner, digest));
  Must(DecodeUploadAnswer(OverWire(EncodeUploadAnswer({staged.offset, staged.complete}))));
}

BenchClient::Answer BenchClient::Submit(uint64_t parameters) {
  const uint64_t size = parameters * sizeof(float);
  const auto read = [&](uint64_t offset, std::span<char> out) {
    FillUpdate(number_, offset / sizeof(float),
               {reinterpret_cast<float*>(out.data()), out.size() / sizeof(float)});
  };
  Sha256Hasher hasher;
  std::vector<char> buffer(std::min<uint64_t>(limits::kChunkBytes, size));
  for (uint64_t at = 0; at < size; at += buffer.size()) {
    const auto part = std::span(buffer).first(std::min<uint64_t>(buffer.size(), size - at));
    read(at, part);
    hasher.Update({part.data(), part.size()});
  }
  const Digest digest = hasher.Finish();
  Upload(digest, size, read);
  const UpdateOffer offer{.invocation = invocation_.id,
                          .update = digest,
                          .examples = kExamples,
                          .metrics = {{"train_loss", 0.5}}};
  auto answer = std::make_shared<std::promise<OfferAnswer>>();
  coordinator_.intake().Offer(
      signer_.id(), Must(DecodeUpdateOffer(OverWire(EncodeUpdateOffer(offer)))),
      [answer](absl::StatusOr<OfferAnswer> told) {
        answer->set_value(
            Must(DecodeUpdateAnswer(OverWire(EncodeUpdateAnswer(Must(std::move(told)))))));
      });
  return answer->get_future();
}

template <typename Offer, typename Request>
OfferAnswer BenchClient::Tell(const Offer& offer, Request (*encode)(const Offer&),
                              absl::StatusOr<Offer> (*decode)(const Request&),
                              absl::StatusOr<OfferAnswer> (SecureExchange::*act)(const DeviceId&,
                                                                                 const Offer&)) {
  const OfferAnswer answer =
      Must((coordinator_.exchange().*act)(signer_.id(), Must(decode(OverWire(encode(offer))))));
  return Must(DecodeSecAggAnswer(OverWire(EncodeSecAggAnswer(answer))));
}

template <typename Wanted>
std::optional<Wanted> BenchClient::Await(secagg::AwaitedPhase phase) {
  const secagg::AwaitAsk ask{.invocation = invocation_.id, .phase = phase};
  const SecureExchange::Look look = Must(
      coordinator_.exchange().Await(signer_.id(), Must(DecodeAwait(OverWire(EncodeAwait(ask))))));
  secagg::Awaited told = Must(DecodeAwaited(OverWire(EncodeAwaited(look.answer))));
  if (auto* wanted = std::get_if<Wanted>(&told)) return std::move(*wanted);
  return std::nullopt;
}

namespace {

void MustBeAccepted(const OfferAnswer& answer) {
  if (answer.verdict == Verdict::kAccepted) return;
  Must(absl::InternalError(StrCat("a client was refused: ", answer.reason)));
}

}  // namespace

void BenchClient::Advertise() {
  const secagg::JoinAsk ask =
      Must(DecodeJoin(OverWire(EncodeJoin({.invocation = invocation_.id}))));
  const secagg::JoinAnswer joined = Must(coordinator_.exchange().Join(signer_.id(), ask));
  params_ = std::get<secagg::Params>(Must(DecodeJoinAnswer(OverWire(EncodeJoinAnswer(joined)))));
  secagg::Advertised state =
      Must(secagg::Advertise(params_, invocation_.package, signer_, random_));
  const secagg::AdvertOffer offer{.invocation = invocation_.id, .advert = state.advert};
  Keep(std::move(state));
  MustBeAccepted(Tell(offer, EncodeAdvertOffer, DecodeAdvertOffer, &SecureExchange::Advertise));
}

void BenchClient::Share() {
  const auto roster = Await<secagg::RosterView>(secagg::AwaitedPhase::kRoster);
  const secagg::ClientState before = State();
  secagg::Shared state = Must(secagg::Share(params_, std::get<secagg::Advertised>(before),
                                            roster.value(), notary_, signer_, random_));
  const secagg::ShareOffer offer{.invocation = invocation_.id, .bundle = state.bundle};
  Keep(std::move(state));
  MustBeAccepted(Tell(offer, EncodeShareOffer, DecodeShareOffer, &SecureExchange::Share));
}

void BenchClient::Mask() {
  const auto view = Await<secagg::SharesView>(secagg::AwaitedPhase::kShares);
  const secagg::ClientState before = State();
  secagg::Masking masking =
      Must(secagg::PrepareMasks(params_, std::get<secagg::Shared>(before), view.value(), notary_));
  const secagg::MaskSet masks(params_.cipher, params_.ring_bits, std::move(masking.masks));
  SeededRandom rounding(DeriveSeed(invocation_.seed, "rounding"));
  Sha256Hasher hasher;
  masked_.Clear();
  Must(secagg::EncodeUpdate(
           params_, {.examples = kExamples, .metrics = {{"train_loss", 0.5}}},
           [&](uint64_t offset, std::span<float> out) {
             FillUpdate(number_, offset, out);
             return absl::OkStatus();
           },
           rounding, random_,
           [&](uint64_t offset, std::span<uint8_t> bytes) {
             masks.Apply(offset, bytes);
             hasher.Update(AsText(bytes));
             masked_.Append(AsText(bytes));
             return absl::OkStatus();
           })
           .status());
  Keep(Must(secagg::FinishMasked(std::move(masking), hasher.Finish(), signer_)));
}

BenchClient::Answer BenchClient::SubmitMasked() {
  const secagg::ClientState state = State();
  const secagg::MaskedReport& report = std::get<secagg::Masked>(state).report;
  Upload(report.vector, masked_.size(),
         [&](uint64_t offset, std::span<char> out) { masked_.ReadAt(offset, out); });
  masked_.Clear();
  const secagg::MaskedOffer offer{.invocation = invocation_.id, .report = report};
  auto answer = std::make_shared<std::promise<OfferAnswer>>();
  coordinator_.exchange().SubmitMasked(
      signer_.id(), Must(DecodeMaskedOffer(OverWire(EncodeMaskedOffer(offer)))),
      [answer](absl::StatusOr<OfferAnswer> told) {
        answer->set_value(
            Must(DecodeSecAggAnswer(OverWire(EncodeSecAggAnswer(Must(std::move(told)))))));
      });
  return answer->get_future();
}

bool BenchClient::Unmask() {
  const auto request = Await<secagg::UnmaskRequest>(secagg::AwaitedPhase::kUnmask);
  if (!request) return false;
  const secagg::ClientState before = State();
  secagg::Answered state = Must(secagg::Unmask(params_, before, *request, notary_));
  const secagg::UnmaskOffer offer{.invocation = invocation_.id, .reply = state.reply};
  Keep(std::move(state));
  return Tell(offer, EncodeUnmaskOffer, DecodeUnmaskOffer, &SecureExchange::Unmask).verdict ==
         Verdict::kAccepted;
}

void BenchClient::Keep(const secagg::ClientState& state) {
  state_.Clear();
  state_.Append(secagg::EncodeState(state));
}

secagg::ClientState BenchClient::State() const {
  std::string bytes(state_.size(), '\0');
  state_.ReadAt(0, bytes);
  return Must(secagg::ParseState(bytes));
}

}  // namespace muster
