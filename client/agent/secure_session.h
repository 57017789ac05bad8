// One run through a session, from the state that the journal holds to its end. For
// secure_update.cc.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "aggregation/secagg/client/client.h"
#include "client/agent/secure_link.h"
#include "client/agent/secure_update.h"

namespace muster {

class SecureSession {
 public:
  struct Parts {
    const StateDir& dir;
    Journal& journal;
    SecureVault& vault;
    RandomSource& random;
    Clock& clock;
  };
  SecureSession(const Parts& parts, const JournalEntry& entry, const Uplink& uplink,
                const Bounds& bounds)
      : parts_(parts),
        invocation_(entry.invocation),
        offer_(std::get<UpdateOffer>(*entry.answer)),
        uplink_(uplink),
        identity_(*uplink.identity),
        bounds_(bounds),
        link_(uplink, entry.invocation.id, bounds, entry.invocation.deadline) {}

  absl::StatusOr<std::string> Run();

 private:
  // How a step went. None of these is an error.
  struct Next {
    secagg::ClientState state;
  };
  struct End {
    std::string outcome;
  };
  struct Refusal {  // this device takes no further part
    std::string reason;
  };
  using Went = std::variant<Next, End, Refusal>;

  absl::StatusOr<std::optional<Refusal>> Load();
  absl::Status Keep(secagg::ClientState state);
  secagg::Phase phase() const;  // that is due next

  absl::StatusOr<Went> Step();
  absl::StatusOr<Went> Begin();
  absl::StatusOr<Went> From(const secagg::Advertised& state);
  absl::StatusOr<Went> From(const secagg::Shared& state);
  absl::StatusOr<Went> From(const secagg::Masked& state);
  absl::StatusOr<Went> From(const secagg::Agreed& state);
  absl::StatusOr<Went> From(const secagg::Answered& state);
  absl::StatusOr<Went> From(const secagg::Refused& state);

  absl::StatusOr<Went> MaskVector(const secagg::Shared& state, const secagg::SharesView& view);
  absl::StatusOr<OfferAnswer> SendMasked(const secagg::MaskedReport& report);
  absl::StatusOr<Went> AwaitUnmask();
  std::optional<Refusal> WhyNotSign(const secagg::Advert& advert) const;
  static std::optional<End> Over(const OfferAnswer& answer);

  // The step's next state, or its refusal.
  template <typename State>
  static Went Decide(absl::StatusOr<State> next);
  // Waits for an answer of type T and goes on with `use`.
  template <typename T, typename Use>
  absl::StatusOr<Went> Await(secagg::AwaitedPhase phase, const Use& use);

  const Parts parts_;
  const Invocation& invocation_;
  const UpdateOffer& offer_;
  const Uplink& uplink_;
  const SecAggIdentity& identity_;
  const Bounds& bounds_;
  SecureLink link_;

  std::optional<secagg::Params> params_;
  std::optional<secagg::ClientState> state_;  // none before the session began
  secagg::Phase refused_phase_ = secagg::Phase::kAdvertise;
  Metering masking_;          // what masking cost
  bool just_masked_ = false;  // in this run: nothing of the vector was sent yet
};

}  // namespace muster
