#include "tests/unit/agent/secagg_fleet.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>

#include "aggregation/secagg/transcript.h"
#include "proto/codec/secagg_codec.h"
#include "proto/core/status.h"
#include "proto/transport/grpc_status.h"

namespace muster {

using secagg::AwaitedPhase;
using secagg::ClientSet;

std::string SecAggFleet::AwaitName(AwaitedPhase phase) {
  constexpr const char* kNames[] = {"roster", "shares", "survivors", "unmask", "outcome"};
  return std::string("Await ") + kNames[static_cast<size_t>(phase)];
}

class SecAggFleet::Service final : public v1::SecureAggregationService::Service {
 public:
  explicit Service(SecAggFleet& fleet) : f_(fleet) {}

  grpc::Status Join(grpc::ServerContext*, const v1::JoinRequest* request,
                    v1::JoinResponse* response) override {
    std::lock_guard lock(f_.mutex_);
    const DeviceId client = Caller("Join", *request);
    secagg::JoinAnswer answer = f_.shown_;
    if (f_.gone_.contains(client)) answer = secagg::Closed{"the session goes on without it"};
    *response = EncodeJoinAnswer(answer);
    return grpc::Status::OK;
  }

  grpc::Status Advertise(grpc::ServerContext*, const v1::AdvertiseRequest* request,
                         v1::SecAggAnswer* response) override {
    return Take(
        "Advertise", *request, response, DecodeAdvertOffer,
        [&](const DeviceId& client, const secagg::AdvertOffer& offer) -> absl::Status {
          MUSTER_RETURN_IF_ERROR(secagg::CheckAdvert(f_.params_, client, offer.advert, f_.notary_));
          return Put(f_.adverts_, client, offer.advert, !f_.roster_.has_value());
        });
  }
  grpc::Status Share(grpc::ServerContext*, const v1::ShareRequest* request,
                     v1::SecAggAnswer* response) override {
    return Take(
        "Share", *request, response, DecodeShareOffer,
        [&](const DeviceId& client, const secagg::ShareOffer& offer) -> absl::Status {
          const uint32_t index = *f_.roster_->IndexOf(client);
          MUSTER_RETURN_IF_ERROR(secagg::CheckBundle(*f_.roster_, index, offer.bundle, f_.notary_));
          return Put(f_.bundles_, index, offer.bundle, f_.sharers_.empty());
        });
  }
  grpc::Status SubmitMasked(grpc::ServerContext*, const v1::SubmitMaskedRequest* request,
                            v1::SecAggAnswer* response) override {
    return Take(
        "SubmitMasked", *request, response, DecodeMaskedOffer,
        [&](const DeviceId& client, const secagg::MaskedOffer& offer) -> absl::Status {
          const uint32_t index = *f_.roster_->IndexOf(client);
          MUSTER_RETURN_IF_ERROR(
              secagg::CheckMasked(*f_.roster_, f_.sharers_, index, offer.report, f_.notary_));
          const bool fresh = !f_.reports_.contains(index);
          if (fresh && !IsStaged(offer.report.vector)) {
            return absl::NotFoundError("no such upload is staged");
          }
          MUSTER_RETURN_IF_ERROR(Put(f_.reports_, index, offer.report, f_.survivors_.empty()));
          Add(offer.report.vector);
          return absl::OkStatus();
        });
  }
  grpc::Status Agree(grpc::ServerContext*, const v1::AgreeRequest* request,
                     v1::SecAggAnswer* response) override {
    return Take("Agree", *request, response, DecodeConsentOffer,
                [&](const DeviceId& client, const secagg::ConsentOffer& offer) -> absl::Status {
                  const uint32_t index = *f_.roster_->IndexOf(client);
                  MUSTER_RETURN_IF_ERROR(secagg::CheckConsent(*f_.roster_, index, f_.survivors_,
                                                              offer.consent, f_.notary_));
                  return Put(f_.consents_, index, offer.consent, true);
                });
  }
  grpc::Status Unmask(grpc::ServerContext*, const v1::UnmaskSharesRequest* request,
                      v1::SecAggAnswer* response) override {
    return Take("Unmask", *request, response, DecodeUnmaskOffer,
                [&](const DeviceId& client, const secagg::UnmaskOffer& offer) -> absl::Status {
                  const uint32_t index = *f_.roster_->IndexOf(client);
                  MUSTER_RETURN_IF_ERROR(secagg::CheckReply(*f_.roster_, f_.sharers_, f_.survivors_,
                                                            index, offer.reply));
                  return Put(f_.replies_, index, offer.reply, true);
                });
  }
  grpc::Status Refuse(grpc::ServerContext*, const v1::RefuseRequest* request,
                      v1::SecAggAnswer* response) override {
    return Take("Refuse", *request, response, DecodeRefusal,
                [&](const DeviceId& client, const secagg::Refusal& refusal) -> absl::Status {
                  f_.refusals_.push_back(refusal);
                  f_.gone_.insert(client);
                  return absl::OkStatus();
                });
  }

