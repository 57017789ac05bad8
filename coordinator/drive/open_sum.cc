#include "coordinator/drive/open_sum.h"

#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "aggregation/privacy/accountant.h"
#include "aggregation/privacy/adaptive_clip.h"
#include "aggregation/privacy/buffered_random.h"
#include "aggregation/privacy/discrete_gaussian.h"
#include "aggregation/secagg/coordinator/coordinator.h"
#include "aggregation/secagg/ring.h"
#include "aggregation/secagg/transcript.h"
#include "coordinator/drive/budget.h"
#include "coordinator/drive/round_sum.h"
#include "coordinator/drive/secagg_session.h"
#include "proto/codec/secagg_bytes.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

// Example-weighted means of what the reporting clients measured, in the order of their ids.
absl::StatusOr<OpenedSum> OpenClear(DriveContext& context, const RoundRecord& round,
                                    const JobRecord& job, std::span<const Digest> parts) {
  OpenedSum opened;
  std::map<std::string, std::pair<double, double>> sums;  // name -> weighted sum, weight
  MUSTER_RETURN_IF_ERROR(context.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(const auto invocations,
                            reader.ListInvocations(round.id, FunctionKind::kTrain));
    for (const InvocationRecord& invocation : invocations) {
      if (invocation.status != InvocationStatus::kReported) continue;
      opened.examples += invocation.examples;
      const auto weight = static_cast<double>(invocation.examples);
      for (const auto& [name, value] : invocation.metrics) {
        sums[name].first += value * weight;
        sums[name].second += weight;
      }
    }
    return absl::OkStatus();
  }));
  for (const auto& [name, sum] : sums) {
    if (sum.second > 0) opened.metrics[name] = sum.first / sum.second;
  }
  opened.mean.resize(job.spec.layout.shared_size());
  MUSTER_RETURN_IF_ERROR(ReadClearMean(context.sums(), parts, opened.mean));
  return opened;
}

// Everything that the members of a session sent and that unmasking needs.
struct Session {
  secagg::Params params;
  SecAggSessionRecord record;
  std::shared_ptr<const secagg::Roster> roster;
  std::map<uint32_t, Digest> commitments;
  std::map<uint32_t, secagg::UnmaskReply> replies;
};

absl::StatusOr<uint32_t> IndexOf(const Session& session, const DeviceId& device) {
  const std::optional<uint32_t> index = session.roster->IndexOf(device);
  if (index) return *index;
  return absl::DataLossError(StrCat("device ", device.value(), " is not in the roster"));
}

absl::StatusOr<Session> LoadSession(DriveContext& context, const RoundId& round) {
  Session session;
  MUSTER_RETURN_IF_ERROR(context.store.Read([&](const StoreReader& reader) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(session.params, ReadParams(reader, round));
    MUSTER_ASSIGN_OR_RETURN(session.record, reader.FindSecAggSession(round));
    MUSTER_ASSIGN_OR_RETURN(session.roster, context.rosters.Get(reader, round));
    MUSTER_ASSIGN_OR_RETURN(const auto bundles,
                            reader.ListSecAggMessages(round, SecAggStep::kShares));
    for (const SecAggMessageRecord& message : bundles) {
      MUSTER_ASSIGN_OR_RETURN(const uint32_t index, IndexOf(session, message.device));
      MUSTER_ASSIGN_OR_RETURN(const auto offer, ParseSecAgg<secagg::ShareOffer>(message.message));
      session.commitments[index] = offer.bundle.commitment;
    }
    MUSTER_ASSIGN_OR_RETURN(const auto replies,
                            reader.ListSecAggMessages(round, SecAggStep::kReveal));
    for (const SecAggMessageRecord& message : replies) {
      MUSTER_ASSIGN_OR_RETURN(const uint32_t index, IndexOf(session, message.device));
      MUSTER_ASSIGN_OR_RETURN(auto offer, ParseSecAgg<secagg::UnmaskOffer>(message.message));
      session.replies[index] = std::move(offer.reply);
    }
    return absl::OkStatus();
  }));
  return session;
}

