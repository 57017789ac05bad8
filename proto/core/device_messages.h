// What devices and the coordinator tell each other, as validated values. The codec makes them from
// wire messages; nothing else may.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proto/core/digest.h"
#include "proto/core/ids.h"
#include "proto/core/plan.h"
#include "proto/core/time.h"

namespace muster {

// Names are ids, values are finite.
using Metrics = std::map<std::string, double>;

// Whether a device may work now, and on how much.
struct Eligibility {
  bool idle = false;
  bool charging = false;
  bool unmetered = false;
  bool custom = false;  // the device's own command agreed
  bool has_data = false;
  uint64_t train_examples = 0;
  friend bool operator==(const Eligibility&, const Eligibility&) = default;
};

struct CheckIn {
  Eligibility eligibility;
  uint64_t known_generation = 0;  // of the desired state that the device has; 0: none
  Duration wait{0};               // how long the call may be held; whole milliseconds
  std::string agent_version;
  uint64_t trust_generation = 0;  // of the CAs that the device trusts
  friend bool operator==(const CheckIn&, const CheckIn&) = default;
};

// One run of one function. The id is the idempotency key.
struct Invocation {
  InvocationId id;
  FunctionKind function = FunctionKind::kTrain;
  Digest package;        // of the signed package
  JobId job;             // empty when desired state asks, not a job
  uint32_t round = 0;    // from 1 within a job
  uint32_t attempt = 0;  // from 1 within a round
  uint64_t seed = 0;     // of everything random in the function
  Timestamp deadline;
  std::string traceparent;  // W3C Trace Context, or empty
  bool secure = false;      // training whose update goes through secure aggregation
  friend bool operator==(const Invocation&, const Invocation&) = default;
};

struct DesiredModel {
  ModelName name;
  uint32_t version = 0;
  Digest package;
  bool personalize = false;
  friend bool operator==(const DesiredModel&, const DesiredModel&) = default;
};

// All that a device should serve. A device jumps from any old generation to this one.
struct DesiredState {
  uint64_t generation = 0;
  std::vector<DesiredModel> models;  // one per name
  friend bool operator==(const DesiredState&, const DesiredState&) = default;
};

// The CAs that are trusted from now on.
struct TrustUpdate {
  uint64_t generation = 0;
  std::string ca_pem;
  friend bool operator==(const TrustUpdate&, const TrustUpdate&) = default;
};

struct CheckInAnswer {
  std::vector<Invocation> invocations;
  std::optional<DesiredState> desired;  // when newer than what the device has
  Duration next_check_in{0};            // pace steering, whole milliseconds; the device adds jitter
  bool in_round = false;                // a round of the device's is open: hold the line
  std::optional<TrustUpdate> trust;     // when newer than what the device trusts
  friend bool operator==(const CheckInAnswer&, const CheckInAnswer&) = default;
};

// What a function cost on the device.
struct Metering {
  Duration wall{0};
  Duration cpu{0};
  uint64_t peak_memory_bytes = 0;
  uint64_t bytes_down = 0;
  uint64_t bytes_up = 0;
  bool cold_start = false;
  friend bool operator==(const Metering&, const Metering&) = default;
};

// A staged upload, offered as the update of one invocation.
struct UpdateOffer {
  InvocationId invocation;
  Digest update;          // of float32[shared_size], little-endian
  uint64_t examples = 0;  // weight of the update, at least 1
  Metrics metrics;
  Metering metering;
  friend bool operator==(const UpdateOffer&, const UpdateOffer&) = default;
};

// The outcome of an invocation without an update: an evaluation, or a failure.
struct ResultOffer {
  InvocationId invocation;
  uint64_t examples = 0;
  Metrics metrics;
  Metering metering;
  std::string failure;  // empty: success
  friend bool operator==(const ResultOffer&, const ResultOffer&) = default;
};

enum class Verdict {
  kAccepted,   // counted, durably
  kDuplicate,  // was counted before
  kRefused,    // the device must not send it again
};
struct OfferAnswer {
  Verdict verdict = Verdict::kRefused;
  std::string reason;
  friend bool operator==(const OfferAnswer&, const OfferAnswer&) = default;
};

enum class ModelPhase {
  kApplying,
  kLive,
  kFailed,  // the last good version, if any, keeps serving
};
struct ModelStatus {
  ModelName name;
  uint32_t version = 0;  // that the device was told
  ModelPhase phase = ModelPhase::kApplying;
  std::string reason;
  uint32_t serving_version = 0;  // that answers requests now; 0: none
  bool serving_personalized = false;
  Metrics metrics;
  friend bool operator==(const ModelStatus&, const ModelStatus&) = default;
};

// What a device made of its desired state. The newest wins.
struct StateReport {
  uint64_t generation = 0;
  std::vector<ModelStatus> models;  // one per name
  Metering metering;                // of what applying it cost since the last report
  std::string report_id;            // idempotency key of the metering: an id
  friend bool operator==(const StateReport&, const StateReport&) = default;
};

}  // namespace muster