  grpc::Status Await(grpc::ServerContext*, const v1::AwaitRequest* request,
                     v1::AwaitResponse* response) override {
    const auto ask = DecodeAwait(*request);
    if (!ask.ok()) return ToGrpcStatus(ask.status());
    std::unique_lock lock(f_.mutex_);
    const std::string method = AwaitName(ask->phase);
    const DeviceId client = Caller(method, *request);
    if (Fails(method, client)) return Unavailable();
    std::optional<secagg::Awaited> ready;
    f_.changed_.wait_for(lock, ask->wait, [&] {
      ready = f_.Ready(client, ask->phase);
      return ready.has_value() || f_.closing_;
    });
    if (ready && f_.lie_) f_.lie_(client, *ready);
    *response = EncodeAwaited(ready.value_or(secagg::Pending{}));
    return grpc::Status::OK;
  }

 private:
  static grpc::Status Unavailable() {
    return {grpc::StatusCode::UNAVAILABLE, "switched off by the test"};
  }

  template <typename Request>
  DeviceId Caller(const std::string& method, const Request& request) {
    const DeviceId client = DeviceId::Trusted(request.invocation().substr(4));
    f_.sent_[{method, client}].push_back(request.SerializeAsString());
    return client;
  }

  bool Fails(const std::string& method, const DeviceId& client) {
    auto fault = f_.faults_.find({method, client});
    if (fault == f_.faults_.end() || fault->second.calls == 0) return false;
    --fault->second.calls;
    return true;
  }

  // Write-once; AlreadyExists for the same value again.
  template <typename Map, typename Key, typename Value>
  absl::Status Put(Map& map, const Key& key, const Value& value, bool open) {
    const auto known = map.find(key);
    if (known != map.end()) {
      if (known->second == value) return absl::AlreadyExistsError("known");
      return absl::InvalidArgumentError("it differs from what came before");
    }
    if (!open) return absl::InvalidArgumentError("it comes too late");
    map.emplace(key, value);
    return absl::OkStatus();
  }

  bool IsStaged(const Digest& vector) {
    std::lock_guard lock(f_.server_->mutex);
    return Sha256(f_.server_->staged[vector]) == vector;
  }

