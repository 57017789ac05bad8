#include "models/quantize/runtime.h"

#include <xnnpack.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "models/quantize/format.h"
#include "models/quantize/kernels.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using mq8::OpKind;
using mq8::OpRecord;

constexpr size_t kMaxBatch = 64;                  // examples per pass
constexpr uint64_t kMaxBufferBytes = 8ull << 20;  // one activation buffer; at least one example

struct DeleteOperator {
  void operator()(xnn_operator_t op) const { xnn_delete_operator(op); }
};
using Operator = std::unique_ptr<std::remove_pointer_t<xnn_operator_t>, DeleteOperator>;

absl::Status CheckXnn(xnn_status status, std::string_view what) {
  if (status == xnn_status_success) return absl::OkStatus();
  const std::string message = StrCat("XNNPACK refuses ", what, " with status ", status);
  return status == xnn_status_out_of_memory ? absl::ResourceExhaustedError(message)
                                            : absl::InternalError(message);
}

absl::StatusOr<Operator> CreateConvolution(const mq8::ModelView& model, const OpRecord& op) {
  xnn_operator_t raw = nullptr;
  MUSTER_RETURN_IF_ERROR(
      CheckXnn(xnn_create_convolution2d_nhwc_qc8(
                   op.padding_h, op.padding_w, op.padding_h, op.padding_w, op.kernel_h, op.kernel_w,
                   op.stride_h, op.stride_w, /*dilation_height=*/1, /*dilation_width=*/1, op.groups,
                   op.input.channels / op.groups, op.output.channels / op.groups, op.input.channels,
                   op.output.channels, static_cast<int8_t>(op.input_zero_point), op.input_scale,
                   model.scales(op).data(), model.weights(op).data(), model.bias(op).data(),
                   static_cast<int8_t>(op.output_zero_point), op.output_scale,
                   static_cast<int8_t>(op.output_min), static_cast<int8_t>(op.output_max),
                   /*flags=*/0, &raw),
               "a convolution"));
  return Operator(raw);
}

absl::StatusOr<Operator> CreateMaxPool(const OpRecord& op) {
  xnn_operator_t raw = nullptr;
  MUSTER_RETURN_IF_ERROR(
      CheckXnn(xnn_create_max_pooling2d_nhwc_s8(
                   0, 0, 0, 0, op.kernel_h, op.kernel_w, op.stride_h, op.stride_w,
                   /*dilation_height=*/1, /*dilation_width=*/1, op.input.channels,
                   op.input.channels, op.output.channels, static_cast<int8_t>(op.output_min),
                   static_cast<int8_t>(op.output_max), /*flags=*/0, &raw),
               "a max pool"));
  return Operator(raw);
}

}  // namespace

struct Int8Model::Impl {
  struct Step {
    OpRecord record;
    Operator op;  // null: one of kernels.h
  };

  mq8::MappedFile file;
  mq8::ModelView model;
  std::vector<Step> steps;
  size_t batch_max = 1;
  size_t batch_ready = 0;  // for which the operators are set up
  // Operation i reads buffers[i % 2] and writes the other. Padded, because XNNPACK reads beyond.
  std::array<std::vector<int8_t>, 2> buffers;
  std::vector<int32_t> sums;

  absl::Status Prepare();
  absl::Status SetUp(size_t batch);
  absl::Status RunBatch(const float* in, size_t batch, float* out);
};

absl::Status Int8Model::Impl::Prepare() {
  MUSTER_RETURN_IF_ERROR(CheckXnn(xnn_initialize(nullptr), "this processor"));
  uint64_t largest = model.input_extent().size();
  uint32_t channels = 0;
  for (const OpRecord& record : model.ops) {
    Step step{record, nullptr};
    if (record.kind == OpKind::kConvolution) {
      MUSTER_ASSIGN_OR_RETURN(step.op, CreateConvolution(model, record));
    } else if (record.kind == OpKind::kMaxPool && record.kernel_h * record.kernel_w > 1) {
      MUSTER_ASSIGN_OR_RETURN(step.op, CreateMaxPool(record));
    }
    largest = std::max(largest, record.output.size());
    channels = std::max(channels, record.output.channels);
    steps.push_back(std::move(step));
  }
  batch_max = std::clamp<size_t>(kMaxBufferBytes / largest, 1, kMaxBatch);
  sums.resize(channels);
  // XNNPACK has packed the weights for this processor; the mapped ones are not read again.
  file.DropPages();
  return absl::OkStatus();
}

