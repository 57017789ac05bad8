// What an offer of a device means: whose it is, whether it was decided before, what it costs, and
// the results that come without an update.
#pragma once

#include <optional>
#include <string>

#include "coordinator/drive/context.h"

namespace muster {

// The device's own invocation. NotFound for another device's too: it looks like none at all.
absl::StatusOr<InvocationRecord> FindOwn(const StoreReader& reader, const DeviceId& device,
                                         const InvocationId& id);

// What an invocation that is not open any more answers to a repeated offer; nothing if it is open.
std::optional<OfferAnswer> AnswerIfDecided(const InvocationRecord& invocation,
                                           const Digest& update);
OfferAnswer RefusedAnswer(std::string reason);

// Refuses the device's part in a training round for good: it will not send it again, and the round
// does not wait for it. The answer tells, or what was decided meanwhile.
absl::StatusOr<OfferAnswer> RefuseForGood(DriveContext& context, const DeviceId& device,
                                          const InvocationId& id, const Digest& update,
                                          const Metering& metering, const std::string& reason);

// In the step's transaction: tells the round that it need not wait for `device` any more.
absl::Status TellDeviceFailed(StoreTx& tx, AfterCommit& after, RoundRecord& round,
                              const DeviceId& device, const std::string& reason, Timestamp now,
                              const DriveOptions& options);

// Evaluations, and failures of any function.
absl::StatusOr<OfferAnswer> AcceptResult(DriveContext& context, const DeviceId& device,
                                         const ResultOffer& offer);

// Owner of a principal's staged uploads: "device-ID".
std::string StagingOwner(std::string_view role, std::string_view id);

absl::Status CountUsage(StoreTx& tx, const std::string& job, const DeviceId& device,
                        const Metering& metering, uint64_t invocations);

}  // namespace muster
