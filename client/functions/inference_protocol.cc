#include "client/functions/inference_protocol.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "binary tensors are little-endian");

constexpr int kMaxDataDepth = 8;  // of nested arrays in "data"
constexpr char kDatatype[] = "FP32";

absl::Status Bad(std::string message) { return absl::InvalidArgumentError(std::move(message)); }

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

HttpReply JsonReply(const json& value) {
  HttpReply reply;
  reply.body = Dump(value);
  return reply;
}

// The next segment of a path, without its slash.
std::string_view TakeSegment(std::string_view& path) {
  if (path.empty() || path.front() != '/') return {};
  const size_t end = path.find('/', 1);
  const std::string_view segment = path.substr(1, end == path.npos ? path.npos : end - 1);
  path.remove_prefix(segment.size() + 1);
  return segment;
}

absl::StatusOr<const json*> Member(const json& object, const char* name, json::value_t type,
                                   std::string_view expected) {
  const auto found = object.find(name);
  const bool number = type == json::value_t::number_unsigned && found != object.end() &&
                      found->is_number_unsigned();
  if (found == object.end() || (!number && found->type() != type)) {
    return Bad(StrCat("\"", name, "\" must be ", expected));
  }
  return &*found;
}

// A boolean parameter of a request or output; false if absent.
absl::StatusOr<bool> Flag(const json& object, const char* name) {
  const auto parameters = object.find("parameters");
  if (parameters == object.end()) return false;
  if (!parameters->is_object()) return Bad("\"parameters\" must be an object");
  const auto flag = parameters->find(name);
  if (flag == parameters->end()) return false;
  if (!flag->is_boolean()) return Bad(StrCat("parameter \"", name, "\" must be true or false"));
  return flag->get<bool>();
}

std::string ShapeText(const ServedModel& model) {
  return StrCat("[n, ", StrJoin(model.input_shape, ", "), "]");
}

absl::StatusOr<uint64_t> ParseRows(const ServedModel& model, const json& shape) {
  const auto wrong = [&] {
    return Bad(StrCat("input \"", kInputName, "\" of model ", model.name, " has shape ",
                      ShapeText(model), ", the request says ", Dump(shape).substr(0, 100)));
  };
  if (shape.size() != model.input_shape.size() + 1) return wrong();
  for (const json& dimension : shape) {
    if (!dimension.is_number_unsigned()) return wrong();
  }
  for (size_t i = 0; i < model.input_shape.size(); ++i) {
    if (shape[i + 1].get<uint64_t>() != model.input_shape[i]) return wrong();
  }
  const auto rows = shape[0].get<uint64_t>();
  if (rows == 0) return wrong();
  if (rows > kMaxInferRows || rows * model.input_size() > kMaxInferBodyBytes) {
    return absl::OutOfRangeError(
        StrCat(rows, " examples in one request; send at most ",
               std::min(kMaxInferRows, kMaxInferBodyBytes / model.input_size())));
  }
  return rows;
}

