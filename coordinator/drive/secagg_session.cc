#include "coordinator/drive/secagg_session.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "aggregation/privacy/accountant.h"
#include "aggregation/secagg/finder.h"
#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/transcript.h"
#include "proto/codec/secagg_bytes.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

// What training functions measure; summed beside the update, so that only means are seen.
constexpr const char* kSummedMetrics[] = {"train_accuracy", "train_loss", "train_loss_first",
                                          "train_loss_last"};

// A hair below the bound, so that rounding in doubles never exceeds it.
constexpr double kScaleSlack = 1 - 1e-9;

// With noise of its own in the ring, a vector has less room: solves for the scale at which values
// and the tail of the summed noise fill the ring together.
double NoisyScale(const secagg::Params& params, double noise_multiplier, uint32_t honest) {
  const double half = std::ldexp(1.0, static_cast<int>(params.ring_bits) - 1) - 1;
  const double clients = params.max_clients;
  const double room =
      half / (clients + secagg::kNoiseTailSigmas * noise_multiplier * std::sqrt(clients / honest)) -
      2;
  return std::min(room, secagg::kLargestUsefulMagnitude) / params.clip * kScaleSlack;
}

absl::Status AddNoise(const JobSpec& spec, RandomSource& random, secagg::Params& params) {
  const uint32_t honest = HonestFloor(spec);
  if (honest == 0) {
    return absl::FailedPreconditionError(
        StrCat("distributed noise needs honest clients: a quorum of ", spec.round.quorum, " less ",
               spec.aggregation.corrupt * 100, " % of ", spec.round.clients, " leaves none"));
  }
  params.scale = NoisyScale(params, spec.privacy.noise_multiplier, honest);
  if (!(params.scale > 0)) {
    return absl::InvalidArgumentError(
        StrCat("a ring of ", params.ring_bits, " bits has no room for ", params.max_clients,
               " clients and their noise; use privacy.secure_aggregation.ring_bits: 64"));
  }
  secagg::ClientNoise noise;
  noise.variance_per_client =
      NoiseVariancePerClient(spec.privacy.noise_multiplier, params.clip, params.scale, honest);
  noise.rotation_seed = Sha256(random.Hex(Digest::kSize));
  params.noise = noise;
  return absl::OkStatus();
}

template <typename Parsed, typename Use>
absl::Status ForEachMessage(const StoreReader& reader, const RoundId& round, SecAggStep step,
                            const Use& use) {
  MUSTER_ASSIGN_OR_RETURN(const auto messages, reader.ListSecAggMessages(round, step));
  for (const SecAggMessageRecord& message : messages) {
    MUSTER_ASSIGN_OR_RETURN(Parsed parsed, ParseSecAgg<Parsed>(message.message));
    use(std::move(parsed));
  }
  return absl::OkStatus();
}

// The roster of a session that is frozen, made anew.
absl::StatusOr<secagg::Roster> RebuildRoster(const StoreReader& reader, const RoundId& round) {
  MUSTER_ASSIGN_OR_RETURN(const secagg::Params params, ReadParams(reader, round));
  MUSTER_ASSIGN_OR_RETURN(std::vector<secagg::Advert> adverts, ReadAdverts(reader, round));
  return secagg::FreezeRoster(params, std::move(adverts));
}

absl::StatusOr<secagg::Roster> FrozenRoster(const StoreReader& reader, const RoundId& round,
                                            const SecAggSessionRecord& session) {
  MUSTER_ASSIGN_OR_RETURN(secagg::Roster roster, RebuildRoster(reader, round));
  if (!(roster.root() == session.roster_root)) {
    return absl::DataLossError(
        StrCat("the stored adverts of round ", round.ToString(), " are not those of its roster"));
  }
  return roster;
}

}  // namespace

uint32_t HonestFloor(const JobSpec& spec) {
  const auto corrupt =
      static_cast<uint32_t>(std::ceil(spec.aggregation.corrupt * spec.round.clients));
  return spec.round.quorum > corrupt ? spec.round.quorum - corrupt : 0;
}

