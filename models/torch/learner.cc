#include "models/torch/learner.h"

#include <torch/optim/adam.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "models/torch/accuracy.h"
#include "models/torch/errors.h"
#include "models/torch/network.h"
#include "proto/core/random.h"
#include "proto/core/status.h"

namespace muster {
namespace {

// Copies the rows of a data set into batches of the shape that the network takes.
class Batcher {
 public:
  static absl::StatusOr<Batcher> Make(const Dataset& data, std::span<const uint32_t> input_shape) {
    Batcher batcher(data);
    const auto shape =
        input_shape.empty() ? std::span<const uint32_t>(data.example_shape) : input_shape;
    uint64_t size = 1;
    for (uint32_t side : shape) {
      size *= side;
      batcher.shape_.push_back(side);
    }
    if (size != data.example_size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the data's examples have ", data.example_size(),
                       " features, the model takes ", size, ": it is not made for this data"));
    }
    return batcher;
  }

  at::Tensor Features(std::span<const uint64_t> rows) {
    shape_[0] = static_cast<int64_t>(rows.size());
    at::Tensor x = at::empty(shape_, at::kFloat);
    const size_t size = data_->example_size();
    for (size_t i = 0; i < rows.size(); ++i) {
      std::memcpy(x.data_ptr<float>() + i * size, data_->features.data() + rows[i] * size,
                  size * sizeof(float));
    }
    return x;
  }

  at::Tensor Labels(std::span<const uint64_t> rows) const {
    at::Tensor y = at::empty({static_cast<int64_t>(rows.size())}, at::kLong);
    for (size_t i = 0; i < rows.size(); ++i) y.data_ptr<int64_t>()[i] = data_->labels[rows[i]];
    return y;
  }

 private:
  explicit Batcher(const Dataset& data) : data_(&data) {}
  const Dataset* data_;
  std::vector<int64_t> shape_{0};
};

// [batch, outputs], or an error that says what the network gave instead.
absl::StatusOr<at::Tensor> AsRows(at::Tensor outputs, int64_t batch) {
  if (outputs.dim() == 1 && outputs.size(0) == batch) outputs = outputs.unsqueeze(1);
  if (outputs.dim() != 2 || outputs.size(0) != batch || outputs.scalar_type() != at::kFloat) {
    return absl::InvalidArgumentError(absl::StrCat("the network gives ", c10::str(outputs.sizes()),
                                                   " for a batch of ", batch,
                                                   ", but it must give float32 [batch, outputs]"));
  }
  return outputs;
}

// Labels as targets of a regression or of independent logits: the number itself for one output, one
// in the label's place for several.
at::Tensor Targets(const at::Tensor& labels, int64_t outputs) {
  if (outputs == 1) return labels.to(at::kFloat).unsqueeze(1);
  return at::one_hot(labels, outputs).to(at::kFloat);
}

absl::Status CheckLabels(const at::Tensor& labels, int64_t outputs) {
  const int64_t largest = labels.max().item<int64_t>();
  if (outputs > 1 && largest >= outputs) {
    return absl::InvalidArgumentError(absl::StrCat("the data has the label ", largest,
                                                   ", but the model has ", outputs,
                                                   " outputs (labels 0 to ", outputs - 1, ")"));
  }
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> NamedLoss(LossKind kind, const at::Tensor& outputs,
                                     const at::Tensor& labels) {
  MUSTER_RETURN_IF_ERROR(CheckLabels(labels, outputs.size(1)));
  switch (kind) {
    case LossKind::kCrossEntropy:
    case LossKind::kNll:
      if (outputs.size(1) == 1) {
        return absl::InvalidArgumentError(
            absl::StrCat("the loss ", std::string(LossName(kind)),
                         " needs one output per class, but the model has one output"));
      }
      return kind == LossKind::kNll ? at::nll_loss(outputs, labels)
                                    : at::cross_entropy_loss(outputs, labels);
    case LossKind::kMse:
      return at::mse_loss(outputs, Targets(labels, outputs.size(1)));
    case LossKind::kBceWithLogits:
      return at::binary_cross_entropy_with_logits(outputs, Targets(labels, outputs.size(1)));
    case LossKind::kModule:
      break;
  }
  return absl::InternalError("not a loss by name");
}

uint64_t CountCorrect(LossKind kind, const at::Tensor& outputs, const at::Tensor& labels) {
  const at::Tensor rows = outputs.detach().contiguous();
  const auto width = static_cast<size_t>(rows.size(1));
  uint64_t correct = 0;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    correct +=
        IsCorrect(kind, {rows.data_ptr<float>() + i * width, width}, labels.data_ptr<int64_t>()[i]);
  }
  return correct;
}

