// The coordinator's operator API over one mTLS channel. Calls block, end with a deadline, and
// answer with the coordinator's status; a coordinator that is not there is Unavailable, with the
// address and what to do. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordinator/cli/settings.h"
#include "muster/v1/blob.pb.h"
#include "muster/v1/enrolment.pb.h"
#include "muster/v1/operator.pb.h"

namespace muster::cli {

class Api {
 public:
  // Reads the credential; connects with the first call. InvalidArgument where no coordinator or no
  // credential is named, Unauthenticated for a credential that is missing or has expired.
  static absl::StatusOr<std::unique_ptr<Api>> Open(const Settings& settings);
  ~Api();

  const std::string& address() const { return address_; }

  absl::StatusOr<v1::SubmitJobResponse> Call(const v1::SubmitJobRequest& request);
  absl::StatusOr<v1::ListJobsResponse> Call(const v1::ListJobsRequest& request);
  absl::StatusOr<v1::GetJobResponse> Call(const v1::GetJobRequest& request);
  absl::StatusOr<v1::CancelJobResponse> Call(const v1::CancelJobRequest& request);
  absl::StatusOr<v1::ListModelsResponse> Call(const v1::ListModelsRequest& request);
  absl::StatusOr<v1::GetModelResponse> Call(const v1::GetModelRequest& request);
  absl::StatusOr<v1::GetUsageResponse> Call(const v1::GetUsageRequest& request);
  absl::StatusOr<v1::CreateTokenResponse> Call(const v1::CreateTokenRequest& request);
  absl::StatusOr<v1::ListTokensResponse> Call(const v1::ListTokensRequest& request);
  absl::StatusOr<v1::RevokeTokenResponse> Call(const v1::RevokeTokenRequest& request);
  absl::StatusOr<v1::ListDevicesResponse> Call(const v1::ListDevicesRequest& request);
  absl::StatusOr<v1::GetDeviceResponse> Call(const v1::GetDeviceRequest& request);
  absl::StatusOr<v1::RevokeDeviceResponse> Call(const v1::RevokeDeviceRequest& request);
  absl::StatusOr<v1::PromoteResponse> Call(const v1::PromoteRequest& request);
  absl::StatusOr<v1::GetPromotionResponse> Call(const v1::GetPromotionRequest& request);
  absl::StatusOr<v1::RollBackResponse> Call(const v1::RollBackRequest& request);
  absl::StatusOr<v1::ListAuditResponse> Call(const v1::ListAuditRequest& request);
  absl::StatusOr<v1::VerifyAuditResponse> Call(const v1::VerifyAuditRequest& request);
  absl::StatusOr<v1::StatUploadResponse> Call(const v1::StatUploadRequest& request);
  absl::StatusOr<v1::RenewResponse> Call(const v1::RenewRequest& request);

  // Every view of the job until it ends, `on_view` says false, or `stop` is asked for (Cancelled).
  absl::Status Watch(const v1::GetJobRequest& request, std::stop_token stop,
                     const std::function<bool(const v1::GetJobResponse&)>& on_view);

  // One stream each, bounded by kMaxStreamTime. `next` fills the message and says false at the end.
  absl::StatusOr<v1::UploadResponse> Upload(const std::function<bool(v1::UploadChunk&)>& next);
  // An error of `on_chunk` ends the stream and is the result.
  absl::Status Download(const v1::DownloadRequest& request,
                        const std::function<absl::Status(const v1::DownloadChunk&)>& on_chunk);

  // Forgets failed attempts, so that the next call connects at once.
  void ConnectAtOnce();

 private:
  struct Impl;
  Api(std::string address, Duration rpc_timeout, std::unique_ptr<Impl> impl);
  template <typename Method, typename Request, typename Response>
  absl::Status Unary(Method method, const Request& request, Response& response);
  absl::Status Explain(const absl::Status& status) const;

  std::string address_;
  Duration rpc_timeout_;
  std::unique_ptr<Impl> impl_;
};

// Worth another try: the coordinator was away or busy.
bool IsTransient(const absl::Status& status);

}  // namespace muster::cli