absl::StatusOr<secagg::Params> MakeParams(const JobRecord& job, const RoundRecord& round,
                                          uint64_t examples_cap, RandomSource& random) {
  const JobSpec& spec = job.spec;
  const bool private_sum = spec.privacy.kind != PrivacyKind::kNone;
  secagg::Params params;
  params.job = job.id;
  params.round = round.id.number;
  params.attempt = round.id.attempt;
  params.model = round.base_package;
  params.dimension = spec.layout.shared_size();
  // Means of what clients measured are not covered by the noise: a private job goes without them.
  if (!private_sum) params.metrics.assign(std::begin(kSummedMetrics), std::end(kSummedMetrics));
  params.clip_lane = !private_sum || spec.privacy.adaptive_clip;
  params.weighted = !private_sum;
  params.examples_cap = private_sum ? 1 : std::max<uint64_t>(examples_cap, 1);
  params.ring_bits = spec.aggregation.ring_bits;
  params.cipher = spec.aggregation.cipher;
  params.clip = job.clip > 0 ? job.clip : spec.aggregation.clip;
  params.min_clients = spec.round.quorum;
  params.max_clients = spec.round.clients;
  params.drop = spec.aggregation.drop;
  params.corrupt = spec.aggregation.corrupt;
  params.mode = spec.aggregation.mode == AggregationMode::kMalicious ? secagg::Mode::kMalicious
                                                                     : secagg::Mode::kSemiHonest;
  std::array<uint8_t, Digest::kSize> nonce;
  random.Fill(nonce);
  params.nonce = Digest(nonce);
  if (spec.privacy.kind == PrivacyKind::kDistributed) {
    MUSTER_RETURN_IF_ERROR(AddNoise(spec, random, params));
  } else {
    MUSTER_ASSIGN_OR_RETURN(params.scale, secagg::FullScale(params));
  }
  MUSTER_RETURN_IF_ERROR(secagg::CheckParams(params));
  return params;
}

absl::Status CheckSecureJob(const JobSpec& spec) {
  if (!spec.aggregation.secure()) return absl::OkStatus();
  SeededRandom unused(0);
  JobRecord job;
  job.spec = spec;
  MUSTER_ASSIGN_OR_RETURN(const secagg::Params params, MakeParams(job, {}, 1, unused));
  for (const uint32_t clients : {params.max_clients, params.min_clients}) {
    const auto plan = secagg::PlanGraph(secagg::AssumptionsOf(params, clients));
    if (plan.ok()) continue;
    return absl::InvalidArgumentError(
        StrCat("secure aggregation among ", clients, " clients (round.",
               clients == params.max_clients ? "clients" : "quorum", "): ", plan.status().message(),
               "; see `muster secagg plan`, or turn it off with"
               " privacy.secure_aggregation.mode: off"));
  }
  return absl::OkStatus();
}

absl::StatusOr<secagg::Params> ReadParams(const StoreReader& reader, const RoundId& round) {
  MUSTER_ASSIGN_OR_RETURN(const SecAggSessionRecord session, reader.FindSecAggSession(round));
  auto params = ParseSecAgg<secagg::Params>(session.params);
  if (!params.ok()) return absl::DataLossError(params.status().message());
  return params;
}

absl::StatusOr<std::shared_ptr<const secagg::Roster>> SecAggRosters::Get(const StoreReader& reader,
                                                                         const RoundId& round) {
  // Only a few rounds are open at a time; the rest is forgotten.
  constexpr size_t kKept = 16;
  MUSTER_ASSIGN_OR_RETURN(const SecAggSessionRecord session, reader.FindSecAggSession(round));
  if (session.roster_root.empty()) {
    return absl::FailedPreconditionError(
        StrCat("the roster of round ", round.ToString(), " is still open"));
  }
  {
    std::lock_guard lock(mutex_);
    const auto found = rosters_.find(round);
    if (found != rosters_.end() && found->second->root() == session.roster_root) {
      return found->second;
    }
  }
  MUSTER_ASSIGN_OR_RETURN(secagg::Roster roster, FrozenRoster(reader, round, session));
  auto shared = std::make_shared<const secagg::Roster>(std::move(roster));
  std::lock_guard lock(mutex_);
  if (rosters_.size() >= kKept) rosters_.clear();
  rosters_[round] = shared;
  return shared;
}

