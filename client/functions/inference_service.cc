#include "client/functions/inference_service.h"

#include <ctime>
#include <utility>

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

uint64_t ProcessCpuMicroseconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000 +
         static_cast<uint64_t>(time.tv_nsec) / 1000;
}

}  // namespace

InferenceService::InferenceService(std::string name, std::string version,
                                   absl::StatusOr<std::unique_ptr<Int8Model>> model)
    : model_(std::move(model)) {
  served_.name = std::move(name);
  served_.version = std::move(version);
  if (!model_.ok()) return;
  const auto shape = (*model_)->input_shape();
  served_.input_shape.assign(shape.begin(), shape.end());
  served_.outputs = (*model_)->outputs();
}

HttpReply InferenceService::Handle(const HttpRequest& request) {
  absl::StatusOr<HttpReply> answer = Answer(request);
  HttpReply reply = answer.ok() ? *std::move(answer)
                    : answer.status().code() == absl::StatusCode::kUnimplemented
                        ? ErrorReply(405, StdView(answer.status().message()))
                        : ErrorReply(answer.status());
  reply.headers.emplace_back(kCpuField, StrCat(ProcessCpuMicroseconds()));
  return reply;
}

absl::StatusOr<HttpReply> InferenceService::Answer(const HttpRequest& request) {
  MUSTER_ASSIGN_OR_RETURN(const Route route, ParseRoute(request.method, request.target));
  if (route.kind == RouteKind::kLive) return HealthReply("live");
  if (route.kind == RouteKind::kServerMetadata) return ServerMetadataReply("muster-infer");
  if (!model_.ok()) return absl::InternalError(model_.status().message());
  if (!route.model.empty() && (route.model != served_.name ||
                               (!route.version.empty() && route.version != served_.version))) {
    return absl::NotFoundError(StrCat("no model ", route.model, route.version.empty() ? "" : "@",
                                      route.version, "; this is ", served_.name, "@",
                                      served_.version));
  }
  switch (route.kind) {
    case RouteKind::kReady:
      return HealthReply("ready");
    case RouteKind::kModelList:
      return ModelListReply({served_});
    case RouteKind::kModelMetadata:
      return ModelMetadataReply(served_);
    case RouteKind::kModelReady:
      return ModelReadyReply(served_);
    case RouteKind::kRepositoryIndex:
      return RepositoryIndexReply({served_});
    case RouteKind::kInfer:
      return Infer(request);
    case RouteKind::kLive:
    case RouteKind::kServerMetadata:
      break;
  }
  return absl::InternalError("a route without an answer");
}

absl::StatusOr<HttpReply> InferenceService::Infer(const HttpRequest& request) {
  MUSTER_ASSIGN_OR_RETURN(const auto header_length, ParseHeaderLength(request.headers));
  MUSTER_ASSIGN_OR_RETURN(const InferCall call,
                          ParseInferCall(served_, request.body, header_length));
  outputs_.resize(call.rows * served_.outputs);
  MUSTER_RETURN_IF_ERROR((*model_)->Run(call.values, call.rows, outputs_));
  return WriteInferReply(served_, call, outputs_);
}

}  // namespace muster
