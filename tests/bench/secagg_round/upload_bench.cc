// What a client of a large round uploads: 1000 clients, 1 million parameters in a ring of 32 bits,
// one client in ten drops out. Prints
//   upload_bytes_over_params RATIO    (target <= 1.02): all messages of all phases, against 4 bytes
//                                     for each parameter
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "aggregation/secagg/coordinator/coordinator.h"
#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/transcript.h"
#include "proto/codec/blob_codec.h"
#include "proto/codec/secagg_codec.h"
#include "proto/core/limits.h"
#include "tests/bench/secagg_round/client.h"
#include "tests/bench/secagg_round/coordinator.h"
#include "tests/bench/secagg_round/wire.h"

namespace muster {
namespace {

constexpr uint32_t kClients = 1000;
constexpr uint32_t kDropsEvery = 10;
constexpr uint64_t kParameters = 1'000'000;

secagg::Params SessionParams() {
  secagg::Params params{.job = JobId::Trusted("j-00000000"),
                        .round = 1,
                        .attempt = 1,
                        .model = Sha256("model"),
                        .dimension = kParameters,
                        .metrics = {"train_accuracy", "train_loss"},
                        .clip_lane = true,
                        .examples_cap = 100,
                        .ring_bits = 32,
                        .clip = 1000,
                        .min_clients = kClients * 8 / 10,
                        .max_clients = kClients,
                        .drop = 0.1,
                        .corrupt = 0.1,
                        .nonce = Sha256("nonce")};
  params.scale = Must(secagg::FullScale(params));
  return params;
}

// A session in which one client goes all the way, and what it says is weighed. Of the others only
// its neighbours share their secrets.
class Session {
 public:
  explicit Session(const std::filesystem::path& folder)
      : authority_(NewAuthority(folder, clock_)),
        notary_(
            Must(DeviceNotary::Create(authority_.ca_pem(), authority_.trust_domain(), clock_))) {}

  // Bytes that the client of index 0 sends, with every message's framing.
  uint64_t Weigh() {
    Advertise();
    const secagg::Shared shared = Share(kIndex);
    Send(EncodeShareOffer({invocation_, shared.bundle}));
    secagg::Masked masked = Mask(shared);
    Send(EncodeMaskedOffer({invocation_, masked.report, {}}));
    secagg::ClientSet survivors = secagg::MakeSet(kClients);
    for (uint32_t i = 0; i < kClients; ++i) {
      if (i % kDropsEvery != 1) secagg::Insert(survivors, i);
    }
    Ask(secagg::AwaitedPhase::kUnmask);
    const secagg::Answered answered = Must(secagg::Unmask(
        params_, secagg::ClientState(std::move(masked)), {.survivors = survivors}, notary_));
    Send(EncodeUnmaskOffer({invocation_, answered.reply}));
    Ask(secagg::AwaitedPhase::kOutcome);
    return bytes_;
  }
  uint32_t neighbours() const { return roster_->neighbours(); }
  uint64_t vector_bytes() const { return secagg::VectorBytes(params_); }

 private:
  static constexpr uint32_t kIndex = 0;

  static CertificateAuthority NewAuthority(const std::filesystem::path& folder, Clock& clock) {
    SystemRandom random;
    Must(CertificateAuthority::Create(folder / "identity", random, clock.Now()));
    return Must(CertificateAuthority::Open(folder / "identity"));
  }

  template <typename Message>
  void Send(const Message& message) {
    OverWire(message, &bytes_);
  }
  void Ask(secagg::AwaitedPhase phase) {
    Send(EncodeAwait({invocation_, phase, std::chrono::seconds(20)}));
  }

