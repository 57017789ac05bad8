// Open Inference Protocol v2 over HTTP (KServe's "predict v2"), with Triton's binary tensor data
// extension: what a request means and how a reply is written. Pure: bytes in, values out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/functions/http.h"

namespace muster {

inline constexpr char kInputName[] = "input", kOutputName[] = "output";
inline constexpr char kHeaderLengthField[] = "Inference-Header-Content-Length";
// In every reply: CPU time that the process has used since its start, in microseconds. The host
// meters with it and keeps it from the outside.
inline constexpr char kCpuField[] = "Muster-Cpu-Us";
inline constexpr size_t kMaxInferBodyBytes = 16u << 20;
inline constexpr uint64_t kMaxInferRows = 4096;  // examples in one request
inline constexpr size_t kMaxTargetBytes = 512;
inline constexpr size_t kMaxRequestIdBytes = 256;

enum class RouteKind {
  kServerMetadata,   // GET /v2
  kLive,             // GET /v2/health/live
  kReady,            // GET /v2/health/ready
  kModelList,        // GET /v2/models
  kModelMetadata,    // GET /v2/models/M[/versions/V]
  kModelReady,       // GET /v2/models/M[/versions/V]/ready
  kInfer,            // POST /v2/models/M[/versions/V]/infer
  kRepositoryIndex,  // POST /v2/repository/index
};
struct Route {
  RouteKind kind = RouteKind::kServerMetadata;
  std::string model, version;  // version empty: the one that is served
  friend bool operator==(const Route&, const Route&) = default;
};
// NotFound for an unknown path, Unimplemented for a known one with another method.
absl::StatusOr<Route> ParseRoute(std::string_view method, std::string_view target);

// One served model.
struct ServedModel {
  std::string name, version, platform = "muster_int8";
  std::vector<uint32_t> input_shape;  // one example
  uint32_t outputs = 0;
  uint64_t input_size() const;
};

struct InferCall {
  std::string id;             // echoed
  uint64_t rows = 0;          // n
  std::vector<float> values;  // [n, example]
  bool binary_output = false;
  bool operator==(const InferCall&) const = default;
};
// `header_length`: of the JSON at the head of `body` if tensors follow it, else none.
// InvalidArgument says what is wrong; OutOfRange if there are too many rows.
absl::StatusOr<InferCall> ParseInferCall(const ServedModel& model, std::string_view body,
                                         std::optional<uint64_t> header_length);
// The value of kHeaderLengthField.
absl::StatusOr<std::optional<uint64_t>> ParseHeaderLength(const HttpHeaders& headers);

HttpReply WriteInferReply(const ServedModel& model, const InferCall& call,
                          std::span<const float> outputs);
// A request for `rows` examples with binary tensors both ways: the cheapest to parse.
HttpRequest WriteBinaryRequest(const ServedModel& model, std::span<const float> inputs,
                               uint64_t rows);

HttpReply ServerMetadataReply(std::string_view server_name);
HttpReply ModelMetadataReply(const ServedModel& model);
HttpReply ModelReadyReply(const ServedModel& model);
HttpReply HealthReply(std::string_view what);  // {"live": true}
HttpReply ModelListReply(const std::vector<ServedModel>& models);
HttpReply RepositoryIndexReply(const std::vector<ServedModel>& models);

}  // namespace muster
