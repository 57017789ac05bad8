// What the coordinator remembers: one struct for each table.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "coordinator/rollout/rollout_machine.h"
#include "coordinator/round/job_machine.h"
#include "coordinator/round/round_machine.h"
#include "proto/core/device_messages.h"
#include "proto/core/digest.h"
#include "proto/core/ids.h"
#include "proto/core/job_spec.h"
#include "proto/core/labels.h"
#include "proto/core/manifest.h"
#include "proto/core/secagg_messages.h"
#include "proto/core/time.h"

namespace muster {

// `row_version` is 0 for a record that is not stored yet and grows by one with every write. Put()
// compares it: whoever loaded an older version is told Aborted and loads again.
struct JobRecord {
  JobId id;
  uint64_t row_version = 0;
  JobSpec spec;
  JobState state;
  Timestamp submitted;
  std::string submitted_by;     // principal, such as "researcher/alice"
  std::string idempotency_key;  // unique unless empty
  Digest initial_package;
  uint32_t rounds_committed = 0;
  uint32_t releases = 0;  // sums that secure aggregation opened: what the privacy budget counts
  double clip = 0;  // that the next round uses, once adaptive clipping moved it; 0: the spec's
  friend bool operator==(const JobRecord&, const JobRecord&) = default;
};

struct RoundRecord {
  RoundId id;
  uint64_t row_version = 0;
  RoundPolicy policy;
  RoundState state;
  Digest base_package;  // what participants train from
  Digest base_weights;
  Digest optimizer_state;      // blob that the server optimizer starts from, or empty
  uint32_t model_version = 0;  // made by this round; 0 until committed
  Metrics metrics;             // example-weighted means of the participants', once committed
  Metrics evaluation;          // of the version that the round made
  uint64_t bytes_up = 0;
  uint64_t bytes_down = 0;
  friend bool operator==(const RoundRecord&, const RoundRecord&) = default;
};

enum class InvocationStatus { kOpen, kReported, kFailed, kRefused, kExpired };
std::string_view InvocationStatusName(InvocationStatus status);  // "open", ...

// One run of one function on one device. Unique in (round, function, device): a device counts at
// most once in a round.
struct InvocationRecord {
  InvocationId id;
  uint64_t row_version = 0;
  DeviceId device;
  FunctionKind function = FunctionKind::kTrain;
  RoundId round;
  Digest package;
  uint64_t seed = 0;
  Timestamp created;
  Timestamp deadline;
  std::string traceparent;
  InvocationStatus status = InvocationStatus::kOpen;
  Digest update;  // that was offered
  uint64_t examples = 0;
  Metrics metrics;
  Metering metering;
  std::string reason;  // of kFailed, kRefused, kExpired
  Timestamp finished;
  friend bool operator==(const InvocationRecord&, const InvocationRecord&) = default;
};

// One replica's part of a round's sum. A round's parts add up, in any order, to the sum over its
// reported invocations. Only the replica of that name writes it.
struct PartialSumRecord {
  RoundId round;
  std::string replica;
  uint64_t row_version = 0;
  Digest blob;
  friend bool operator==(const PartialSumRecord&, const PartialSumRecord&) = default;
};

// What secure aggregation fixed for a round. The messages are kept as they came over the wire:
// their bytes are what was signed and hashed.
struct SecAggSessionRecord {
  RoundId round;
  uint64_t row_version = 0;
  std::string params;           // v1.SecAggParams
  Digest roster_root;           // empty until the roster is frozen
  secagg::ClientSet sharers;    // U1; empty until frozen
  secagg::ClientSet survivors;  // U2; empty until frozen, and write-once
  friend bool operator==(const SecAggSessionRecord&, const SecAggSessionRecord&) = default;
};

enum class SecAggStep { kAdvert, kShares, kMasked, kConsent, kReveal };
std::string_view SecAggStepName(SecAggStep step);  // "advert", ...

// What one device sent in one step. Write-once.
struct SecAggMessageRecord {
  RoundId round;
  SecAggStep step = SecAggStep::kAdvert;
  DeviceId device;
  std::string message;  // serialized wire message
  friend bool operator==(const SecAggMessageRecord&, const SecAggMessageRecord&) = default;
};

enum class TaskKind {
  kRoundDeadline,
  kCloseSum,           // finalize the round: mean, optimizer, new version
  kRequestEvaluation,  // of `model_version`
  kEvaluationDeadline,
  kCollectGarbage,  // of no round; comes again and again
};
std::string_view TaskKindName(TaskKind kind);

// Something to do: an effect that a transaction committed (due at once), or a timer (due later).
// Tasks are claimed by lease; `fence` grows with every claim and must still be the same when the
// claimant completes it, so that a claimant whose lease ran out cannot do harm.
struct TaskRecord {
  std::string key;  // unique: "close-sum/JOB/r3.a1"
  TaskKind kind = TaskKind::kCloseSum;
  RoundId round;
  uint32_t model_version = 0;
  Timestamp due;
  Timestamp leased_until;  // {0}: free
  uint64_t fence = 0;
  uint32_t attempts = 0;
  friend bool operator==(const TaskRecord&, const TaskRecord&) = default;
};

struct DeviceRecord {
  DeviceId id;
  uint64_t row_version = 0;
  Labels labels;
  bool revoked = false;
  std::string revoked_reason;
  Timestamp enrolled;
  Timestamp last_seen;
  std::string certificate_serial;
  Timestamp certificate_expires;
  uint32_t certificate_ca = 1;    // number of the CA that issued it
  uint64_t trust_generation = 1;  // of the CAs that it said it trusts
  std::string agent_version;
  Eligibility eligibility;
  uint64_t applied_generation = 0;
  std::vector<ModelStatus> models;
  std::string last_report_id;  // of the metering last counted
  friend bool operator==(const DeviceRecord&, const DeviceRecord&) = default;
};

struct TokenRecord {
  TokenId id;
  uint64_t row_version = 0;
  Digest secret_hash;
  uint32_t uses = 1;
  uint32_t used = 0;
  Timestamp created;
  Timestamp expires;
  Labels labels;
  bool revoked = false;
  friend bool operator==(const TokenRecord&, const TokenRecord&) = default;
};

struct ModelRecord {
  ModelVersion id;
  uint64_t row_version = 0;
  Digest package;
  Digest weights;
  Digest module;  // TorchScript file, or empty
  Digest manifest;
  Digest optimizer_state;  // after the round, or empty
  uint64_t weights_bytes = 0;
  Lineage lineage;
  Metrics evaluation;
  friend bool operator==(const ModelRecord&, const ModelRecord&) = default;
};

using PromotionPhase = RolloutPhase;
std::string_view PromotionPhaseName(PromotionPhase phase);

// Devices take, for each model name, the newest promotion that is not rolled back and whose cohort
// matches their labels. So a roll-back uncovers the one before it.
struct PromotionRecord {
  PromotionId id;
  uint64_t row_version = 0;
  ModelVersion model;
  Digest package;
  Selector cohort;
  bool personalize = true;
  PromotionPhase phase = PromotionPhase::kRollingOut;
  Timestamp created;
  std::string created_by;
  uint32_t previous_version = 0;
  uint64_t generation = 0;  // of the desired state that it began
  friend bool operator==(const PromotionRecord&, const PromotionRecord&) = default;
};

// Added up for each (job, device). `job` is "serving" for what desired state costs.
struct UsageRecord {
  std::string job;
  DeviceId device;
  uint64_t invocations = 0;
  uint64_t wall_us = 0;
  uint64_t cpu_us = 0;
  uint64_t bytes_up = 0;
  uint64_t bytes_down = 0;
  uint64_t cold_starts = 0;
  friend bool operator==(const UsageRecord&, const UsageRecord&) = default;
};

// One line of the audit log: who did what to what. Rows of one chain are numbered from 1, and each
// hash covers the row and the hash before it, so that a row that was changed or taken out shows.
struct AuditRecord {
  std::string chain;  // each writer has its own: nobody waits for another's
  uint64_t number = 0;
  Timestamp at;
  std::string actor;    // "operator/ada", "device/d-1", "token/3f9c2a", "anonymous"
  std::string action;   // "token.create"
  std::string subject;  // what it was done to, or empty
  std::string detail;
  uint64_t count = 1;  // times that the row sums up
  Digest hash;
  friend bool operator==(const AuditRecord&, const AuditRecord&) = default;
};

// Where a chain begins and ends. Rows up to the anchor were pruned.
struct AuditChain {
  std::string chain;
  uint64_t anchor_number = 0;
  Digest anchor_hash;
  uint64_t last_number = 0;
  Digest last_hash;
  friend bool operator==(const AuditChain&, const AuditChain&) = default;
};

// Which rows of the audit log to list; empty texts match all.
struct AuditFilter {
  Timestamp since;
  std::string actor;   // begins with
  std::string action;  // begins with
};

}  // namespace muster