  void Add(const Digest& vector) {
    std::lock_guard lock(f_.server_->mutex);
    std::string& bytes = f_.server_->staged[vector];
    EXPECT_EQ(bytes.size(), secagg::VectorBytes(f_.params_));
    f_.sum_->AddChunk(0, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    f_.sum_->FinishClient();
    f_.server_->staged.erase(vector);
  }

  template <typename Request, typename Decode, typename Use>
  grpc::Status Take(const std::string& method, const Request& request, v1::SecAggAnswer* response,
                    Decode decode, const Use& use) {
    const auto decoded = decode(request);
    if (!decoded.ok()) return ToGrpcStatus(decoded.status());
    std::lock_guard lock(f_.mutex_);
    const DeviceId client = Caller(method, request);
    const bool counts = f_.faults_[{method, client}].counts;
    const bool fails = Fails(method, client);
    if (fails && !counts) return Unavailable();
    OfferAnswer answer{Verdict::kAccepted, ""};
    if (f_.gone_.contains(client)) {
      answer = {Verdict::kRefused, "the session goes on without it"};
    } else if (const absl::Status status = use(client, *decoded); absl::IsAlreadyExists(status)) {
      answer.verdict = Verdict::kDuplicate;
    } else if (absl::IsNotFound(status)) {
      return ToGrpcStatus(status);
    } else if (!status.ok()) {
      answer = {Verdict::kRefused, std::string(status.message())};
    }
    f_.Freeze();
    f_.changed_.notify_all();
    if (fails) return Unavailable();
    *response = EncodeSecAggAnswer(answer);
    return grpc::Status::OK;
  }

  SecAggFleet& f_;
};

SecAggFleet::SecAggFleet(secagg::Params params, std::vector<DeviceId> clients,
                         const secagg::Notary& notary)
    : params_(params),
      clients_(std::move(clients)),
      notary_(notary),
      shown_(std::move(params)),
      sum_(secagg::RingSum(params_.ring_bits, secagg::VectorLength(params_))),
      service_(std::make_unique<Service>(*this)),
      server_(std::make_unique<FleetServer>(service_.get())) {}

SecAggFleet::~SecAggFleet() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
}

void SecAggFleet::Drop(const DeviceId& client) {
  std::lock_guard lock(mutex_);
  gone_.insert(client);
  Freeze();
  changed_.notify_all();
}

void SecAggFleet::Fail(const std::string& method, const DeviceId& client, int calls, bool counts) {
  std::lock_guard lock(mutex_);
  faults_[{method, client}] = {calls, counts};
}

std::vector<std::string> SecAggFleet::Sent(const std::string& method, const DeviceId& client) {
  std::lock_guard lock(mutex_);
  return sent_[{method, client}];
}

std::vector<secagg::Refusal> SecAggFleet::refusals() {
  std::lock_guard lock(mutex_);
  return refusals_;
}

void SecAggFleet::TellLies(Lie lie) {
  std::lock_guard lock(mutex_);
  lie_ = std::move(lie);
}

void SecAggFleet::ShowParams(const secagg::Params& params) {
  std::lock_guard lock(mutex_);
  shown_ = params;
}

bool SecAggFleet::Everybody(const ClientSet& expected, const std::set<uint32_t>& came) const {
  for (uint32_t i = 0; i < roster_->size(); ++i) {
    if (!secagg::Contains(expected, i) || came.contains(i)) continue;
    if (!gone_.contains(roster_->advert(i).client)) return false;
  }
  return true;
}

namespace {

template <typename Value>
std::set<uint32_t> Keys(const std::map<uint32_t, Value>& map) {
  std::set<uint32_t> keys;
  for (const auto& [key, value] : map) keys.insert(key);
  return keys;
}

ClientSet SetOf(const std::set<uint32_t>& members, uint32_t size) {
  ClientSet set = secagg::MakeSet(size);
  for (const uint32_t member : members) secagg::Insert(set, member);
  return set;
}

}  // namespace

void SecAggFleet::Freeze() {
  if (!roster_.has_value()) {
    std::vector<secagg::Advert> adverts;
    for (const DeviceId& client : clients_) {
      if (adverts_.contains(client)) {
        adverts.push_back(adverts_.at(client));
      } else if (!gone_.contains(client)) {
        return;
      }
    }
    auto roster = secagg::FreezeRoster(params_, adverts);
    if (!roster.ok()) return;
    roster_ = *std::move(roster);
  }
  ClientSet all = secagg::MakeSet(roster_->size());
  for (uint32_t i = 0; i < roster_->size(); ++i) secagg::Insert(all, i);
  if (sharers_.empty() && Everybody(all, Keys(bundles_))) {
    auto frozen = secagg::FreezeSharers(*roster_, SetOf(Keys(bundles_), roster_->size()));
    if (frozen.ok()) sharers_ = *frozen;
  }
  if (!sharers_.empty() && survivors_.empty() && Everybody(sharers_, Keys(reports_))) {
    auto frozen =
        secagg::FreezeSurvivors(*roster_, sharers_, SetOf(Keys(reports_), roster_->size()));
    if (frozen.ok()) survivors_ = *frozen;
  }
}

std::optional<secagg::Awaited> SecAggFleet::Ready(const DeviceId& client,
                                                  AwaitedPhase phase) const {
  if (gone_.contains(client)) return secagg::Closed{"the session goes on without it"};
  if (!roster_.has_value()) return std::nullopt;
  const uint32_t index = *roster_->IndexOf(client);
  if (phase == AwaitedPhase::kRoster) return roster_->ViewFor(index);
  if (phase == AwaitedPhase::kShares && !sharers_.empty()) {
    return secagg::SharesFor(
        *roster_, index, sharers_,
        [&](uint32_t i) -> const secagg::ShareBundle& { return bundles_.at(i); });
  }
  if (survivors_.empty()) return std::nullopt;
  if (phase == AwaitedPhase::kSurvivors) return secagg::Survivors{survivors_};
  const bool agreed =
      params_.mode == secagg::Mode::kSemiHonest || Everybody(survivors_, Keys(consents_));
  if (phase == AwaitedPhase::kUnmask && agreed) {
    return secagg::RequestFor(*roster_, index, survivors_, consents_);
  }
  return std::nullopt;
}

absl::StatusOr<secagg::DecodedSum> SecAggFleet::Open(std::vector<float>* mean) {
  std::lock_guard lock(mutex_);
  if (survivors_.empty()) return absl::FailedPreconditionError("no survivors yet");
  std::map<uint32_t, Digest> commitments;
  for (const auto& [index, bundle] : bundles_) commitments[index] = bundle.commitment;
  MUSTER_RETURN_IF_ERROR(
      secagg::UnmaskSum({*roster_, sharers_, survivors_, commitments, replies_}, *sum_, 1));
  mean->resize(params_.dimension);
  return secagg::DecodeSum(
      params_, [&](uint64_t i) { return sum_->Element(i); }, *mean);
}

}  // namespace muster