absl::StatusOr<secagg::ClientSet> SendersIn(const StoreReader& reader, const secagg::Roster& roster,
                                            const RoundId& round, SecAggStep step) {
  secagg::ClientSet set = secagg::MakeSet(roster.size());
  MUSTER_ASSIGN_OR_RETURN(const auto senders, reader.ListSecAggSenders(round, step));
  for (const DeviceId& sender : senders) {
    const std::optional<uint32_t> index = roster.IndexOf(sender);
    if (!index) {
      return absl::DataLossError(StrCat("device ", sender.value(), " sent ", SecAggStepName(step),
                                        " in round ", round.ToString(),
                                        " without being in its roster"));
    }
    secagg::Insert(set, *index);
  }
  return set;
}

absl::StatusOr<std::vector<secagg::Advert>> ReadAdverts(const StoreReader& reader,
                                                        const RoundId& round) {
  std::vector<secagg::Advert> adverts;
  MUSTER_RETURN_IF_ERROR(ForEachMessage<secagg::Advert>(
      reader, round, SecAggStep::kAdvert,
      [&](secagg::Advert advert) { adverts.push_back(std::move(advert)); }));
  return adverts;
}

absl::Status FreezeRosterInStore(StoreTx& tx, const RoundId& round) {
  MUSTER_ASSIGN_OR_RETURN(SecAggSessionRecord session, tx.FindSecAggSession(round));
  MUSTER_ASSIGN_OR_RETURN(const secagg::Roster roster, RebuildRoster(tx, round));
  session.roster_root = roster.root();
  return tx.PutSecAggSession(session);
}

absl::Status FreezeSharersInStore(StoreTx& tx, const RoundId& round) {
  MUSTER_ASSIGN_OR_RETURN(SecAggSessionRecord session, tx.FindSecAggSession(round));
  MUSTER_ASSIGN_OR_RETURN(const secagg::Roster roster, FrozenRoster(tx, round, session));
  MUSTER_ASSIGN_OR_RETURN(const secagg::ClientSet shared,
                          SendersIn(tx, roster, round, SecAggStep::kShares));
  MUSTER_ASSIGN_OR_RETURN(session.sharers, secagg::FreezeSharers(roster, shared));
  return tx.PutSecAggSession(session);
}

absl::Status FreezeSurvivorsInStore(StoreTx& tx, const RoundId& round) {
  MUSTER_ASSIGN_OR_RETURN(SecAggSessionRecord session, tx.FindSecAggSession(round));
  MUSTER_ASSIGN_OR_RETURN(const secagg::Roster roster, FrozenRoster(tx, round, session));
  MUSTER_ASSIGN_OR_RETURN(const secagg::ClientSet reported,
                          SendersIn(tx, roster, round, SecAggStep::kMasked));
  MUSTER_ASSIGN_OR_RETURN(session.survivors,
                          secagg::FreezeSurvivors(roster, session.sharers, reported));
  return tx.PutSecAggSession(session);
}

absl::StatusOr<bool> IsAwaited(const StoreReader& reader, const RoundRecord& round,
                               const DeviceId& device) {
  // The set that the phase waits for is who sent something in the step before.
  SecAggStep before, now;
  if (std::holds_alternative<Sharing>(round.state)) {
    before = SecAggStep::kAdvert, now = SecAggStep::kShares;
  } else if (std::holds_alternative<Masking>(round.state)) {
    before = SecAggStep::kShares, now = SecAggStep::kMasked;
  } else if (std::holds_alternative<Agreeing>(round.state)) {
    before = SecAggStep::kMasked, now = SecAggStep::kConsent;
  } else if (std::holds_alternative<Unmasking>(round.state)) {
    before = SecAggStep::kMasked, now = SecAggStep::kReveal;
  } else {
    return false;
  }
  const absl::Status member = reader.FindSecAggMessage(round.id, before, device).status();
  if (absl::IsNotFound(member)) return false;
  MUSTER_RETURN_IF_ERROR(member);
  const absl::Status answered = reader.FindSecAggMessage(round.id, now, device).status();
  if (absl::IsNotFound(answered)) return true;
  MUSTER_RETURN_IF_ERROR(answered);
  return false;
}

absl::StatusOr<bool> CanOpen(const StoreReader& reader, const secagg::Roster& roster,
                             const RoundId& round) {
  MUSTER_ASSIGN_OR_RETURN(const SecAggSessionRecord session, reader.FindSecAggSession(round));
  MUSTER_ASSIGN_OR_RETURN(const secagg::ClientSet answered,
                          SendersIn(reader, roster, round, SecAggStep::kReveal));
  return secagg::CanRecover(roster, session.sharers, session.survivors, answered);
}

}  // namespace muster
