// Valid values at random, from a seed: what property tests round-trip through the codec.
#pragma once

#include <string>

#include "proto/core/device_messages.h"
#include "proto/core/enrol_messages.h"
#include "proto/core/job_spec.h"
#include "proto/core/manifest.h"
#include "proto/core/random.h"

namespace muster::testing_codec {

class RandomValues {
 public:
  explicit RandomValues(uint64_t seed) : random_(seed) {}

  bool Coin() { return random_.Below(2) == 1; }
  uint64_t Between(uint64_t low, uint64_t high) { return low + random_.Below(high - low + 1); }
  double Real(double low, double high) { return low + random_.Unit() * (high - low); }

  std::string IdText();
  std::string Text(size_t max_bytes);  // ASCII with newlines
  std::string Bytes(size_t max_bytes);
  Digest AnyDigest();
  Timestamp AnyTime();
  Metrics AnyMetrics();
  Labels AnyLabels();
  Selector AnySelector();

  // A network and the layout that fits it, with groups; at least one entry is shared.
  void AnyModel(Architecture* architecture, ParameterLayout* layout);
  TrainPlan AnyTrainPlan();
  EvaluatePlan AnyEvaluatePlan();
  PersonalizePlan AnyPersonalizePlan();
  Manifest AnyManifest();
  JobSpec AnyJobSpec();

  Metering AnyMetering();
  Eligibility AnyEligibility();
  CheckIn AnyCheckIn();
  Invocation AnyInvocation();
  DesiredState AnyDesiredState();
  CheckInAnswer AnyCheckInAnswer();
  UpdateOffer AnyUpdateOffer();
  ResultOffer AnyResultOffer();
  ModelStatus AnyModelStatus();
  StateReport AnyStateReport();
  OfferAnswer AnyOfferAnswer();

  Enrolment AnyEnrolment();
  EnrolmentGrant AnyEnrolmentGrant();

 private:
  void AnyAggregation(JobSpec& spec);  // with its privacy, and a quorum that it allows
  template <typename Id>
  Id AnyId() {
    return Id::Trusted(IdText());
  }
  LossKind AnyLoss() { return static_cast<LossKind>(Between(0, 3)); }  // all but the module's own

  SeededRandom random_;
};

}  // namespace muster::testing_codec
