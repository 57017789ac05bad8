// Steps of the round and job machines inside a transaction: load, step, write, and turn effects
// that only touch the store into writes of the same transaction. Effects that touch blobs become
// tasks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "coordinator/drive/context.h"

namespace muster {

// Nothing if the event was applied, else why it was ignored. `round` is the record as loaded in
// this transaction; it is written back, with its new row_version.
absl::StatusOr<std::optional<Ignored>> ApplyToRound(StoreTx& tx, AfterCommit& after,
                                                    RoundRecord& round, const RoundEvent& event,
                                                    Timestamp now, const DriveOptions& options);

absl::StatusOr<std::optional<Ignored>> ApplyToJob(StoreTx& tx, AfterCommit& after, const JobId& job,
                                                  const JobEvent& event, Timestamp now,
                                                  const DriveOptions& options);

// Makes the round's row, its deadline, and invitations for a uniform sample of the devices that are
// there; places left over go to devices as they check in.
absl::Status OpenRoundInStore(StoreTx& tx, AfterCommit& after, const JobRecord& job,
                              const OpenNextRound& effect, Timestamp now,
                              const DriveOptions& options);

// Takes one device into a round that is collecting, if a place is free: the invocation, or why not.
absl::StatusOr<std::variant<InvocationRecord, Ignored>> Invite(
    StoreTx& tx, AfterCommit& after, const JobRecord& job, RoundRecord& round,
    const DeviceRecord& device, Timestamp now, const DriveOptions& options);

// May the device take part in `job` at all?
bool Participates(const JobSpec& spec, const DeviceRecord& device);
bool IsReady(const Eligibility& eligibility);

InvocationId InvocationIdFor(const RoundId& round, FunctionKind function, const DeviceId& device);
// W3C Trace Context: one trace for each job, one span for each invocation.
std::string TraceparentFor(const JobId& job, const InvocationId& invocation);
std::string RoundTaskKey(std::string_view prefix, const RoundId& round);

inline constexpr char kCloseSumTask[] = "close-sum";
inline constexpr char kRoundDeadlineTask[] = "round-deadline";
inline constexpr char kRequestEvaluationTask[] = "request-evaluation";
inline constexpr char kEvaluationDeadlineTask[] = "evaluation-deadline";

}  // namespace muster