absl::StatusOr<secagg::RingSum> Unmasked(DriveContext& context, const RoundRecord& round,
                                         const Session& session, std::span<const Digest> parts) {
  MUSTER_ASSIGN_OR_RETURN(secagg::RingSum sum,
                          ReadMaskedSum(context.sums(), parts, session.params.ring_bits,
                                        secagg::VectorLength(session.params)));
  const secagg::UnmaskInput input{*session.roster, session.record.sharers, session.record.survivors,
                                  session.commitments, session.replies};
  constexpr double kTellEvery = 0.1;
  double told = 0;
  MUSTER_RETURN_IF_ERROR(
      secagg::UnmaskSum(input, sum, context.options.unmask_threads, [&](double fraction) {
        if (fraction < told + kTellEvery) return;
        told = fraction;
        LogDebug("taking masks off", {{"round", round.id.ToString()},
                                      {"percent", static_cast<uint32_t>(fraction * 100)}});
      }));
  return sum;
}

// The noise of central differential privacy, on integers: discrete Gaussian has the privacy of the
// continuous one (Canonne, Kamath, Steinke 2020), and no floating-point attack.
class CentralNoise {
 public:
  CentralNoise(const JobSpec& spec, const secagg::Params& params, RandomSource& random)
      : random_(random) {
    if (spec.privacy.kind != PrivacyKind::kCentral) return;
    const PrivacyConfig privacy = ResolvedPrivacy(spec);
    values_.emplace(CentralNoiseDeviation(privacy, params.clip, params.scale, params.dimension));
    if (privacy.adaptive_clip) {
      count_.emplace(privacy.clip_noise * static_cast<double>(secagg::kWeightUnit));
    }
  }
  int64_t OnValue() { return values_ ? values_->Sample(random_) : 0; }
  // In clients.
  double OnCount() {
    return count_ ? static_cast<double>(count_->Sample(random_)) / secagg::kWeightUnit : 0;
  }

 private:
  BufferedRandom random_;
  std::optional<DiscreteGaussianSampler> values_, count_;
};

absl::StatusOr<OpenedSum> OpenSecure(DriveContext& context, const RoundRecord& round,
                                     const JobRecord& job, std::span<const Digest> parts) {
  MUSTER_ASSIGN_OR_RETURN(const Session session, LoadSession(context, round.id));
  const secagg::Params& params = session.params;
  MUSTER_ASSIGN_OR_RETURN(const secagg::RingSum sum, Unmasked(context, round, session, parts));
  CentralNoise noise(job.spec, params, context.random);
  const uint64_t values = secagg::ValueCount(params);
  OpenedSum opened;
  opened.mean.resize(params.dimension);
  MUSTER_ASSIGN_OR_RETURN(
      secagg::DecodedSum decoded,
      secagg::DecodeSum(
          params, [&](uint64_t i) { return sum.Element(i) + (i < values ? noise.OnValue() : 0); },
          opened.mean));
  opened.metrics = std::move(decoded.metrics);
  opened.examples = static_cast<uint64_t>(
      std::llround(decoded.weight * static_cast<double>(params.examples_cap)));
  if (job.spec.privacy.kind != PrivacyKind::kNone) {
    opened.metrics["epsilon"] = EpsilonAfter(job.spec, job.releases);
    opened.metrics["clip"] = params.clip;
  }
  if (params.clip_lane) {
    const double clients = secagg::Count(session.record.survivors);
    const double fraction = (decoded.unclipped + noise.OnCount()) / clients;
    opened.metrics["unclipped_fraction"] = fraction;
    if (job.spec.privacy.adaptive_clip) {
      opened.next_clip = NextClip(params.clip, fraction, job.spec.privacy);
    }
  }
  return opened;
}

}  // namespace

absl::StatusOr<OpenedSum> OpenSum(DriveContext& context, const RoundRecord& round,
                                  const JobRecord& job, std::span<const Digest> parts) {
  if (round.policy.aggregation == AggregationMode::kClear) {
    return OpenClear(context, round, job, parts);
  }
  return OpenSecure(context, round, job, parts);
}

}  // namespace muster
