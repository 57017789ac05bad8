// A whole session of secure aggregation in one process: the real steps of clients and coordinator,
// with test keys and chance from a seed. Clients may stop after any step; in between, tests may
// look at and change everything.
//
//   SecAggSession session({.clients = 6, .mode = Mode::kMalicious});
//   absl::Status status = session.Run();     // or Advertise(), Share(), Mask(), ... one by one
//   session.sum() == session.Expected()
#pragma once

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "aggregation/secagg/client/client.h"
#include "aggregation/secagg/coordinator/coordinator.h"
#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/transcript.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {

// Certificates and signatures that anybody could forge, but that differ whenever a real one would,
// and are the same in every run (ECDSA is not).
class TestSigner final : public Signer {
 public:
  explicit TestSigner(DeviceId id) : id_(std::move(id)), certificate_(CertificateOf(id_)) {}
  const DeviceId& id() const override { return id_; }
  const std::string& certificate() const override { return certificate_; }
  absl::StatusOr<std::string> Sign(std::string_view statement) const override {
    return SignatureOf(id_, statement);
  }

  static std::string CertificateOf(const DeviceId& id) {
    return StrCat("certificate of ", id.value());
  }
  static std::string SignatureOf(const DeviceId& id, std::string_view statement) {
    const Digest digest = Transcript("test signature").Add(id.value()).Add(statement).Hash();
    return std::string(digest.bytes());
  }

 private:
  DeviceId id_;
  std::string certificate_;
};

class TestNotary final : public Notary {
 public:
  absl::Status Verify(const DeviceId& client, std::string_view certificate,
                      std::string_view statement, std::string_view signature) const override {
    if (certificate != TestSigner::CertificateOf(client)) {
      return absl::UnauthenticatedError("the certificate is another device's");
    }
    if (signature != TestSigner::SignatureOf(client, statement)) {
      return absl::UnauthenticatedError("the signature does not verify");
    }
    return absl::OkStatus();
  }
};

// The last thing that a client does.
enum class LastStep { kNothing, kAdvertise, kShare, kMasked, kConsent, kUnmask };

struct SecAggOptions {
  uint32_t clients = 5;
  uint32_t min_clients = 4;
  Mode mode = Mode::kSemiHonest;
  MaskCipher cipher = MaskCipher::kAes128Ctr;
  uint32_t ring_bits = 32;
  uint64_t dimension = 16;
  double drop = 0.1;
  double corrupt = 0.1;
  uint64_t seed = 1;  // of keys, shares and clear vectors
  // Order of arrival, cuts into chunks: must not matter.
  uint64_t arrival_seed = 1;
  // Whether clients and coordinator lose their memory after every step, and go on from what they
  // stored.
  bool crashes = false;
};

struct SecAggClient {
  explicit SecAggClient(DeviceId id, uint64_t seed)
      : signer(std::move(id)), random(DeriveSeed(seed, signer.id().value())) {}
  // A copy goes on by itself, from what this one stored.
  SecAggClient(const SecAggClient& other)
      : signer(other.signer),
        random(other.random),
        clear(other.clear),
        masked(other.masked),
        state(Stored(other.state)) {}
  SecAggClient(SecAggClient&&) noexcept = default;
  const DeviceId& id() const { return signer.id(); }
  static ClientState Stored(const ClientState& state) {
    auto parsed = ParseState(EncodeState(state));
    if (!parsed.ok()) std::abort();  // what was stored must be readable
    return *std::move(parsed);
  }

  TestSigner signer;
  SeededRandom random;
  std::vector<uint8_t> clear, masked;  // vectors
  ClientState state = Refused{.reason = "did not begin"};
};

// Copies go on from where they were made, each by itself.
class SecAggSession {
 public:
  explicit SecAggSession(SecAggOptions options)
      : options_(options), arrival_(DeriveSeed(options.arrival_seed, "arrival")) {
    params = MakeParams(options);
    for (uint32_t i = 0; i < options.clients; ++i) {
      SecAggClient& client = clients.emplace_back(IdOf(i), options.seed);
      client.clear.resize(VectorBytes(params));
      SeededRandom(DeriveSeed(options.seed, StrCat("vector ", i))).Fill(client.clear);
    }
  }

