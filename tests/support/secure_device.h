// A device that takes part in secure aggregation, played over the coordinator's own exchange: the
// real protocol, with an update that depends on its name and round alone. Its state is written and
// read back between any two steps, as after a restart.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "aggregation/secagg/client/client.h"
#include "aggregation/secagg/ring.h"
#include "coordinator/blobs/staging.h"
#include "coordinator/drive/exchange.h"
#include "coordinator/drive/offers.h"
#include "proto/core/random.h"
#include "proto/core/status.h"
#include "tests/support/test_notary.h"

namespace muster {

class SecureDevice {
 public:
  SecureDevice(DeviceId id, SecureExchange& exchange, StagingArea& staging, uint64_t seed)
      : signer_(id), exchange_(&exchange), staging_(staging), random_(seed), id_(std::move(id)) {}

  void UseExchange(SecureExchange& exchange) { exchange_ = &exchange; }
  const DeviceId& id() const { return id_; }

  // Its whole update, a function of name and round.
  static std::vector<float> UpdateOf(const DeviceId& id, uint64_t round_seed, size_t size) {
    SeededRandom random(DeriveSeed(round_seed, id.value()));
    std::vector<float> update(size);
    for (float& value : update) value = static_cast<float>(random.Unit() - 0.5);
    return update;
  }

  void Begin(const Invocation& invocation, uint64_t examples = 10) {
    invocation_ = invocation;
    examples_ = examples;
    state_.clear();
    y_.clear();
    round_seed_ = invocation.round;
  }

  absl::StatusOr<OfferAnswer> Advertise() {
    if (state_.empty()) {
      MUSTER_ASSIGN_OR_RETURN(const secagg::JoinAnswer joined,
                              exchange_->Join(id_, {.invocation = invocation_.id}));
      if (const auto* closed = std::get_if<secagg::Closed>(&joined)) {
        return OfferAnswer{Verdict::kRefused, closed->reason};
      }
      params_ = std::get<secagg::Params>(joined);
      MUSTER_ASSIGN_OR_RETURN(auto state,
                              secagg::Advertise(params_, invocation_.package, signer_, random_));
      Keep(std::move(state));
    }
    const secagg::ClientState state = State();
    return exchange_->Advertise(
        id_, {.invocation = invocation_.id, .advert = std::get<secagg::Advertised>(state).advert});
  }

  absl::StatusOr<OfferAnswer> Share() {
    secagg::ClientState state = State();
    if (auto* advertised = std::get_if<secagg::Advertised>(&state)) {
      MUSTER_ASSIGN_OR_RETURN(const secagg::Awaited roster,
                              Ask<secagg::RosterView>(secagg::AwaitedPhase::kRoster));
      MUSTER_ASSIGN_OR_RETURN(
          auto shared, secagg::Share(params_, *advertised, std::get<secagg::RosterView>(roster),
                                     notary_, signer_, random_));
      Keep(std::move(shared));
      state = State();
    }
    return exchange_->Share(
        id_, {.invocation = invocation_.id, .bundle = std::get<secagg::Shared>(state).bundle});
  }

  absl::StatusOr<OfferAnswer> SubmitMasked() {
    secagg::ClientState state = State();
    if (auto* shared = std::get_if<secagg::Shared>(&state)) {
      MUSTER_ASSIGN_OR_RETURN(const secagg::Awaited view,
                              Ask<secagg::SharesView>(secagg::AwaitedPhase::kShares));
      MUSTER_RETURN_IF_ERROR(Mask(*shared, std::get<secagg::SharesView>(view)));
      state = State();
    }
    const secagg::MaskedReport report = std::get<secagg::Masked>(state).report;
    MUSTER_RETURN_IF_ERROR(Stage(report.vector));
    return Submit({.invocation = invocation_.id, .report = report});
  }

  absl::StatusOr<OfferAnswer> Agree() {
    secagg::ClientState state = State();
    if (auto* masked = std::get_if<secagg::Masked>(&state)) {
      MUSTER_ASSIGN_OR_RETURN(const secagg::Awaited survivors,
                              Ask<secagg::Survivors>(secagg::AwaitedPhase::kSurvivors));
      MUSTER_ASSIGN_OR_RETURN(
          auto agreed,
          secagg::Agree(params_, *masked, std::get<secagg::Survivors>(survivors).clients, signer_));
      Keep(std::move(agreed));
      state = State();
    }
    return exchange_->Agree(
        id_, {.invocation = invocation_.id, .consent = std::get<secagg::Agreed>(state).consent});
  }

