// Shape inference, which is also the validation of a network: every size in it may come from
// outside.
#include <optional>
#include <set>
#include <utility>

#include "models/zoo/layers.h"
#include "models/zoo/zoo.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {

namespace zoo_internal {

std::string FormatShape(const std::vector<uint32_t>& shape) {
  return StrCat("[", StrJoin(shape, ", "), "]");
}

std::string_view LayerKind(const Layer& layer) {
  static constexpr std::string_view kKinds[] = {
      "linear", "conv1d", "conv2d", "relu", "pool1d", "pool2d", "global average pool", "flatten"};
  static_assert(std::size(kKinds) == std::variant_size_v<Layer>);
  return kKinds[layer.index()];
}

std::string DescribeLayer(size_t index, const Layer& layer) {
  return StrCat("layer ", index, " (", LayerKind(layer), ")");
}

}  // namespace zoo_internal

namespace {

using Shape = std::vector<uint32_t>;
using zoo_internal::FormatShape;

// Says what is wrong with one layer; the caller adds which layer it is.
absl::Status Wrong(std::string_view what) { return absl::InvalidArgumentError(AbslView(what)); }

absl::Status CheckShape(const Shape& shape) {
  if (shape.empty() || shape.size() > 3) {
    return Wrong(StrCat("shape ", FormatShape(shape), " must have 1 to 3 dimensions"));
  }
  uint64_t elements = 1;
  for (uint32_t dimension : shape) {
    if (dimension == 0) {
      return Wrong(StrCat("shape ", FormatShape(shape), " has an empty dimension"));
    }
    // Three 32-bit factors could overflow 64 bits; checking after each keeps the product small.
    elements *= dimension;
    if (elements > kMaxActivationElements) {
      return Wrong(StrCat("shape ", FormatShape(shape), " is larger than ", kMaxActivationElements,
                          " elements"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckWidth(std::string_view what, uint32_t value) {
  if (value == 0 || value > kMaxLayerWidth) {
    return Wrong(StrCat(what, " is ", value, ": use 1 to ", kMaxLayerWidth));
  }
  return absl::OkStatus();
}

absl::Status CheckRank(const Shape& in, size_t rank, std::string_view example) {
  if (in.size() == rank) return absl::OkStatus();
  return Wrong(StrCat("takes ", example, " but gets ", FormatShape(in),
                      rank == 1 ? ": add a flatten layer before it" : ""));
}

// Positions that a window has along one dimension: floor((size + 2 padding - kernel) / stride) + 1.
absl::StatusOr<uint32_t> Positions(uint32_t size, uint32_t kernel, uint32_t stride,
                                   uint32_t padding) {
  if (kernel == 0 || kernel > kMaxLayerWidth) {
    return Wrong(StrCat("has a kernel of ", kernel, ": use 1 to ", kMaxLayerWidth));
  }
  if (stride == 0) return Wrong("has a stride of 0: use at least 1");
  if (padding > kernel) {
    return Wrong(StrCat("has padding ", padding, " beyond its kernel of ", kernel));
  }
  const uint64_t padded = uint64_t{size} + 2 * uint64_t{padding};
  if (kernel > padded) {
    return Wrong(StrCat("has a kernel of ", kernel, " but its input, with padding, is only ",
                        padded, " long: use a larger input or fewer pooling layers"));
  }
  return static_cast<uint32_t>((padded - kernel) / stride + 1);
}

absl::Status CheckChannels(const Shape& in, uint32_t expected, uint32_t out, uint32_t groups) {
  MUSTER_RETURN_IF_ERROR(CheckWidth("its number of input channels", expected));
  MUSTER_RETURN_IF_ERROR(CheckWidth("its number of output channels", out));
  if (in.front() != expected) {
    return Wrong(StrCat("takes ", expected, " channels but gets ", FormatShape(in)));
  }
  if (groups == 0 || expected % groups != 0 || out % groups != 0) {
    return Wrong(StrCat("has ", groups, " groups, which must divide its ", expected, " input and ",
                        out, " output channels"));
  }
  return absl::OkStatus();
}

struct InferLayer {
  const Shape& in;

  absl::StatusOr<Shape> operator()(const LinearLayer& layer) const {
    MUSTER_RETURN_IF_ERROR(CheckRank(in, 1, StrCat("[", layer.in, "]")));
    MUSTER_RETURN_IF_ERROR(CheckWidth("its number of outputs", layer.out));
    if (in.front() != layer.in) {
      return Wrong(StrCat("takes [", layer.in, "] but gets ", FormatShape(in)));
    }
    return Shape{layer.out};
  }

  absl::StatusOr<Shape> operator()(const Conv1dLayer& layer) const {
    MUSTER_RETURN_IF_ERROR(CheckRank(in, 2, "[channels, length]"));
    MUSTER_RETURN_IF_ERROR(CheckChannels(in, layer.in, layer.out, layer.groups));
    MUSTER_ASSIGN_OR_RETURN(uint32_t length,
                            Positions(in[1], layer.kernel, layer.stride, layer.padding));
    return Shape{layer.out, length};
  }

  absl::StatusOr<Shape> operator()(const Conv2dLayer& layer) const {
    MUSTER_RETURN_IF_ERROR(CheckRank(in, 3, "[channels, height, width]"));
    MUSTER_RETURN_IF_ERROR(CheckChannels(in, layer.in, layer.out, layer.groups));
    MUSTER_ASSIGN_OR_RETURN(uint32_t height,
                            Positions(in[1], layer.kernel_h, layer.stride_h, layer.padding_h));
    MUSTER_ASSIGN_OR_RETURN(uint32_t width,
                            Positions(in[2], layer.kernel_w, layer.stride_w, layer.padding_w));
    return Shape{layer.out, height, width};
  }

  absl::StatusOr<Shape> operator()(const Pool1dLayer& layer) const {
    MUSTER_RETURN_IF_ERROR(CheckRank(in, 2, "[channels, length]"));
    MUSTER_ASSIGN_OR_RETURN(uint32_t length, Positions(in[1], layer.kernel, layer.stride, 0));
    return Shape{in[0], length};
  }

  absl::StatusOr<Shape> operator()(const Pool2dLayer& layer) const {
    MUSTER_RETURN_IF_ERROR(CheckRank(in, 3, "[channels, height, width]"));
    MUSTER_ASSIGN_OR_RETURN(uint32_t height, Positions(in[1], layer.kernel_h, layer.stride_h, 0));
    MUSTER_ASSIGN_OR_RETURN(uint32_t width, Positions(in[2], layer.kernel_w, layer.stride_w, 0));
    return Shape{in[0], height, width};
  }

  absl::StatusOr<Shape> operator()(const GlobalAveragePoolLayer&) const {
    if (in.size() < 2) {
      return Wrong(StrCat("takes [channels, ...positions] but gets ", FormatShape(in)));
    }
    Shape out(in.size(), 1);
    out[0] = in[0];
    return out;
  }

  absl::StatusOr<Shape> operator()(const ReluLayer&) const { return in; }

  absl::StatusOr<Shape> operator()(const FlattenLayer&) const {
    uint32_t elements = 1;
    for (uint32_t dimension : in) elements *= dimension;
    return Shape{elements};
  }
};

// Names must be there and differ, and the sum of sizes must stay below the fleet's limit.
absl::Status CheckParameters(const Layer& layer, std::set<std::string>& names, uint64_t& total) {
  auto parameters = zoo_internal::ParametersOf(layer);
  if (!parameters) return absl::OkStatus();
  if (parameters->weight.empty()) return Wrong("its weight has no name");
  for (const std::string& name : {parameters->weight, parameters->bias}) {
    if (!name.empty() && !names.insert(name).second) {
      return Wrong(StrCat("its parameter \"", name, "\" is named twice in the network"));
    }
  }
  uint64_t size = 1;
  for (uint32_t dimension : parameters->weight_shape) {
    size *= dimension;
    if (size > limits::kMaxParameters) break;
  }
  total += size + (parameters->bias.empty() ? 0 : parameters->outputs);
  if (total > limits::kMaxParameters) {
    return Wrong(StrCat("takes the network beyond ", limits::kMaxParameters, " parameters"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Shape>> zoo_internal::InferLayers(const Architecture& architecture) {
  if (architecture.layers.empty()) {
    return Wrong(StrCat("architecture \"", architecture.name, "\" has no layers"));
  }
  if (architecture.layers.size() > kMaxZooLayers) {
    return Wrong(StrCat("architecture \"", architecture.name, "\" has ", architecture.layers.size(),
                        " layers; at most ", kMaxZooLayers));
  }
  if (absl::Status status = CheckShape(architecture.input_shape); !status.ok()) {
    return Annotate(status, "the network's input");
  }
  std::vector<Shape> shapes;
  std::set<std::string> names;
  uint64_t parameters = 0;
  for (size_t i = 0; i < architecture.layers.size(); ++i) {
    const Layer& layer = architecture.layers[i];
    const Shape& in = i == 0 ? architecture.input_shape : shapes.back();
    absl::StatusOr<Shape> out = std::visit(InferLayer{in}, layer);
    absl::Status status = out.status();
    if (status.ok()) status = CheckShape(*out);
    if (status.ok()) status = CheckParameters(layer, names, parameters);
    if (!status.ok()) return Annotate(status, zoo_internal::DescribeLayer(i, layer));
    shapes.push_back(*std::move(out));
  }
  return shapes;
}

absl::StatusOr<std::vector<Shape>> InferShapes(const Architecture& architecture) {
  MUSTER_ASSIGN_OR_RETURN(std::vector<Shape> shapes, zoo_internal::InferLayers(architecture));
  if (shapes.back() != Shape{architecture.outputs}) {
    const size_t last = architecture.layers.size() - 1;
    return Wrong(StrCat(zoo_internal::DescribeLayer(last, architecture.layers[last]), ": gives ",
                        FormatShape(shapes.back()), " but the network must end in [",
                        architecture.outputs, "]"));
  }
  return shapes;
}

}  // namespace muster