struct Forwarded {
  at::Tensor loss;
  uint64_t correct = 0;
};

absl::StatusOr<Forwarded> ForwardBatch(Network& network, LossKind kind, const at::Tensor& x,
                                       const at::Tensor& y, bool training) {
  if (kind != LossKind::kModule) {
    MUSTER_ASSIGN_OR_RETURN(const at::Tensor outputs, AsRows(network.Forward(x), x.size(0)));
    MUSTER_ASSIGN_OR_RETURN(at::Tensor loss, NamedLoss(kind, outputs, y));
    return Forwarded{loss, CountCorrect(kind, outputs, y)};
  }
  if (!network.HasLoss()) {
    return absl::InvalidArgumentError(
        "the plan says loss 'module', but the module has no loss method: add "
        "@torch.jit.export def loss(self, x, y) that returns a scalar, or name a loss");
  }
  Forwarded result{.loss = network.Loss(x, y)};
  if (result.loss.numel() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the module's loss gives ", c10::str(result.loss.sizes()), ", but it must give a scalar"));
  }
  // The loss method hides its outputs: accuracy costs a forward of its own, in evaluation mode so
  // that it changes neither buffers nor the stream of random numbers.
  at::NoGradGuard no_gradients;
  network.SetTraining(false);
  MUSTER_ASSIGN_OR_RETURN(const at::Tensor outputs, AsRows(network.Forward(x), x.size(0)));
  network.SetTraining(training);
  result.correct = CountCorrect(kind, outputs, y);
  return result;
}

// Fisher and Yates. Its own, because std::shuffle differs between standard libraries.
void Shuffle(std::vector<uint64_t>& rows, RandomSource& random) {
  for (size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[random.Below(i)]);
}

std::vector<uint64_t> AllRows(size_t n) {
  std::vector<uint64_t> rows(n);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

std::unique_ptr<torch::optim::Optimizer> MakeOptimizer(const TrainPlan& plan, double rate,
                                                       std::vector<at::Tensor> parameters) {
  if (plan.optimizer == LocalOptimizer::kAdam) {
    return std::make_unique<torch::optim::Adam>(std::move(parameters),
                                                torch::optim::AdamOptions(rate)
                                                    .betas({plan.beta1, plan.beta2})
                                                    .eps(plan.epsilon)
                                                    .weight_decay(plan.weight_decay));
  }
  return std::make_unique<torch::optim::SGD>(
      std::move(parameters),
      torch::optim::SGDOptions(rate).momentum(plan.momentum).weight_decay(plan.weight_decay));
}

// Gradient of mu/2 * ||w - w_start||^2 (FedProx, Li et al. 2020, equation 2), added to the loss's.
struct Anchor {
  at::Tensor parameter, start;
  void Pull(double mu) const {
    if (parameter.grad().defined()) {
      parameter.grad().add_(parameter.detach() - start, mu);
    } else {
      parameter.mutable_grad() = (parameter.detach() - start).mul_(mu);
    }
  }
};

void ClipGradients(const std::vector<at::Tensor>& parameters, double max_norm) {
  double squares = 0;
  for (const at::Tensor& parameter : parameters) {
    if (!parameter.grad().defined()) continue;
    const double norm = parameter.grad().norm().item<double>();
    squares += norm * norm;
  }
  const double norm = std::sqrt(squares);
  if (!(norm > max_norm)) return;
  for (const at::Tensor& parameter : parameters) {
    if (parameter.grad().defined()) parameter.grad().mul_(max_norm / norm);
  }
}

}  // namespace

struct Learner::Impl {
  std::unique_ptr<Network> network;
  std::vector<uint32_t> input_shape;
  bool has_buffers = false;  // such as batch norm's

  // One run of local training.
  struct Session {
    std::vector<at::Tensor> trained;
    std::vector<Anchor> anchors;
    std::unique_ptr<torch::optim::Optimizer> optimizer;
    uint64_t seen = 0, correct = 0;
    double loss_sum = 0;
    TrainReport report;
  };

