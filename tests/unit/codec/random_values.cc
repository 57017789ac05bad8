#include "tests/unit/codec/random_values.h"

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "proto/core/limits.h"

namespace muster::testing_codec {
namespace {

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) std::abort();  // the generator itself is wrong
  return *std::move(value);
}

}  // namespace

std::string RandomValues::IdText() {
  constexpr std::string_view kFirst = "abcdefghijklmnopqrstuvwxyz0123456789";
  constexpr std::string_view kRest = "abcdefghijklmnopqrstuvwxyz0123456789._-";
  std::string text(1, kFirst[random_.Below(kFirst.size())]);
  for (uint64_t n = random_.Below(kMaxIdLength); n > 0; --n) {
    text.push_back(kRest[random_.Below(kRest.size())]);
  }
  return text;
}

std::string RandomValues::Text(size_t max_bytes) {
  std::string text;
  for (uint64_t n = random_.Below(max_bytes + 1); n > 0; --n) {
    text.push_back(random_.Below(20) == 0 ? '\n' : static_cast<char>(Between(0x20, 0x7e)));
  }
  return text;
}

std::string RandomValues::Bytes(size_t max_bytes) {
  std::string bytes(random_.Below(max_bytes + 1), '\0');
  random_.Fill({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
  return bytes;
}

Digest RandomValues::AnyDigest() {
  std::array<uint8_t, Digest::kSize> bytes;
  random_.Fill(bytes);
  return Digest(bytes);
}

Timestamp RandomValues::AnyTime() {
  return {static_cast<int64_t>(Between(0, 253'402'300'799'999'999))};
}

Metrics RandomValues::AnyMetrics() {
  Metrics metrics;
  for (uint64_t n = Between(0, limits::kMaxMetrics); n > 0; --n) {
    metrics[IdText()] = Real(-1e6, 1e6);
  }
  return metrics;
}

Labels RandomValues::AnyLabels() {
  Labels labels;
  for (uint64_t n = Between(0, limits::kMaxLabels); n > 0; --n) labels[IdText()] = IdText();
  return labels;
}

Selector RandomValues::AnySelector() {
  std::string text;
  for (uint64_t n = Between(0, 4); n > 0; --n) {
    if (!text.empty()) text += ",";
    text += IdText() + (Coin() ? "=" : "!=") + IdText();
  }
  return Must(Selector::Parse(text));
}

void RandomValues::AnyModel(Architecture* architecture, ParameterLayout* layout) {
  std::vector<LayoutEntry> entries;
  uint64_t offset = 0;
  const auto add = [&](std::vector<uint32_t> shape) {
    LayoutEntry entry;
    entry.name = std::to_string(entries.size()) + ".parameter";
    entry.shape = std::move(shape);
    entry.offset = offset;
    entry.group =
        entries.empty() ? ParameterGroup::kShared : static_cast<ParameterGroup>(Between(0, 2));
    entry.trainable = Coin();
    offset += entry.size();
    entries.push_back(entry);
    return entry.name;
  };
  const auto small = [&] { return static_cast<uint32_t>(Between(1, 9)); };
  const auto bias = [&](uint32_t out) { return Coin() ? add({out}) : std::string(); };

  architecture->name = IdText();
  for (uint64_t n = Between(1, 3); n > 0; --n) architecture->input_shape.push_back(small());
  architecture->outputs = small();
  {
    const uint32_t in = small(), out = small();
    architecture->layers.push_back(LinearLayer{in, out, add({out, in}), bias(out)});
  }
  for (uint64_t n = Between(0, 12); n > 0; --n) {
    const uint32_t groups = small(), in = groups * small(), out = groups * small();
    switch (random_.Below(7)) {
      case 0: {
        Conv1dLayer conv{.in = in,
                         .out = out,
                         .kernel = small(),
                         .stride = small(),
                         .padding = small() - 1,
                         .groups = groups};
        conv.weight = add({out, in / groups, conv.kernel});
        conv.bias = bias(out);
        architecture->layers.push_back(conv);
        break;
      }
      case 1: {
        Conv2dLayer conv{.in = in,
                         .out = out,
                         .kernel_h = small(),
                         .kernel_w = small(),
                         .stride_h = small(),
                         .stride_w = small(),
                         .padding_h = small() - 1,
                         .padding_w = small() - 1,
                         .groups = groups};
        conv.weight = add({out, in / groups, conv.kernel_h, conv.kernel_w});
        conv.bias = bias(out);
        architecture->layers.push_back(conv);
        break;
      }
      case 2:
        architecture->layers.push_back(ReluLayer{});
        break;
      case 3:
        architecture->layers.push_back(
            Pool1dLayer{Coin() ? PoolKind::kMax : PoolKind::kAverage, small(), small()});
        break;
      case 4:
        architecture->layers.push_back(Pool2dLayer{Coin() ? PoolKind::kMax : PoolKind::kAverage,
                                                   small(), small(), small(), small()});
        break;
      case 5:
        architecture->layers.push_back(GlobalAveragePoolLayer{});
        break;
      case 6:
        architecture->layers.push_back(FlattenLayer{});
        break;
    }
  }
  *layout = Must(ParameterLayout::Create(std::move(entries)));
}

TrainPlan RandomValues::AnyTrainPlan() {
  TrainPlan plan;
  plan.optimizer = Coin() ? LocalOptimizer::kSgd : LocalOptimizer::kAdam;
  plan.learning_rate = Real(1e-6, 10);
  plan.momentum = Real(0, 0.999);
  plan.beta1 = Real(0, 0.999);
  plan.beta2 = Real(0, 0.999);
  plan.epsilon = Real(1e-12, 1);
  plan.weight_decay = Real(0, 1);
  plan.schedule.kind = static_cast<ScheduleKind>(Between(0, 2));
  plan.schedule.gamma = Real(1e-6, 1);
  plan.schedule.every = static_cast<uint32_t>(Between(1, limits::kMaxRounds));
  plan.schedule.floor = Real(0, 1);
  plan.epochs = static_cast<uint32_t>(Between(1, limits::kMaxEpochs));
  plan.steps = static_cast<uint32_t>(Between(0, limits::kMaxLocalSteps));
  plan.batch_size = static_cast<uint32_t>(Between(1, limits::kMaxBatchSize));
  plan.clip_norm = Real(0, 100);
  plan.proximal_mu = Real(0, 10);
  plan.loss = AnyLoss();
  plan.max_examples = Between(0, limits::kMaxExamplesPerUpdate);
  return plan;
}

EvaluatePlan RandomValues::AnyEvaluatePlan() {
  return {static_cast<uint32_t>(Between(1, limits::kMaxBatchSize)), AnyLoss()};
}

PersonalizePlan RandomValues::AnyPersonalizePlan() {
  PersonalizePlan plan;
  plan.enabled = Coin();
  plan.scope = Coin() ? PersonalizeScope::kHead : PersonalizeScope::kAll;
  plan.train = AnyTrainPlan();
  plan.calibration_examples = static_cast<uint32_t>(Between(1, limits::kMaxCalibrationExamples));
  plan.calibration = Coin() ? CalibrationMethod::kMinMax : CalibrationMethod::kPercentile;
  plan.calibration_percentile = Real(51, 100);
  plan.gate_margin = Real(0, 1);
  return plan;
}

Manifest RandomValues::AnyManifest() {
  Manifest manifest;
  manifest.name = AnyId<ModelName>();
  manifest.version = static_cast<uint32_t>(Between(0, UINT32_MAX));
  manifest.security_version = Between(1, INT64_MAX);
  AnyModel(&manifest.architecture, &manifest.layout);
  manifest.train = AnyTrainPlan();
  manifest.evaluate = AnyEvaluatePlan();
  manifest.personalize = AnyPersonalizePlan();
  manifest.total_rounds = static_cast<uint32_t>(Between(0, limits::kMaxRounds));
  manifest.lineage.round = static_cast<uint32_t>(Between(0, manifest.total_rounds));
  if (Coin()) manifest.lineage.job = AnyId<JobId>();
  if (Coin()) manifest.lineage.parent_weights = AnyDigest();
  manifest.lineage.clients = Between(0, limits::kMaxCohort);
  manifest.lineage.examples = Between(0, 1ull << 40);
  manifest.lineage.aggregation = Coin() ? "clear" : "";
  manifest.lineage.created = AnyTime();
  manifest.lineage.metrics = AnyMetrics();
  return manifest;
}

void RandomValues::AnyAggregation(JobSpec& spec) {
  AggregationConfig& aggregation = spec.aggregation;
  aggregation.mode = static_cast<AggregationMode>(Between(0, 2));
  aggregation.drop = Real(0, 0.4);
  aggregation.corrupt = Real(0, 0.4);
  aggregation.clip = Real(0.01, limits::kMaxClip);
  aggregation.ring_bits = 16u << Between(0, 2);
  aggregation.cipher = static_cast<MaskCipher>(Between(0, 2));
  aggregation.phase_deadline = Duration(Between(1'000'000, 86'400'000'000));
  spec.privacy.noise_multiplier = Real(0.01, 10);
  spec.privacy.delta = Real(1e-12, 0.9);
  spec.privacy.epsilon_budget = Real(0.1, 100);
  spec.privacy.clip_quantile = Real(0.01, 0.99);
  spec.privacy.clip_rate = Real(0.01, 1);
  spec.privacy.clip_noise = Real(0, 10);
  if (!aggregation.secure()) return;
  spec.round.clients = std::max(spec.round.clients, limits::kMinSecureClients);
  spec.round.quorum = std::max(spec.round.quorum, limits::kMinSecureClients);
  spec.privacy.kind = static_cast<PrivacyKind>(Between(0, 2));
  spec.privacy.adaptive_clip = spec.privacy.kind == PrivacyKind::kCentral && Coin();
  if (spec.privacy.kind == PrivacyKind::kDistributed) {
    aggregation.ring_bits = std::max(aggregation.ring_bits, 32u);
  }
}

JobSpec RandomValues::AnyJobSpec() {
  JobSpec spec;
  spec.name = AnyId<ModelName>();
  AnyModel(&spec.architecture, &spec.layout);
  if (Coin()) spec.module = AnyDigest();
  spec.initial_weights = AnyDigest();
  spec.rounds = static_cast<uint32_t>(Between(1, limits::kMaxRounds));
  spec.seed = random_.Next64();
  spec.cohort = AnySelector();
  spec.round.clients = static_cast<uint32_t>(Between(1, 1000));
  spec.round.over_selection = Real(1, limits::kMaxOverSelection);
  spec.round.quorum = static_cast<uint32_t>(Between(1, spec.round.clients));
  spec.round.deadline = Duration(Between(1, 86'400'000'000));
  spec.round.max_attempts = static_cast<uint32_t>(Between(1, limits::kMaxRoundAttempts));
  spec.train = AnyTrainPlan();
  spec.evaluate = AnyEvaluatePlan();
  spec.personalize = AnyPersonalizePlan();
  spec.server_optimizer = DefaultServerOptimizer(static_cast<ServerOptimizerKind>(Between(0, 4)));
  spec.server_optimizer.learning_rate = Real(1e-6, 10);
  spec.evaluation.enabled = Coin();
  spec.evaluation.evaluator = AnySelector();
  spec.evaluation.every = static_cast<uint32_t>(Between(1, 100));
  spec.evaluation.deadline = Duration(Between(1, 86'400'000'000));
  AnyAggregation(spec);
  return spec;
}

Metering RandomValues::AnyMetering() {
  return {.wall = Duration(Between(0, 1ull << 40)),
          .cpu = Duration(Between(0, 1ull << 40)),
          .peak_memory_bytes = Between(0, 1ull << 40),
          .bytes_down = Between(0, 1ull << 50),
          .bytes_up = Between(0, 1ull << 50),
          .cold_start = Coin()};
}

Eligibility RandomValues::AnyEligibility() {
  return {Coin(), Coin(), Coin(), Coin(), Coin(), Between(0, 1ull << 40)};
}

CheckIn RandomValues::AnyCheckIn() {
  return {.eligibility = AnyEligibility(),
          .known_generation = Between(0, INT64_MAX),
          .wait = std::chrono::milliseconds(Between(0, 25'000)),
          .agent_version = IdText(),
          .trust_generation = Between(0, INT64_MAX)};
}

Invocation RandomValues::AnyInvocation() {
  Invocation invocation;
  invocation.id = AnyId<InvocationId>();
  invocation.function = static_cast<FunctionKind>(Between(0, 3));
  invocation.package = AnyDigest();
  const bool needs_job =
      invocation.function == FunctionKind::kTrain || invocation.function == FunctionKind::kEvaluate;
  if (needs_job || Coin()) {
    invocation.job = AnyId<JobId>();
    invocation.round = static_cast<uint32_t>(Between(1, limits::kMaxRounds));
    invocation.attempt = static_cast<uint32_t>(Between(1, limits::kMaxRoundAttempts));
  }
  invocation.seed = random_.Next64();
  invocation.deadline = AnyTime();
  if (Coin()) {
    invocation.traceparent = "00-" + random_.Hex(16) + "-" + random_.Hex(8) + "-" + random_.Hex(1);
  }
  invocation.secure = invocation.function == FunctionKind::kTrain && Coin();
  return invocation;
}

DesiredState RandomValues::AnyDesiredState() {
  DesiredState desired;
  desired.generation = Between(0, INT64_MAX);
  for (uint64_t n = Between(0, limits::kMaxModelsPerDevice); n > 0; --n) {
    desired.models.push_back({.name = ModelName::Trusted(std::to_string(n)),
                              .version = static_cast<uint32_t>(Between(1, UINT32_MAX)),
                              .package = AnyDigest(),
                              .personalize = Coin()});
  }
  return desired;
}

CheckInAnswer RandomValues::AnyCheckInAnswer() {
  CheckInAnswer answer;
  for (uint64_t n = Between(0, 5); n > 0; --n) answer.invocations.push_back(AnyInvocation());
  if (Coin()) answer.desired = AnyDesiredState();
  answer.next_check_in = std::chrono::milliseconds(Between(0, 600'000));
  answer.in_round = Coin();
  if (Coin()) answer.trust = TrustUpdate{Between(1, INT64_MAX), "x" + Text(2000)};
  return answer;
}

UpdateOffer RandomValues::AnyUpdateOffer() {
  return {.invocation = AnyId<InvocationId>(),
          .update = AnyDigest(),
          .examples = Between(1, limits::kMaxExamplesPerUpdate),
          .metrics = AnyMetrics(),
          .metering = AnyMetering()};
}

ResultOffer RandomValues::AnyResultOffer() {
  return {.invocation = AnyId<InvocationId>(),
          .examples = Between(0, limits::kMaxExamplesPerUpdate),
          .metrics = AnyMetrics(),
          .metering = AnyMetering(),
          .failure = Coin() ? Text(limits::kMaxTextLength) : ""};
}

ModelStatus RandomValues::AnyModelStatus() {
  return {.name = AnyId<ModelName>(),
          .version = static_cast<uint32_t>(Between(1, UINT32_MAX)),
          .phase = static_cast<ModelPhase>(Between(0, 2)),
          .reason = Text(100),
          .serving_version = static_cast<uint32_t>(Between(0, UINT32_MAX)),
          .serving_personalized = Coin(),
          .metrics = AnyMetrics()};
}

StateReport RandomValues::AnyStateReport() {
  StateReport report;
  report.generation = Between(0, INT64_MAX);
  for (uint64_t n = Between(0, 5); n > 0; --n) {
    report.models.push_back(AnyModelStatus());
    report.models.back().name = ModelName::Trusted(std::to_string(n));
  }
  report.metering = AnyMetering();
  report.report_id = IdText();
  return report;
}

OfferAnswer RandomValues::AnyOfferAnswer() {
  return {static_cast<Verdict>(Between(0, 2)), Text(200)};
}

Enrolment RandomValues::AnyEnrolment() {
  return {.token = "mjt_" + IdText(),
          .csr_der = "\x30" + Bytes(1000),
          .requested_name = Coin() ? AnyId<DeviceId>() : DeviceId(),
          .labels = AnyLabels()};
}

EnrolmentGrant RandomValues::AnyEnrolmentGrant() {
  return {.device = AnyId<DeviceId>(),
          .certificate_pem = "-----BEGIN CERTIFICATE-----\n" + Text(2000),
          .ca_pem = "-----BEGIN CERTIFICATE-----\n" + Text(2000),
          .package_key_pem = "-----BEGIN PUBLIC KEY-----\n" + Text(200),
          .labels = AnyLabels(),
          .trust_generation = Between(0, INT64_MAX)};
}

}  // namespace muster::testing_codec
