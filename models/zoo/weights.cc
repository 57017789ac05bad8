// Layout and first weights of a network.
#include <cmath>
#include <map>
#include <utility>

#include "models/zoo/layers.h"
#include "models/zoo/zoo.h"
#include "proto/core/random.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {

namespace zoo_internal {

std::optional<LayerParameters> ParametersOf(const Layer& layer) {
  if (const auto* l = std::get_if<LinearLayer>(&layer)) {
    return LayerParameters{l->weight, l->bias, {l->out, l->in}, l->out, l->in};
  }
  if (const auto* l = std::get_if<Conv1dLayer>(&layer)) {
    const uint32_t in = l->in / l->groups;
    return LayerParameters{
        l->weight, l->bias, {l->out, in, l->kernel}, l->out, uint64_t{in} * l->kernel};
  }
  if (const auto* l = std::get_if<Conv2dLayer>(&layer)) {
    const uint32_t in = l->in / l->groups;
    return LayerParameters{l->weight,
                           l->bias,
                           {l->out, in, l->kernel_h, l->kernel_w},
                           l->out,
                           uint64_t{in} * l->kernel_h * l->kernel_w};
  }
  return std::nullopt;
}

}  // namespace zoo_internal

namespace {

using zoo_internal::LayerParameters;
using zoo_internal::ParametersOf;

void FillUniform(std::span<float> out, double bound, uint64_t seed) {
  SeededRandom random(seed);
  for (float& value : out) value = static_cast<float>((2.0 * random.Unit() - 1.0) * bound);
}

}  // namespace

absl::StatusOr<ParameterLayout> LayoutOf(const Architecture& architecture) {
  MUSTER_RETURN_IF_ERROR(InferShapes(architecture).status());
  std::vector<LayoutEntry> entries;
  uint64_t offset = 0;
  auto append = [&](const std::string& name, std::vector<uint32_t> shape) {
    LayoutEntry entry{.name = name, .shape = std::move(shape), .offset = offset};
    offset += entry.size();
    entries.push_back(std::move(entry));
  };
  for (const Layer& layer : architecture.layers) {
    auto parameters = ParametersOf(layer);
    if (!parameters) continue;
    append(parameters->weight, parameters->weight_shape);
    if (!parameters->bias.empty()) append(parameters->bias, {parameters->outputs});
  }
  return ParameterLayout::Create(std::move(entries));
}

absl::StatusOr<std::vector<float>> InitialWeights(const Architecture& architecture,
                                                  const ParameterLayout& layout, uint64_t seed) {
  MUSTER_ASSIGN_OR_RETURN(ParameterLayout expected, LayoutOf(architecture));
  if (expected.entries().size() != layout.entries().size()) {
    return absl::InvalidArgumentError(StrCat("the layout has ", layout.entries().size(),
                                             " entries but architecture \"", architecture.name,
                                             "\" has ", expected.entries().size(), " parameters"));
  }
  std::map<std::string, uint64_t> fan_in;
  for (const Layer& layer : architecture.layers) {
    if (auto parameters = ParametersOf(layer)) {
      fan_in[parameters->weight] = fan_in[parameters->bias] = parameters->fan_in;
    }
  }
  std::vector<float> weights(layout.total_size());
  for (size_t i = 0; i < layout.entries().size(); ++i) {
    const LayoutEntry& entry = layout.entries()[i];
    const LayoutEntry& parameter = expected.entries()[i];
    if (entry.name != parameter.name || entry.shape != parameter.shape) {
      return absl::InvalidArgumentError(
          StrCat("layout entry ", i, " is \"", entry.name, "\" ",
                 zoo_internal::FormatShape(entry.shape), " but the architecture's parameter is \"",
                 parameter.name, "\" ", zoo_internal::FormatShape(parameter.shape)));
    }
    FillUniform(std::span(weights).subspan(entry.offset, entry.size()),
                1.0 / std::sqrt(static_cast<double>(fan_in.at(entry.name))),
                DeriveSeed(seed, entry.name));
  }
  return weights;
}

std::vector<std::string> HeadParameters(const Architecture& architecture) {
  for (auto layer = architecture.layers.rbegin(); layer != architecture.layers.rend(); ++layer) {
    auto name = [](const auto& l) -> std::vector<std::string> {
      if constexpr (requires { l.weight; }) {
        return l.bias.empty() ? std::vector{l.weight} : std::vector{l.weight, l.bias};
      } else {
        return {};
      }
    };
    if (auto names = std::visit(name, *layer); !names.empty()) return names;
  }
  return {};
}

}  // namespace muster