  absl::StatusOr<Session> Begin(const TrainPlan& plan, const TrainOptions& options) {
    Session session;
    std::vector<at::Tensor>& parameters = network->parameters();
    for (size_t i = 0; i < parameters.size(); ++i) {
      parameters[i].mutable_grad().reset();
      parameters[i].set_requires_grad(options.trained[i]);
      if (!options.trained[i]) continue;
      session.trained.push_back(parameters[i]);
      if (plan.proximal_mu > 0 && options.anchored[i]) {
        session.anchors.push_back({parameters[i], parameters[i].detach().clone()});
      }
    }
    if (session.trained.empty()) {
      return absl::FailedPreconditionError(
          "there is nothing to train: every parameter is frozen or a buffer");
    }
    session.optimizer = MakeOptimizer(plan, options.learning_rate, session.trained);
    return session;
  }

  absl::Status Step(Session& session, const TrainPlan& plan, const TrainOptions& options,
                    const at::Tensor& x, const at::Tensor& y) {
    for (at::Tensor& parameter : session.trained) parameter.mutable_grad().reset();
    MUSTER_ASSIGN_OR_RETURN(Forwarded forwarded,
                            ForwardBatch(*network, plan.loss, x, y, /*training=*/true));
    TrainReport& report = session.report;
    const double loss = forwarded.loss.item<double>();
    if (!std::isfinite(loss)) return NotFinite("loss", report.steps, options.learning_rate);
    forwarded.loss.backward();
    {
      at::NoGradGuard no_gradients;
      for (const Anchor& anchor : session.anchors) anchor.Pull(plan.proximal_mu);
      if (plan.clip_norm > 0) ClipGradients(session.trained, plan.clip_norm);
    }
    session.optimizer->step();
    if (report.steps++ == 0) report.loss_first = loss;
    report.loss_last = loss;
    session.loss_sum += loss * static_cast<double>(x.size(0));
    session.seen += static_cast<uint64_t>(x.size(0));
    session.correct += forwarded.correct;
    return absl::OkStatus();
  }

  static absl::Status NotFinite(const std::string& what, uint64_t step, double rate) {
    return absl::FailedPreconditionError(
        absl::StrCat("training diverged: the ", what, " is not finite at step ", step + 1,
                     " with learning rate ", rate, "; lower learning_rate or set clip_norm"));
  }

  absl::Status RunSteps(Session& session, const Dataset& data, const TrainPlan& plan,
                        const TrainOptions& options) {
    MUSTER_ASSIGN_OR_RETURN(Batcher batcher, Batcher::Make(data, input_shape));
    SeededRandom random(DeriveSeed(options.seed, "shuffle"));
    std::vector<uint64_t> rows = AllRows(data.size());
    Shuffle(rows, random);
    if (plan.max_examples > 0 && plan.max_examples < rows.size()) rows.resize(plan.max_examples);
    const size_t batch = std::max<size_t>(1, plan.batch_size);
    for (uint64_t epoch = 0; plan.steps > 0 || epoch < plan.epochs; ++epoch) {
      if (epoch > 0) Shuffle(rows, random);
      for (size_t begin = 0; begin < rows.size(); begin += batch) {
        std::span<const uint64_t> part =
            std::span(rows).subspan(begin, std::min(batch, rows.size() - begin));
        // Batch norm has no variance over one example.
        if (part.size() == 1 && has_buffers && begin > 0) continue;
        MUSTER_RETURN_IF_ERROR(
            Step(session, plan, options, batcher.Features(part), batcher.Labels(part)));
        session.report.examples = std::min<uint64_t>(session.seen, rows.size());
        if (plan.steps > 0 && session.report.steps == plan.steps) return absl::OkStatus();
      }
    }
    return absl::OkStatus();
  }
};

Learner::Learner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Learner::Learner(Learner&&) noexcept = default;
Learner& Learner::operator=(Learner&&) noexcept = default;
Learner::~Learner() = default;

absl::StatusOr<Learner> Learner::FromArchitecture(const Architecture& architecture,
                                                  const ParameterLayout& layout) {
  return CatchTorch("building the network", [&]() -> absl::StatusOr<Learner> {
    auto impl = std::make_unique<Impl>();
    MUSTER_ASSIGN_OR_RETURN(impl->network, MakeArchitectureNetwork(architecture, layout));
    impl->input_shape = architecture.input_shape;
    return Learner(std::move(impl));
  });
}