absl::Status Int8Model::Impl::SetUp(size_t batch) {
  if (batch == batch_ready) return absl::OkStatus();
  uint64_t largest = model.input_extent().size();
  for (const Step& step : steps) largest = std::max(largest, step.record.output.size());
  const size_t bytes = largest * batch + XNN_EXTRA_BYTES;
  for (auto& buffer : buffers) {
    if (buffer.size() < bytes) buffer.resize(bytes);
  }
  batch_ready = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    const OpRecord& record = steps[i].record;
    if (steps[i].op == nullptr) continue;
    const int8_t* in = buffers[i % 2].data();
    int8_t* out = buffers[(i + 1) % 2].data();
    const auto setup = record.kind == OpKind::kConvolution ? xnn_setup_convolution2d_nhwc_qc8
                                                           : xnn_setup_max_pooling2d_nhwc_s8;
    MUSTER_RETURN_IF_ERROR(CheckXnn(
        setup(steps[i].op.get(), batch, record.input.height, record.input.width, in, out, nullptr),
        StrCat("to set up operation ", i)));
  }
  batch_ready = batch;
  return absl::OkStatus();
}

absl::Status Int8Model::Impl::RunBatch(const float* in, size_t batch, float* out) {
  MUSTER_RETURN_IF_ERROR(SetUp(batch));
  const mq8::Extent input = model.input_extent(), output = model.output_extent();
  for (size_t e = 0; e < batch; ++e) {
    QuantizeInput(input, model.header.input_scale, model.header.input_zero_point,
                  in + e * input.size(), buffers[0].data() + e * input.size());
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    const OpRecord& record = steps[i].record;
    if (steps[i].op != nullptr) {
      MUSTER_RETURN_IF_ERROR(
          CheckXnn(xnn_run_operator(steps[i].op.get(), nullptr), StrCat("to run operation ", i)));
      continue;
    }
    for (size_t e = 0; e < batch; ++e) {
      const int8_t* from = buffers[i % 2].data() + e * record.input.size();
      int8_t* to = buffers[(i + 1) % 2].data() + e * record.output.size();
      if (record.kind == OpKind::kAveragePool) {
        AveragePool(record, std::span(sums).first(record.output.channels), from, to);
      } else if (record.kind == OpKind::kMaxPool) {
        MaxPool(record, from, to);
      } else {
        Clamp(record, from, to);
      }
    }
  }
  const OpRecord& last = steps.back().record;
  for (size_t e = 0; e < batch; ++e) {
    DequantizeOutput(output, last.output_scale, last.output_zero_point,
                     buffers[steps.size() % 2].data() + e * output.size(), out + e * output.size());
  }
  return absl::OkStatus();
}

Int8Model::Int8Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Int8Model::~Int8Model() = default;

absl::StatusOr<std::unique_ptr<Int8Model>> Int8Model::Open(const std::filesystem::path& path) {
  auto impl = std::make_unique<Impl>();
  MUSTER_ASSIGN_OR_RETURN(impl->file, mq8::MappedFile::Open(path));
  MUSTER_ASSIGN_OR_RETURN(impl->model, mq8::ParseModel(impl->file.bytes()));
  MUSTER_RETURN_IF_ERROR(impl->Prepare());
  return std::unique_ptr<Int8Model>(new Int8Model(std::move(impl)));
}

std::string_view Int8Model::name() const { return impl_->model.name(); }
std::span<const uint32_t> Int8Model::input_shape() const { return impl_->model.input_shape(); }
uint64_t Int8Model::input_size() const { return impl_->model.input_extent().size(); }
uint32_t Int8Model::outputs() const { return impl_->model.header.outputs; }
uint64_t Int8Model::file_bytes() const { return impl_->file.bytes().size(); }

absl::Status Int8Model::Run(std::span<const float> inputs, size_t n, std::span<float> outputs) {
  if (inputs.size() != n * input_size() || outputs.size() != n * this->outputs()) {
    return absl::InvalidArgumentError(
        StrCat("for ", n, " examples there must be ", n * input_size(), " inputs and ",
               n * this->outputs(), " outputs, not ", inputs.size(), " and ", outputs.size()));
  }
  for (size_t first = 0; first < n; first += impl_->batch_max) {
    const size_t batch = std::min(impl_->batch_max, n - first);
    MUSTER_RETURN_IF_ERROR(impl_->RunBatch(inputs.data() + first * input_size(), batch,
                                           outputs.data() + first * this->outputs()));
  }
  return absl::OkStatus();
}

}  // namespace muster