  static DeviceId IdOf(uint32_t client) {
    const std::string digits = std::to_string(100'000 + client);
    return DeviceId::Trusted("c" + digits.substr(1));
  }
  static Params MakeParams(const SecAggOptions& options) {
    SeededRandom random(DeriveSeed(options.seed, "nonce"));
    std::array<uint8_t, Digest::kSize> nonce;
    random.Fill(nonce);
    Params params{.job = JobId::Trusted("job"),
                  .round = 3,
                  .attempt = 1,
                  .model = Sha256("model"),
                  .dimension = options.dimension,
                  .ring_bits = options.ring_bits,
                  .clip = 1,
                  .scale = 1,
                  .min_clients = options.min_clients,
                  .max_clients = std::max(options.clients, options.min_clients),
                  .drop = options.drop,
                  .corrupt = options.corrupt,
                  .mode = options.mode,
                  .cipher = options.cipher,
                  .nonce = Digest(nonce)};
    params.scale = FullScale(params).value();
    return params;
  }

  using Takes = std::function<bool(uint32_t client)>;  // whether it takes this step
  static bool All(uint32_t) { return true; }

  // Phase by phase. An error is the coordinator's: it gives the session up. Clients that refuse and
  // messages that are refused are in `refusals`.
  absl::Status Advertise(const Takes& takes = All) {
    ForEachClient(takes, [this](SecAggClient& client) -> absl::Status {
      MUSTER_ASSIGN_OR_RETURN(
          Advertised next, secagg::Advertise(params, params.model, client.signer, client.random));
      const Advert advert = next.advert;
      Become(client, std::move(next));
      MUSTER_RETURN_IF_ERROR(CheckAdvert(params, client.id(), advert, notary));
      adverts.push_back(advert);
      return absl::OkStatus();
    });
    MUSTER_ASSIGN_OR_RETURN(Roster frozen, FreezeRoster(params, adverts));
    roster_.emplace(std::move(frozen));
    return absl::OkStatus();
  }

  absl::Status Share(const Takes& takes = All) {
    RestartCoordinator();
    ClientSet shared = MakeSet(roster().size());
    ForEachClient(takes, [&](SecAggClient& client) -> absl::Status {
      const auto* state = std::get_if<Advertised>(&client.state);
      if (state == nullptr) return absl::OkStatus();
      const uint32_t index = IndexOf(client);
      MUSTER_ASSIGN_OR_RETURN(Shared next, secagg::Share(params, *state, roster().ViewFor(index),
                                                         notary, client.signer, client.random));
      const ShareBundle bundle = next.bundle;
      Become(client, std::move(next));
      MUSTER_RETURN_IF_ERROR(CheckBundle(roster(), index, bundle, notary));
      bundles[index] = bundle;
      Insert(shared, index);
      return absl::OkStatus();
    });
    MUSTER_ASSIGN_OR_RETURN(sharers, FreezeSharers(roster(), shared));
    return absl::OkStatus();
  }

  absl::Status Mask(const Takes& takes = All) {
    RestartCoordinator();
    sum_.emplace(params.ring_bits, VectorLength(params));
    ClientSet reported = MakeSet(roster().size());
    ForEachClient(takes, [&](SecAggClient& client) -> absl::Status {
      const auto* state = std::get_if<Shared>(&client.state);
      if (state == nullptr || !Contains(sharers, IndexOf(client))) return absl::OkStatus();
      const uint32_t index = IndexOf(client);
      MUSTER_ASSIGN_OR_RETURN(Masking masking,
                              PrepareMasks(params, *state, SharesOf(index), notary));
      client.masked = client.clear;
      ApplyInChunks(MaskSet(params.cipher, params.ring_bits, std::move(masking.masks)),
                    client.masked);
      MUSTER_ASSIGN_OR_RETURN(
          Masked next,
          FinishMasked(std::move(masking), Sha256(Text(client.masked)), client.signer));
      const MaskedReport report = next.report;
      Become(client, std::move(next));
      MUSTER_RETURN_IF_ERROR(CheckMasked(roster(), sharers, index, report, notary));
      AddInChunks(client.masked);
      reports[index] = report;
      Insert(reported, index);
      return absl::OkStatus();
    });
    MUSTER_ASSIGN_OR_RETURN(survivors, FreezeSurvivors(roster(), sharers, reported));
    return absl::OkStatus();
  }

  void Consent(const Takes& takes = All) {  // malicious mode
    RestartCoordinator();
    ForEachClient(takes, [this](SecAggClient& client) -> absl::Status {
      const auto* state = std::get_if<Masked>(&client.state);
      if (state == nullptr || !Contains(survivors, IndexOf(client))) return absl::OkStatus();
      MUSTER_ASSIGN_OR_RETURN(Agreed next, Agree(params, *state, survivors, client.signer));
      const secagg::Consent consent = next.consent;
      Become(client, std::move(next));
      MUSTER_RETURN_IF_ERROR(CheckConsent(roster(), IndexOf(client), survivors, consent, notary));
      consents[IndexOf(client)] = consent;
      return absl::OkStatus();
    });
  }

  void Answer(const Takes& takes = All) {
    RestartCoordinator();
    ForEachClient(takes, [this](SecAggClient& client) -> absl::Status {
      const bool ready = params.mode == Mode::kMalicious
                             ? std::holds_alternative<Agreed>(client.state)
                             : std::holds_alternative<Masked>(client.state);
      if (!ready || !Contains(survivors, IndexOf(client))) return absl::OkStatus();
      const uint32_t index = IndexOf(client);
      const UnmaskRequest request = RequestFor(roster(), index, survivors, consents);
      MUSTER_ASSIGN_OR_RETURN(Answered next, secagg::Unmask(params, client.state, request, notary));
      const UnmaskReply reply = next.reply;
      Become(client, std::move(next));
      MUSTER_RETURN_IF_ERROR(CheckReply(roster(), sharers, survivors, index, reply));
      replies[index] = reply;
      return absl::OkStatus();
    });
  }

  absl::Status Finish(unsigned threads = 1) {
    RestartCoordinator();
    const std::map<uint32_t, Digest> commitments = Commitments();
    return UnmaskSum({.roster = roster(),
                      .sharers = sharers,
                      .survivors = survivors,
                      .commitments = commitments,
                      .replies = replies},
                     *sum_, threads);
  }

  // All of it. `last`: of each client; empty: nobody drops out.
  absl::Status Run(const std::vector<LastStep>& last = {}) {
    const auto until = [&last](LastStep step) -> Takes {
      return [&last, step](uint32_t client) { return last.empty() || last[client] >= step; };
    };
    MUSTER_RETURN_IF_ERROR(Advertise(until(LastStep::kAdvertise)));
    MUSTER_RETURN_IF_ERROR(Share(until(LastStep::kShare)));
    MUSTER_RETURN_IF_ERROR(Mask(until(LastStep::kMasked)));
    if (params.mode == Mode::kMalicious) Consent(until(LastStep::kConsent));
    Answer(until(LastStep::kUnmask));
    return Finish();
  }

  const Roster& roster() const { return *roster_; }
  RingSum& sum() { return *sum_; }
  uint32_t IndexOf(const SecAggClient& client) const { return *roster().IndexOf(client.id()); }
  SharesView SharesOf(uint32_t index) const {
    return SharesFor(roster(), index, sharers,
                     [this](uint32_t sender) -> const ShareBundle& { return bundles.at(sender); });
  }
  std::map<uint32_t, Digest> Commitments() const {
    std::map<uint32_t, Digest> commitments;
    for (const auto& [index, bundle] : bundles) commitments[index] = bundle.commitment;
    return commitments;
  }
  // The plain sum of the survivors' clear vectors.
  RingSum Expected() const {
    RingSum sum(params.ring_bits, VectorLength(params));
    for (const SecAggClient& client : clients) {
      const auto index = roster().IndexOf(client.id());
      if (!index || !Contains(survivors, *index)) continue;
      sum.AddChunk(0, client.clear);
      sum.FinishClient();
    }
    return sum;
  }
  static std::string_view Text(const std::vector<uint8_t>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  // As after kill -9: the client goes on from what it stored.
  static void Restart(SecAggClient& client) { client.state = SecAggClient::Stored(client.state); }
  void RestartCoordinator() {
    if (!options_.crashes || !roster_) return;
    Shuffle(adverts);
    roster_.emplace(FreezeRoster(params, adverts).value());
  }

  Params params;
  TestNotary notary;
  std::vector<SecAggClient> clients;
  std::vector<Advert> adverts;  // in order of arrival
  std::map<uint32_t, ShareBundle> bundles;
  ClientSet sharers, survivors;
  std::map<uint32_t, MaskedReport> reports;
  std::map<uint32_t, secagg::Consent> consents;
  std::map<uint32_t, UnmaskReply> replies;
  std::map<uint32_t, absl::Status> refusals;  // by client

 private:
  template <typename T>
  void Shuffle(std::vector<T>& things) {
    for (size_t i = things.size(); i > 1; --i) std::swap(things[i - 1], things[arrival_.Below(i)]);
  }

  void ForEachClient(const Takes& takes, const std::function<absl::Status(SecAggClient&)>& step) {
    std::vector<uint32_t> order(clients.size());
    std::iota(order.begin(), order.end(), 0u);
    Shuffle(order);
    for (const uint32_t i : order) {
      if (refusals.contains(i) || !takes(i)) continue;
      const absl::Status status = step(clients[i]);
      if (status.ok()) continue;
      refusals[i] = status;
      clients[i].state = Refused{.reason = std::string(status.message())};
    }
  }

  template <typename State>
  void Become(SecAggClient& client, State next) {
    client.state = std::move(next);
    if (options_.crashes) Restart(client);
  }

  // Cuts of whole elements, in any order.
  std::vector<std::pair<uint64_t, uint64_t>> Cuts(uint64_t bytes) {
    const uint64_t element = params.ring_bits / 8;
    std::vector<std::pair<uint64_t, uint64_t>> cuts;  // offset, size
    for (uint64_t offset = 0; offset < bytes;) {
      const uint64_t most = std::max<uint64_t>(bytes / element / 2, 1);
      const uint64_t size = std::min((1 + arrival_.Below(most)) * element, bytes - offset);
      cuts.emplace_back(offset, size);
      offset += size;
    }
    Shuffle(cuts);
    return cuts;
  }
  void ApplyInChunks(const MaskSet& masks, std::vector<uint8_t>& vector) {
    for (const auto& [offset, size] : Cuts(vector.size())) {
      masks.Apply(offset, std::span(vector).subspan(offset, size));
    }
  }
  void AddInChunks(const std::vector<uint8_t>& vector) {
    for (const auto& [offset, size] : Cuts(vector.size())) {
      sum_->AddChunk(offset, std::span(vector).subspan(offset, size));
    }
    sum_->FinishClient();
  }

  SecAggOptions options_;
  SeededRandom arrival_;
  std::optional<Roster> roster_;
  std::optional<RingSum> sum_;
};

}  // namespace muster::secagg
