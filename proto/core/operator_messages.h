// What researchers and operators ask for, as validated values.
#pragma once

#include <cstdint>
#include <string>

#include "proto/core/digest.h"
#include "proto/core/ids.h"
#include "proto/core/job_spec.h"
#include "proto/core/labels.h"
#include "proto/core/time.h"

namespace muster {

struct JobSubmission {
  JobSpec spec;
  std::string idempotency_key;  // an id, or empty: every call is a new job
};

struct PageRequest {
  uint32_t size = 0;  // rows; never 0 once decoded
  std::string token;  // where the page before ended; empty: from the start
};

struct JobQuery {
  JobId job;
  uint32_t from_round = 0;
};

struct ModelListing {
  ModelName name;  // empty: all
  PageRequest page;
};

struct ModelQuery {
  ModelName name;
  uint32_t version = 0;  // 0: the newest
};

struct UsageQuery {
  std::string job;  // an id, or empty: all; "serving" is what desired state cost
  DeviceId device;  // empty: all
};

struct TokenOrder {
  uint32_t uses = 0;
  Duration ttl{0};
  Labels labels;
};

struct DeviceListing {
  Selector selector;
  PageRequest page;
};

struct Revocation {
  DeviceId device;
  std::string reason;
};

struct PromotionOrder {
  ModelName name;
  uint32_t version = 0;
  Selector cohort;
  bool personalize = true;
};

struct AuditListing {
  Timestamp since;
  std::string actor;   // begins with
  std::string action;  // begins with
  PageRequest page;
};

// A row of the audit log as somebody saw it before.
struct AuditPlace {
  std::string chain;
  uint64_t number = 0;
  Digest hash;
};

// By id, or the newest of a name; exactly one of them is set.
struct PromotionQuery {
  PromotionId id;
  ModelName name;
};

}  // namespace muster