// Numbers in row-major order, flat or nested.
absl::Status CollectNumbers(const json& data, size_t limit, int depth, std::vector<float>& out) {
  for (const json& item : data) {
    if (item.is_array()) {
      if (depth == kMaxDataDepth) return Bad("\"data\" is nested too deeply");
      MUSTER_RETURN_IF_ERROR(CollectNumbers(item, limit, depth + 1, out));
    } else if (item.is_number()) {
      if (out.size() == limit) return Bad(StrCat("\"data\" has more than ", limit, " numbers"));
      out.push_back(static_cast<float>(item.get<double>()));
    } else {
      return Bad("\"data\" must hold numbers");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadTensor(const json& input, std::string_view binary, size_t count,
                        std::vector<float>& values) {
  uint64_t binary_size = 0;
  bool has_binary = false;
  if (const auto parameters = input.find("parameters"); parameters != input.end()) {
    if (!parameters->is_object()) return Bad("\"parameters\" must be an object");
    if (const auto size = parameters->find("binary_data_size"); size != parameters->end()) {
      if (!size->is_number_unsigned()) return Bad("\"binary_data_size\" must be a whole number");
      binary_size = size->get<uint64_t>();
      has_binary = true;
    }
  }
  if (has_binary) {
    if (input.contains("data")) return Bad("give \"data\" or \"binary_data_size\", not both");
    if (binary_size != count * sizeof(float) || binary.size() != binary_size) {
      return Bad(StrCat("the input's shape needs ", count * sizeof(float),
                        " bytes of binary data, \"binary_data_size\" says ", binary_size, " and ",
                        binary.size(), " follow the JSON; set ", kHeaderLengthField));
    }
    values.resize(count);
    std::memcpy(values.data(), binary.data(), binary.size());
  } else {
    if (!binary.empty()) {
      return Bad(StrCat(binary.size(), " bytes follow the JSON, but no \"binary_data_size\""));
    }
    MUSTER_ASSIGN_OR_RETURN(const json* data,
                            Member(input, "data", json::value_t::array, "an array of numbers"));
    values.reserve(count);
    MUSTER_RETURN_IF_ERROR(CollectNumbers(*data, count, 1, values));
    if (values.size() != count) {
      return Bad(
          StrCat("\"data\" has ", values.size(), " numbers, the input's shape needs ", count));
    }
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return Bad(StrCat("input value ", i, " is not a finite 32-bit number"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadOutputs(const json& request, InferCall& call) {
  MUSTER_ASSIGN_OR_RETURN(call.binary_output, Flag(request, "binary_data_output"));
  const auto outputs = request.find("outputs");
  if (outputs == request.end()) return absl::OkStatus();
  if (!outputs->is_array() || outputs->size() > 1) {
    return Bad(
        StrCat("\"outputs\" must be an array with at most one output, \"", kOutputName, "\""));
  }
  for (const json& output : *outputs) {
    if (!output.is_object() || output.value("name", json()) != kOutputName) {
      return Bad(StrCat("the only output is \"", kOutputName, "\""));
    }
    const auto parameters = output.find("parameters");
    if (parameters != output.end() && parameters->is_object() &&
        parameters->contains("binary_data")) {
      MUSTER_ASSIGN_OR_RETURN(call.binary_output, Flag(output, "binary_data"));
    }
  }
  return absl::OkStatus();
}

void AppendNumber(std::string& out, float value) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof(text), value);
  out.append(text, error == std::errc() ? end : text);
}

json IndexEntry(const ServedModel& model) {
  return {{"name", model.name}, {"version", model.version}, {"state", "READY"}, {"reason", ""}};
}

}  // namespace

uint64_t ServedModel::input_size() const {
  uint64_t size = 1;
  for (uint32_t dimension : input_shape) size *= dimension;
  return size;
}

absl::StatusOr<Route> ParseRoute(std::string_view method, std::string_view target) {
  if (target.size() > kMaxTargetBytes) return absl::NotFoundError("the path is too long");
  const std::string_view path = target.substr(0, target.find('?'));
  const auto unknown = [&] {
    return absl::NotFoundError(StrCat("no such path: ", path, "; see GET /v2"));
  };
  std::string_view rest = path;
  if (rest.size() > 1 && rest.back() == '/') rest.remove_suffix(1);
  if (TakeSegment(rest) != "v2") return unknown();

  Route route;
  std::string_view expected = "GET";
  const std::string_view area = TakeSegment(rest), name = TakeSegment(rest);
  if (area.empty()) {
    route.kind = RouteKind::kServerMetadata;
  } else if (area == "health" && (name == "live" || name == "ready")) {
    route.kind = name == "live" ? RouteKind::kLive : RouteKind::kReady;
  } else if (area == "repository" && name == "index") {
    route.kind = RouteKind::kRepositoryIndex;
    expected = "POST";
  } else if (area == "models" && name.empty()) {
    route.kind = RouteKind::kModelList;
  } else if (area == "models") {
    route.model = name;
    std::string_view verb = TakeSegment(rest);
    if (verb == "versions") {
      route.version = TakeSegment(rest);
      if (route.version.empty()) return unknown();
      verb = TakeSegment(rest);
    }
    if (verb == "infer") {
      route.kind = RouteKind::kInfer;
      expected = "POST";
    } else if (verb.empty() || verb == "ready") {
      route.kind = verb.empty() ? RouteKind::kModelMetadata : RouteKind::kModelReady;
    } else {
      return unknown();
    }
  } else {
    return unknown();
  }
  if (!rest.empty()) return unknown();
  if (method != expected) {
    return absl::UnimplementedError(StrCat(path, " takes ", expected, ", not ", method));
  }
  return route;
}

absl::StatusOr<std::optional<uint64_t>> ParseHeaderLength(const HttpHeaders& headers) {
  const auto text = FindHeader(headers, kHeaderLengthField);
  if (!text) return std::nullopt;
  uint64_t length = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), length);
  if (error != std::errc() || end != text->data() + text->size()) {
    return Bad(StrCat(kHeaderLengthField, " must be a whole number of bytes"));
  }
  return length;
}

absl::StatusOr<InferCall> ParseInferCall(const ServedModel& model, std::string_view body,
                                         std::optional<uint64_t> header_length) {
  std::string_view binary;
  if (header_length) {
    if (*header_length > body.size()) {
      return Bad(StrCat(kHeaderLengthField, " is ", *header_length, ", the body has ", body.size(),
                        " bytes"));
    }
    binary = body.substr(*header_length);
    body = body.substr(0, *header_length);
  }
  const json request = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (request.is_discarded()) {
    return Bad(header_length ? "the request's header is not JSON" : "the request is not JSON");
  }
  if (!request.is_object()) return Bad("the request must be a JSON object");

  InferCall call;
  if (const auto id = request.find("id"); id != request.end()) {
    if (!id->is_string() || id->get_ref<const std::string&>().size() > kMaxRequestIdBytes) {
      return Bad(StrCat("\"id\" must be a string of at most ", kMaxRequestIdBytes, " bytes"));
    }
    call.id = id->get<std::string>();
  }
  MUSTER_ASSIGN_OR_RETURN(const json* inputs,
                          Member(request, "inputs", json::value_t::array, "an array"));
  if (inputs->size() != 1 || !(*inputs)[0].is_object()) {
    return Bad(StrCat("model ", model.name, " takes one input, \"", kInputName,
                      "\"; \"inputs\" has ", inputs->size()));
  }
  const json& input = (*inputs)[0];
  MUSTER_ASSIGN_OR_RETURN(const json* name,
                          Member(input, "name", json::value_t::string, "a string"));
  if (*name != kInputName) {
    return Bad(StrCat("model ", model.name, " has no input ", Dump(*name).substr(0, 100),
                      "; it is \"", kInputName, "\""));
  }
  MUSTER_ASSIGN_OR_RETURN(const json* datatype,
                          Member(input, "datatype", json::value_t::string, "a string"));
  if (*datatype != kDatatype) {
    return Bad(StrCat("input \"", kInputName, "\" is ", kDatatype, ", not ",
                      Dump(*datatype).substr(0, 100)));
  }
  MUSTER_ASSIGN_OR_RETURN(const json* shape,
                          Member(input, "shape", json::value_t::array, "an array"));
  MUSTER_ASSIGN_OR_RETURN(call.rows, ParseRows(model, *shape));
  MUSTER_RETURN_IF_ERROR(ReadTensor(input, binary, call.rows * model.input_size(), call.values));
  MUSTER_RETURN_IF_ERROR(ReadOutputs(request, call));
  return call;
}

HttpReply WriteInferReply(const ServedModel& model, const InferCall& call,
                          std::span<const float> outputs) {
  json tensor = {
      {"name", kOutputName}, {"datatype", kDatatype}, {"shape", {call.rows, model.outputs}}};
  json head = {{"model_name", model.name}, {"model_version", model.version}};
  if (!call.id.empty()) head["id"] = call.id;
  HttpReply reply;
  if (call.binary_output) {
    tensor["parameters"] = {{"binary_data_size", outputs.size_bytes()}};
    head["outputs"] = json::array({tensor});
    reply.body = Dump(head);
    reply.headers.emplace_back(kHeaderLengthField, StrCat(reply.body.size()));
    reply.content_type = kBinaryType;
    reply.body.append(reinterpret_cast<const char*>(outputs.data()), outputs.size_bytes());
    return reply;
  }
  // {..., "outputs":[{..., "data":[...]}]} with the numbers written in their shortest form.
  reply.body = Dump(head);
  reply.body.back() = ',';
  reply.body += "\"outputs\":[";
  reply.body += Dump(tensor);
  reply.body.back() = ',';
  reply.body += "\"data\":[";
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (i > 0) reply.body += ',';
    AppendNumber(reply.body, outputs[i]);
  }
  reply.body += "]}]}";
  return reply;
}

HttpRequest WriteBinaryRequest(const ServedModel& model, std::span<const float> inputs,
                               uint64_t rows) {
  json shape = {rows};
  for (uint32_t dimension : model.input_shape) shape.push_back(dimension);
  const json head = {{"inputs",
                      {{{"name", kInputName},
                        {"datatype", kDatatype},
                        {"shape", shape},
                        {"parameters", {{"binary_data_size", inputs.size_bytes()}}}}}},
                     {"parameters", {{"binary_data_output", true}}}};
  HttpRequest request;
  request.method = "POST";
  request.target = StrCat("/v2/models/", model.name, "/versions/", model.version, "/infer");
  request.body = Dump(head);
  request.headers = {{"Content-Type", kBinaryType},
                     {kHeaderLengthField, StrCat(request.body.size())}};
  request.body.append(reinterpret_cast<const char*>(inputs.data()), inputs.size_bytes());
  return request;
}

HttpReply ServerMetadataReply(std::string_view server_name) {
  return JsonReply({{"name", server_name},
                    {"version", "0.1.0"},
                    {"extensions", {"binary_tensor_data", "model_repository"}}});
}

HttpReply ModelMetadataReply(const ServedModel& model) {
  json shape = {-1};
  for (uint32_t dimension : model.input_shape) shape.push_back(dimension);
  return JsonReply({{"name", model.name},
                    {"versions", {model.version}},
                    {"platform", model.platform},
                    {"inputs", {{{"name", kInputName}, {"datatype", kDatatype}, {"shape", shape}}}},
                    {"outputs",
                     {{{"name", kOutputName},
                       {"datatype", kDatatype},
                       {"shape", json::array({-1, model.outputs})}}}}});
}

HttpReply ModelReadyReply(const ServedModel& model) {
  return JsonReply({{"name", model.name}, {"ready", true}});
}

HttpReply HealthReply(std::string_view what) {
  return JsonReply(json::object({{std::string(what), true}}));
}

HttpReply ModelListReply(const std::vector<ServedModel>& models) {
  json list = json::array();
  for (const ServedModel& model : models) list.push_back(model.name);
  return JsonReply({{"models", list}});
}

HttpReply RepositoryIndexReply(const std::vector<ServedModel>& models) {
  json list = json::array();
  for (const ServedModel& model : models) list.push_back(IndexEntry(model));
  return JsonReply(list);
}

}  // namespace muster