  void Advertise() {
    Send(EncodeJoin({invocation_}));
    std::vector<secagg::Advert> adverts;
    for (uint32_t i = 0; i < kClients; ++i) {
      // In the order of their names, which is that of the roster.
      const DeviceId id = DeviceId::Trusted("device-" + std::to_string(10'000 + i));
      signers_.push_back(std::make_unique<BenchSigner>(id, authority_, clock_.Now()));
      states_.push_back(Must(secagg::Advertise(params_, params_.model, *signers_.back(), random_)));
      adverts.push_back(states_.back().advert);
    }
    Send(EncodeAdvertOffer({invocation_, adverts[kIndex], {}}));
    roster_ =
        std::make_unique<secagg::Roster>(Must(secagg::FreezeRoster(params_, std::move(adverts))));
  }

  secagg::Shared Share(uint32_t index) {
    if (index == kIndex) Ask(secagg::AwaitedPhase::kRoster);
    return Must(secagg::Share(params_, states_[index], roster_->ViewFor(index), notary_,
                              *signers_[index], random_));
  }

  secagg::Masked Mask(const secagg::Shared& shared) {
    std::map<uint32_t, secagg::ShareBundle> bundles;
    secagg::ClientSet sharers = secagg::MakeSet(kClients);
    for (const uint32_t neighbour : roster_->graph().NeighboursOf(kIndex)) {
      bundles[neighbour] = Share(neighbour).bundle;
      secagg::Insert(sharers, neighbour);
    }
    Ask(secagg::AwaitedPhase::kShares);
    const secagg::SharesView view = secagg::SharesFor(
        *roster_, kIndex, sharers,
        [&](uint32_t index) -> const secagg::ShareBundle& { return bundles.at(index); });
    secagg::Masking masking = Must(secagg::PrepareMasks(params_, shared, view, notary_));
    const std::string vector = MaskedVector(std::move(masking.masks));
    const Digest digest = Sha256(vector);
    Send(EncodeStatUpload(digest));
    for (uint64_t at = 0; at < vector.size(); at += limits::kChunkBytes) {
      const BlobChunk chunk{at, std::string_view(vector).substr(at, limits::kChunkBytes)};
      Send(at == 0 ? EncodeUploadStart({digest, vector.size(), chunk}) : EncodeUploadChunk(chunk));
    }
    return Must(secagg::FinishMasked(std::move(masking), digest, *signers_[kIndex]));
  }

  std::string MaskedVector(std::vector<secagg::SignedMask> signed_masks) {
    const secagg::MaskSet masks(params_.cipher, params_.ring_bits, std::move(signed_masks));
    std::string vector;
    Must(secagg::EncodeUpdate(
             params_, {.examples = 100, .metrics = {{"train_loss", 0.5}}},
             [](uint64_t offset, std::span<float> out) {
               FillUpdate(kIndex, offset, out);
               return absl::OkStatus();
             },
             random_, random_,
             [&](uint64_t offset, std::span<uint8_t> bytes) {
               masks.Apply(offset, bytes);
               vector.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
               return absl::OkStatus();
             })
             .status());
    return vector;
  }

  SystemClock clock_;
  SystemRandom random_;
  const CertificateAuthority authority_;
  const DeviceNotary notary_;
  const secagg::Params params_ = SessionParams();
  // As the driver names them.
  const InvocationId invocation_ =
      InvocationId::Trusted("i-" + Sha256("invocation").hex().substr(0, 32));
  std::vector<std::unique_ptr<BenchSigner>> signers_;
  std::vector<secagg::Advertised> states_;
  std::unique_ptr<secagg::Roster> roster_;
  uint64_t bytes_ = 0;
};

void UploadBytesOverParams(benchmark::State& state) {
  for (auto _ : state) {
    const BenchFolder folder;
    Session session(folder.path());
    const uint64_t bytes = session.Weigh();
    state.counters["neighbours"] = session.neighbours();
    state.counters["bytes"] = static_cast<double>(bytes);
    state.counters["beside_the_vector"] = static_cast<double>(bytes - session.vector_bytes());
    std::printf("upload_bytes_over_params %.5f\n",
                static_cast<double>(bytes) / static_cast<double>(kParameters * sizeof(float)));
  }
}
BENCHMARK(UploadBytesOverParams)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace muster