  absl::StatusOr<OfferAnswer> Unmask() {
    secagg::ClientState state = State();
    if (!std::holds_alternative<secagg::Answered>(state)) {
      MUSTER_ASSIGN_OR_RETURN(const secagg::Awaited request,
                              Ask<secagg::UnmaskRequest>(secagg::AwaitedPhase::kUnmask));
      MUSTER_ASSIGN_OR_RETURN(
          auto answered,
          secagg::Unmask(params_, state, std::get<secagg::UnmaskRequest>(request), notary_));
      Keep(std::move(answered));
      state = State();
    }
    return exchange_->Unmask(
        id_, {.invocation = invocation_.id, .reply = std::get<secagg::Answered>(state).reply});
  }

  absl::StatusOr<OfferAnswer> Submit(const secagg::MaskedOffer& offer) {
    std::promise<absl::StatusOr<OfferAnswer>> promise;
    exchange_->SubmitMasked(id_, offer, [&](absl::StatusOr<OfferAnswer> answer) {
      promise.set_value(std::move(answer));
    });
    return promise.get_future().get();
  }
  // Uploads the masked vector, as a device asks first what is there.
  absl::Status Stage(const Digest& digest) {
    const std::string owner = StagingOwner("device", id_.value());
    MUSTER_ASSIGN_OR_RETURN(const StagedUpload held, staging_.Stat(owner, digest));
    if (held.complete) return absl::OkStatus();
    MUSTER_RETURN_IF_ERROR(staging_.Append(owner, digest, y_.size(), 0, y_));
    return staging_.Flush(owner, digest).status();
  }

  const secagg::Params& params() const { return params_; }
  const Invocation& invocation() const { return invocation_; }
  const std::string& y() const { return y_; }
  secagg::ClientState State() const {
    auto state = secagg::ParseState(state_);
    EXPECT_TRUE(state.ok()) << state.status();
    return *std::move(state);
  }
  void Keep(secagg::ClientState state) { state_ = secagg::EncodeState(state); }

 private:
  template <typename Wanted>
  absl::StatusOr<secagg::Awaited> Ask(secagg::AwaitedPhase phase) {
    MUSTER_ASSIGN_OR_RETURN(SecureExchange::Look look,
                            exchange_->Await(id_, {.invocation = invocation_.id, .phase = phase}));
    if (std::holds_alternative<Wanted>(look.answer)) return std::move(look.answer);
    if (const auto* closed = std::get_if<secagg::Closed>(&look.answer)) {
      return absl::CancelledError(closed->reason);
    }
    return absl::UnavailableError("pending");
  }

  absl::Status Mask(const secagg::Shared& shared, const secagg::SharesView& view) {
    MUSTER_ASSIGN_OR_RETURN(secagg::Masking masking,
                            secagg::PrepareMasks(params_, shared, view, notary_));
    const std::vector<float> update = UpdateOf(id_, round_seed_, params_.dimension);
    const secagg::MaskSet masks(params_.cipher, params_.ring_bits, std::move(masking.masks));
    SeededRandom rounding(DeriveSeed(invocation_.seed, "rounding"));
    std::string y(secagg::VectorBytes(params_), '\0');
    MUSTER_RETURN_IF_ERROR(
        secagg::EncodeUpdate(
            params_, {.examples = examples_, .metrics = {{"train_loss", 0.5}}},
            [&](uint64_t offset, std::span<float> out) {
              std::copy_n(update.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
              return absl::OkStatus();
            },
            rounding, random_,
            [&](uint64_t offset, std::span<uint8_t> bytes) {
              masks.Apply(offset, bytes);
              std::copy(bytes.begin(), bytes.end(), y.begin() + static_cast<ptrdiff_t>(offset));
              return absl::OkStatus();
            })
            .status());
    y_ = std::move(y);
    MUSTER_ASSIGN_OR_RETURN(auto next,
                            secagg::FinishMasked(std::move(masking), Sha256(y_), signer_));
    Keep(std::move(next));
    return absl::OkStatus();
  }

  const TestSigner signer_;
  const TestNotary notary_;
  SecureExchange* exchange_;
  StagingArea& staging_;
  SeededRandom random_;
  const DeviceId id_;
  Invocation invocation_;
  uint64_t examples_ = 10;
  uint64_t round_seed_ = 0;
  secagg::Params params_;
  std::string state_, y_;
};

}  // namespace muster
