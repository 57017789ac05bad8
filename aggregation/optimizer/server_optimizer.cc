#include "aggregation/optimizer/server_optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

// One parameter before and after a step.
struct Element {
  double weight, momentum, second_moment;
};

struct FedAvg {
  static constexpr bool kMomentum = false, kSecondMoment = false;
  double rate;
  explicit FedAvg(const ServerOptimizerConfig& c) : rate(c.learning_rate) {}
  Element operator()(double delta, Element x) const {
    x.weight += rate * delta;
    return x;
  }
};

struct FedAvgM {
  static constexpr bool kMomentum = true, kSecondMoment = false;
  double rate, momentum;
  explicit FedAvgM(const ServerOptimizerConfig& c) : rate(c.learning_rate), momentum(c.momentum) {}
  Element operator()(double delta, Element x) const {
    x.momentum = momentum * x.momentum + delta;
    x.weight += rate * x.momentum;
    return x;
  }
};

struct AdagradMoment {
  double operator()(double v, double square, double /*beta2*/) const { return v + square; }
};
struct AdamMoment {
  double operator()(double v, double square, double beta2) const {
    return beta2 * v + (1.0 - beta2) * square;
  }
};
struct YogiMoment {
  double operator()(double v, double square, double beta2) const {
    const double sign = v > square ? 1.0 : (v < square ? -1.0 : 0.0);
    return v - (1.0 - beta2) * square * sign;
  }
};

template <typename Moment>
struct Adaptive {
  static constexpr bool kMomentum = true, kSecondMoment = true;
  double rate, beta1, beta2, tau;
  explicit Adaptive(const ServerOptimizerConfig& c)
      : rate(c.learning_rate), beta1(c.beta1), beta2(c.beta2), tau(c.tau) {}
  Element operator()(double delta, Element x) const {
    x.momentum = beta1 * x.momentum + (1.0 - beta1) * delta;
    x.second_moment = Moment()(x.second_moment, delta * delta, beta2);
    x.weight += rate * x.momentum / (std::sqrt(x.second_moment) + tau);
    return x;
  }
};

// False for NaN too.
bool FitsFloat(double value) { return std::abs(value) <= std::numeric_limits<float>::max(); }

bool FitsFloat(const Element& x) {
  // Bitwise, without branches, so that the loop around it vectorises.
  return FitsFloat(x.weight) & FitsFloat(x.momentum) & FitsFloat(x.second_moment);
}

// The vectors that a rule reads and writes; those that it does not keep are null.
struct View {
  const float* __restrict delta;
  float* __restrict weights;
  float* __restrict momentum;
  float* __restrict second_moment;
  size_t size;
};

template <typename Rule>
Element Next(const Rule& rule, const View& view, size_t i) {
  return rule(view.delta[i],
              Element{.weight = view.weights[i],
                      .momentum = Rule::kMomentum ? view.momentum[i] : 0.0f,
                      .second_moment = Rule::kSecondMoment ? view.second_moment[i] : 0.0f});
}

template <typename Rule>
bool AllFit(const Rule& rule, const View& view) {
  bool fit = true;
  for (size_t i = 0; i < view.size; ++i) fit &= FitsFloat(Next(rule, view, i));
  return fit;
}

template <typename Rule>
void Write(const Rule& rule, const View& view) {
  for (size_t i = 0; i < view.size; ++i) {
    const Element x = Next(rule, view, i);
    view.weights[i] = static_cast<float>(x.weight);
    if constexpr (Rule::kMomentum) view.momentum[i] = static_cast<float>(x.momentum);
    if constexpr (Rule::kSecondMoment) view.second_moment[i] = static_cast<float>(x.second_moment);
  }
}

template <typename Rule>
absl::Status OutOfRange(const Rule& rule, const View& view) {
  size_t i = 0;
  while (i < view.size && FitsFloat(Next(rule, view, i))) ++i;
  return absl::OutOfRangeError(
      StrCat("the server's step takes parameter ", i,
             " out of the range of float32; lower server_optimizer.learning_rate"));
}

absl::Status CheckStateSize(std::string_view what, const std::vector<float>& kept, bool keeps,
                            size_t size) {
  const size_t due = keeps ? size : 0;
  if (kept.size() == due) return absl::OkStatus();
  return absl::FailedPreconditionError(StrCat("the optimizer's state has ", kept.size(),
                                              " values of ", what, ", where ", due,
                                              " are due: it is another job's or optimizer's"));
}

template <typename Rule>
absl::Status Apply(const ServerOptimizerConfig& config, std::span<const float> delta,
                   std::span<float> weights, OptimizerState& state) {
  OptimizerState fresh;
  if (state.step == 0) {
    MUSTER_RETURN_IF_ERROR(CheckStateSize("momentum", state.momentum, false, 0));
    MUSTER_RETURN_IF_ERROR(CheckStateSize("second moment", state.second_moment, false, 0));
    if (Rule::kMomentum) fresh.momentum.assign(delta.size(), 0.0f);
    if (Rule::kSecondMoment) {
      fresh.second_moment.assign(delta.size(), static_cast<float>(config.tau * config.tau));
    }
  } else {
    MUSTER_RETURN_IF_ERROR(
        CheckStateSize("momentum", state.momentum, Rule::kMomentum, delta.size()));
    MUSTER_RETURN_IF_ERROR(
        CheckStateSize("second moment", state.second_moment, Rule::kSecondMoment, delta.size()));
  }
  OptimizerState& used = state.step == 0 ? fresh : state;
  const Rule rule(config);
  const View view{.delta = delta.data(),
                  .weights = weights.data(),
                  .momentum = used.momentum.data(),
                  .second_moment = used.second_moment.data(),
                  .size = delta.size()};
  // Twice through the same arithmetic is cheaper than a second copy of the model.
  if (!AllFit(rule, view)) return OutOfRange(rule, view);
  Write(rule, view);
  ++used.step;
  if (&used != &state) state = std::move(fresh);
  return absl::OkStatus();
}

absl::Status CheckInputs(std::span<const float> delta, std::span<const float> weights) {
  if (delta.size() != weights.size()) {
    return absl::InvalidArgumentError(StrCat("the mean update has ", delta.size(),
                                             " values, but the model shares ", weights.size(),
                                             " parameters"));
  }
  const auto bad =
      std::find_if_not(delta.begin(), delta.end(), [](float d) { return std::isfinite(d); });
  if (bad != delta.end()) {
    return absl::InvalidArgumentError(
        StrCat("the mean update is not finite at index ", bad - delta.begin()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ApplyServerOptimizer(const ServerOptimizerConfig& config,
                                  std::span<const float> mean_delta,
                                  std::span<float> shared_weights, OptimizerState& state) {
  MUSTER_RETURN_IF_ERROR(CheckInputs(mean_delta, shared_weights));
  switch (config.kind) {
    case ServerOptimizerKind::kFedAvg:
      return Apply<FedAvg>(config, mean_delta, shared_weights, state);
    case ServerOptimizerKind::kFedAvgM:
      return Apply<FedAvgM>(config, mean_delta, shared_weights, state);
    case ServerOptimizerKind::kFedAdagrad:
      return Apply<Adaptive<AdagradMoment>>(config, mean_delta, shared_weights, state);
    case ServerOptimizerKind::kFedAdam:
      return Apply<Adaptive<AdamMoment>>(config, mean_delta, shared_weights, state);
    case ServerOptimizerKind::kFedYogi:
      return Apply<Adaptive<YogiMoment>>(config, mean_delta, shared_weights, state);
  }
  return absl::InvalidArgumentError("unknown server optimizer");
}

}  // namespace muster