absl::StatusOr<Learner> Learner::FromModule(const std::filesystem::path& pt,
                                            const ParameterLayout& layout,
                                            std::span<const uint32_t> input_shape) {
  return CatchTorch("loading the module", [&]() -> absl::StatusOr<Learner> {
    auto impl = std::make_unique<Impl>();
    MUSTER_ASSIGN_OR_RETURN(impl->network, MakeModuleNetwork(pt, layout));
    impl->input_shape.assign(input_shape.begin(), input_shape.end());
    for (const LayoutEntry& entry : layout.entries()) impl->has_buffers |= !entry.trainable;
    return Learner(std::move(impl));
  });
}

std::span<float> Learner::weights() {
  at::Tensor& flat = impl_->network->flat();
  return {flat.data_ptr<float>(), static_cast<size_t>(flat.numel())};
}

absl::StatusOr<std::vector<float>> Learner::Predict(std::span<const float> features, size_t n,
                                                    std::span<const uint32_t> example_shape) {
  return CatchTorch("predicting", [&]() -> absl::StatusOr<std::vector<float>> {
    at::NoGradGuard no_gradients;
    impl_->network->SetTraining(false);
    std::vector<int64_t> shape{static_cast<int64_t>(n)};
    shape.insert(shape.end(), example_shape.begin(), example_shape.end());
    const at::Tensor x =
        at::from_blob(const_cast<float*>(features.data()), shape, at::kFloat).clone();
    MUSTER_ASSIGN_OR_RETURN(const at::Tensor rows,
                            AsRows(impl_->network->Forward(x), static_cast<int64_t>(n)));
    const at::Tensor dense = rows.contiguous();
    return std::vector<float>(dense.data_ptr<float>(), dense.data_ptr<float>() + dense.numel());
  });
}

absl::StatusOr<TrainReport> Learner::Train(const Dataset& data, const TrainPlan& plan,
                                           const TrainOptions& options) {
  if (data.size() == 0) {
    return absl::FailedPreconditionError("this device has no training examples");
  }
  return CatchTorch("training", [&]() -> absl::StatusOr<TrainReport> {
    at::manual_seed(DeriveSeed(options.seed, "torch"));
    MUSTER_ASSIGN_OR_RETURN(Impl::Session session, impl_->Begin(plan, options));
    impl_->network->SetTraining(true);
    MUSTER_RETURN_IF_ERROR(impl_->RunSteps(session, data, plan, options));
    TrainReport report = session.report;
    if (!at::isfinite(impl_->network->flat()).all().item<bool>()) {
      return Impl::NotFinite("model", report.steps, options.learning_rate);
    }
    report.loss = session.loss_sum / static_cast<double>(session.seen);
    report.accuracy = static_cast<double>(session.correct) / static_cast<double>(session.seen);
    return report;
  });
}

absl::StatusOr<Evaluation> Learner::Evaluate(const Dataset& data, const EvaluatePlan& plan) {
  if (data.size() == 0) {
    return absl::FailedPreconditionError(
        "this device holds no examples out for evaluation: raise held_out_fraction in its data "
        "config");
  }
  return CatchTorch("evaluating", [&]() -> absl::StatusOr<Evaluation> {
    at::NoGradGuard no_gradients;
    impl_->network->SetTraining(false);
    MUSTER_ASSIGN_OR_RETURN(Batcher batcher, Batcher::Make(data, impl_->input_shape));
    const std::vector<uint64_t> rows = AllRows(data.size());
    const size_t batch = std::max<size_t>(1, plan.batch_size);
    double loss = 0;
    uint64_t correct = 0;
    for (size_t begin = 0; begin < rows.size(); begin += batch) {
      const auto part = std::span(rows).subspan(begin, std::min(batch, rows.size() - begin));
      MUSTER_ASSIGN_OR_RETURN(
          Forwarded forwarded,
          ForwardBatch(*impl_->network, plan.loss, batcher.Features(part), batcher.Labels(part),
                       /*training=*/false));
      loss += forwarded.loss.item<double>() * static_cast<double>(part.size());
      correct += forwarded.correct;
    }
    const auto n = static_cast<double>(rows.size());
    return Evaluation{.loss = loss / n, .accuracy = static_cast<double>(correct) / n};
  });
}

}  // namespace muster
