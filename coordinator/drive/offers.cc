#include "coordinator/drive/offers.h"

#include <utility>

#include "coordinator/drive/evaluation.h"
#include "coordinator/drive/secagg_session.h"
#include "coordinator/drive/transitions.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {

OfferAnswer RefusedAnswer(std::string reason) { return {Verdict::kRefused, std::move(reason)}; }

std::optional<OfferAnswer> AnswerIfDecided(const InvocationRecord& invocation,
                                           const Digest& update) {
  switch (invocation.status) {
    case InvocationStatus::kOpen:
      return std::nullopt;
    case InvocationStatus::kReported:
      if (invocation.update == update) return OfferAnswer{Verdict::kDuplicate, "counted before"};
      return RefusedAnswer("a different update of this invocation is in the sum already");
    case InvocationStatus::kFailed:
    case InvocationStatus::kRefused:
    case InvocationStatus::kExpired:
      break;
  }
  return RefusedAnswer(invocation.reason);
}

absl::StatusOr<InvocationRecord> FindOwn(const StoreReader& reader, const DeviceId& device,
                                         const InvocationId& id) {
  auto invocation = reader.FindInvocation(id);
  if (absl::IsNotFound(invocation.status()) || (invocation.ok() && invocation->device != device)) {
    return absl::NotFoundError(
        StrCat("invocation ", id.value(), " was never given to this device"));
  }
  return invocation;
}

std::string StagingOwner(std::string_view role, std::string_view id) {
  return StrCat(role, "-", id);
}

absl::Status CountUsage(StoreTx& tx, const std::string& job, const DeviceId& device,
                        const Metering& metering, uint64_t invocations) {
  return tx.AddUsage({.job = job,
                      .device = device,
                      .invocations = invocations,
                      .wall_us = static_cast<uint64_t>(metering.wall.count()),
                      .cpu_us = static_cast<uint64_t>(metering.cpu.count()),
                      .bytes_up = metering.bytes_up,
                      .bytes_down = metering.bytes_down,
                      .cold_starts = metering.cold_start ? 1u : 0u});
}

absl::Status TellDeviceFailed(StoreTx& tx, AfterCommit& after, RoundRecord& round,
                              const DeviceId& device, const std::string& reason, Timestamp now,
                              const DriveOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(const bool awaited, IsAwaited(tx, round, device));
  return ApplyToRound(tx, after, round, DeviceFailed{device, reason, awaited}, now, options)
      .status();
}

absl::StatusOr<OfferAnswer> RefuseForGood(DriveContext& context, const DeviceId& device,
                                          const InvocationId& id, const Digest& update,
                                          const Metering& metering, const std::string& reason) {
  OfferAnswer answer = RefusedAnswer(reason);
  MUSTER_RETURN_IF_ERROR(Transact(context, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    const Timestamp now = context.clock.Now();
    MUSTER_ASSIGN_OR_RETURN(InvocationRecord invocation, FindOwn(tx, device, id));
    if (auto decided = AnswerIfDecided(invocation, update)) {
      answer = *decided;
      return absl::OkStatus();
    }
    invocation.status = InvocationStatus::kRefused;
    invocation.reason = reason;
    invocation.finished = now;
    MUSTER_RETURN_IF_ERROR(tx.PutInvocation(invocation));
    MUSTER_RETURN_IF_ERROR(CountUsage(tx, invocation.round.job.value(), device, metering, 1));
    MUSTER_ASSIGN_OR_RETURN(RoundRecord round, tx.FindRound(invocation.round));
    return TellDeviceFailed(tx, after, round, device, reason, now, context.options);
  }));
  LogWarning("a device's part was refused",
             {{"device", device.value()}, {"invocation", id.value()}, {"reason", reason}});
  return answer;
}

absl::StatusOr<OfferAnswer> AcceptResult(DriveContext& context, const DeviceId& device,
                                         const ResultOffer& offer) {
  OfferAnswer answer;
  MUSTER_RETURN_IF_ERROR(Transact(context, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    const Timestamp now = context.clock.Now();
    MUSTER_ASSIGN_OR_RETURN(InvocationRecord invocation, FindOwn(tx, device, offer.invocation));
    if (invocation.status == InvocationStatus::kReported ||
        invocation.status == InvocationStatus::kFailed) {
      answer = {Verdict::kDuplicate, "counted before"};
      return absl::OkStatus();
    }
    if (auto decided = AnswerIfDecided(invocation, {})) {
      answer = *decided;
      return absl::OkStatus();
    }
    const bool failed = !offer.failure.empty();
    if (!failed && invocation.function == FunctionKind::kTrain) {
      answer = RefusedAnswer("training must hand in an update, or say why it failed");
      return absl::OkStatus();
    }
    answer = {Verdict::kAccepted, ""};
    invocation.status = failed ? InvocationStatus::kFailed : InvocationStatus::kReported;
    invocation.reason = offer.failure;
    invocation.examples = offer.examples;
    invocation.metrics = offer.metrics;
    invocation.metering = offer.metering;
    invocation.finished = now;
    MUSTER_RETURN_IF_ERROR(tx.PutInvocation(invocation));
    MUSTER_RETURN_IF_ERROR(CountUsage(tx, invocation.round.job.value(), device, offer.metering, 1));
    MUSTER_ASSIGN_OR_RETURN(RoundRecord round, tx.FindRound(invocation.round));
    if (invocation.function == FunctionKind::kTrain) {
      return TellDeviceFailed(tx, after, round, device, offer.failure, now, context.options);
    }
    return EndEvaluation(tx, after, round, failed ? Metrics{} : offer.metrics, now,
                         context.options);
  }));
  if (!offer.failure.empty()) {
    LogWarning("function failed on a device", {{"device", device.value()},
                                               {"invocation", offer.invocation.value()},
                                               {"reason", offer.failure}});
  }
  return answer;
}

}  // namespace muster
