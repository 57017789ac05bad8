#include "coordinator/cli/api.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <utility>

#include "muster/v1/blob.grpc.pb.h"
#include "muster/v1/enrolment.grpc.pb.h"
#include "muster/v1/operator.grpc.pb.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/transport/channel.h"
#include "proto/transport/grpc_status.h"

namespace muster::cli {
namespace {

constexpr std::chrono::minutes kMaxStreamTime{30};

using Operator = v1::OperatorService::Stub;

struct Cancel {
  grpc::ClientContext* context;
  void operator()() const { context->TryCancel(); }
};

}  // namespace

struct Api::Impl {
  explicit Impl(std::shared_ptr<grpc::Channel> c)
      : channel(std::move(c)),
        operators(v1::OperatorService::NewStub(channel)),
        blobs(v1::BlobService::NewStub(channel)),
        enrolment(v1::EnrolmentService::NewStub(channel)) {}
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::OperatorService::Stub> operators;
  std::unique_ptr<v1::BlobService::Stub> blobs;
  std::unique_ptr<v1::EnrolmentService::Stub> enrolment;
};

Api::Api(std::string address, Duration rpc_timeout, std::unique_ptr<Impl> impl)
    : address_(std::move(address)), rpc_timeout_(rpc_timeout), impl_(std::move(impl)) {}
Api::~Api() = default;

absl::StatusOr<std::unique_ptr<Api>> Api::Open(const Settings& settings) {
  if (settings.coordinator.empty()) {
    return absl::InvalidArgumentError(
        StrCat("no coordinator is named; give --coordinator HOST:PORT or set ",
               kCoordinatorVariable, ", or write it into the config file"));
  }
  if (settings.credential.empty()) {
    return absl::InvalidArgumentError(
        StrCat("no credential is named; give --credential DIR or set ", kCredentialVariable,
               " (`muster-coordinator init` makes the first operator's)"));
  }
  auto material = LoadTlsMaterial(settings.credential);
  if (absl::IsNotFound(material.status())) {
    return absl::UnauthenticatedError(std::string(material.status().message()));
  }
  if (!material.ok()) return Annotate(material.status(), settings.credential.string());
  MUSTER_ASSIGN_OR_RETURN(auto channel, Connect(settings.coordinator, *material));
  return std::unique_ptr<Api>(new Api(settings.coordinator, settings.rpc_timeout,
                                      std::make_unique<Impl>(std::move(channel))));
}

absl::Status Api::Explain(const absl::Status& status) const {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return absl::UnavailableError(
          StrCat("the coordinator at ", address_, " does not answer (", StdView(status.message()),
                 "); see that `muster-coordinator serve` runs there, and that the credential is of "
                 "this coordinator"));
    case absl::StatusCode::kDeadlineExceeded:
      return absl::DeadlineExceededError(
          StrCat("the coordinator at ", address_, " did not answer in time (",
                 StdView(status.message()), "); try again, or allow more with --rpc-timeout"));
    default:
      return status;
  }
}

template <typename Method, typename Request, typename Response>
absl::Status Api::Unary(Method method, const Request& request, Response& response) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + rpc_timeout_);
  return Explain(FromGrpcStatus(method(&context, request, &response)));
}

#define MUSTER_CLI_CALL(stub, Name)                                                      \
  absl::StatusOr<v1::Name##Response> Api::Call(const v1::Name##Request& request) {       \
    v1::Name##Response response;                                                         \
    MUSTER_RETURN_IF_ERROR(                                                              \
        Unary([this](auto* context, const auto& sent,                                    \
                     auto* answer) { return impl_->stub->Name(context, sent, answer); }, \
              request, response));                                                       \
    return response;                                                                     \
  }
MUSTER_CLI_CALL(operators, SubmitJob)
MUSTER_CLI_CALL(operators, ListJobs)
MUSTER_CLI_CALL(operators, GetJob)
MUSTER_CLI_CALL(operators, CancelJob)
MUSTER_CLI_CALL(operators, ListModels)
MUSTER_CLI_CALL(operators, GetModel)
MUSTER_CLI_CALL(operators, GetUsage)
MUSTER_CLI_CALL(operators, CreateToken)
MUSTER_CLI_CALL(operators, ListTokens)
MUSTER_CLI_CALL(operators, RevokeToken)
MUSTER_CLI_CALL(operators, ListDevices)
MUSTER_CLI_CALL(operators, GetDevice)
MUSTER_CLI_CALL(operators, RevokeDevice)
MUSTER_CLI_CALL(operators, Promote)
MUSTER_CLI_CALL(operators, GetPromotion)
MUSTER_CLI_CALL(operators, RollBack)
MUSTER_CLI_CALL(operators, ListAudit)
MUSTER_CLI_CALL(operators, VerifyAudit)
MUSTER_CLI_CALL(blobs, StatUpload)
MUSTER_CLI_CALL(enrolment, Renew)
#undef MUSTER_CLI_CALL

absl::Status Api::Watch(const v1::GetJobRequest& request, std::stop_token stop,
                        const std::function<bool(const v1::GetJobResponse&)>& on_view) {
  grpc::ClientContext context;
  std::stop_callback<Cancel> cancel(stop, Cancel{&context});
  auto stream = impl_->operators->WatchJob(&context, request);
  v1::GetJobResponse view;
  bool wanted = true;
  while (wanted && stream->Read(&view)) wanted = on_view(view);
  if (!wanted) context.TryCancel();
  const absl::Status status = FromGrpcStatus(stream->Finish());
  if (stop.stop_requested()) return absl::CancelledError("interrupted");
  return wanted ? Explain(status) : absl::OkStatus();
}

absl::StatusOr<v1::UploadResponse> Api::Upload(const std::function<bool(v1::UploadChunk&)>& next) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kMaxStreamTime);
  v1::UploadResponse response;
  auto stream = impl_->blobs->Upload(&context, &response);
  v1::UploadChunk chunk;
  while (next(chunk) && stream->Write(chunk)) chunk.Clear();
  stream->WritesDone();
  MUSTER_RETURN_IF_ERROR(Explain(FromGrpcStatus(stream->Finish())));
  return response;
}

absl::Status Api::Download(const v1::DownloadRequest& request,
                           const std::function<absl::Status(const v1::DownloadChunk&)>& on_chunk) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kMaxStreamTime);
  auto stream = impl_->blobs->Download(&context, request);
  v1::DownloadChunk chunk;
  absl::Status status;
  while (status.ok() && stream->Read(&chunk)) status = on_chunk(chunk);
  if (!status.ok()) context.TryCancel();
  const absl::Status finished = FromGrpcStatus(stream->Finish());
  return status.ok() ? Explain(finished) : status;
}

void Api::ConnectAtOnce() {
  grpc::experimental::ChannelResetConnectionBackoff(impl_->channel.get());
}

bool IsTransient(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kResourceExhausted:
      return true;
    default:
      return false;
  }
}

}  // namespace muster::cli
