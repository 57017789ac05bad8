// Jobs, models and usage.
#include "coordinator/drive/jobs.h"
#include "coordinator/drive/offers.h"
#include "coordinator/rpc/job_watch.h"
#include "coordinator/rpc/operator_service.h"
#include "coordinator/rpc/views.h"
#include "models/package/manifest.h"
#include "models/package/package.h"
#include "proto/codec/model_codec.h"
#include "proto/codec/operator_codec.h"
#include "proto/core/limits.h"
#include "proto/core/log.h"
#include "proto/core/status.h"

namespace muster {
namespace {

using Caller = const std::optional<Principal>&;

}  // namespace

OperatorServiceImpl::Reactor* OperatorServiceImpl::SubmitJob(Context* context,
                                                             const v1::SubmitJobRequest* request,
                                                             v1::SubmitJobResponse* response) {
  return Unary(
      edge_, context, "muster.v1.OperatorService/SubmitJob",
      [this, request, response](Caller caller) -> absl::Status {
        MUSTER_ASSIGN_OR_RETURN(const JobSubmission order, DecodeSubmitJob(*request));
        MUSTER_ASSIGN_OR_RETURN(const SubmittedJob job,
                                muster::SubmitJob(edge_.drive(), order.spec, NameOf(caller),
                                                  StagingOwner(RoleName(caller->role), caller->id),
                                                  order.idempotency_key));
        response->set_job(job.id.value());
        response->set_aggregation(DescribeAggregation(order.spec));
        for (const std::string& notice : job.notices) response->add_notices(notice);
        if (!job.already) {
          LogInfo(
              "job submitted",
              {{"job", job.id.value()}, {"name", order.spec.name.value()}, {"by", NameOf(caller)}});
        }
        return absl::OkStatus();
      });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::ListJobs(Context* context,
                                                            const v1::ListJobsRequest* request,
                                                            v1::ListJobsResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/ListJobs",
               [this, request, response](Caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const PageRequest page, DecodeListJobs(*request));
                 return edge_.drive().store.Read([&](const StoreReader& reader) -> absl::Status {
                   MUSTER_ASSIGN_OR_RETURN(auto jobs, reader.ListJobs({page.token, page.size}));
                   for (const JobRecord& job : jobs) {
                     MUSTER_ASSIGN_OR_RETURN(*response->add_jobs(), SummarizeJob(reader, job));
                   }
                   if (jobs.size() == page.size)
                     response->set_next_page_token(jobs.back().id.value());
                   return absl::OkStatus();
                 });
               });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::GetJob(Context* context,
                                                          const v1::GetJobRequest* request,
                                                          v1::GetJobResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/GetJob",
               [this, request, response](Caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const JobQuery query, DecodeGetJob(*request));
                 return edge_.drive().store.Read([&](const StoreReader& reader) -> absl::Status {
                   MUSTER_ASSIGN_OR_RETURN(*response,
                                           DescribeJob(reader, query.job, query.from_round));
                   return absl::OkStatus();
                 });
               });
}

grpc::ServerWriteReactor<v1::GetJobResponse>* OperatorServiceImpl::WatchJob(
    Context* context, const v1::GetJobRequest* request) {
  return MakeJobWatch(edge_, context, request);
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::CancelJob(Context* context,
                                                             const v1::CancelJobRequest* request,
                                                             v1::CancelJobResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/CancelJob",
               [this, request, response](Caller caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const JobId id, DecodeCancelJob(*request));
                 MUSTER_ASSIGN_OR_RETURN(const JobRecord job,
                                         muster::CancelJob(edge_.drive(), id, NameOf(caller)));
                 return edge_.drive().store.Read([&](const StoreReader& reader) -> absl::Status {
                   MUSTER_ASSIGN_OR_RETURN(*response->mutable_job(), SummarizeJob(reader, job));
                   return absl::OkStatus();
                 });
               });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::ListModels(Context* context,
                                                              const v1::ListModelsRequest* request,
                                                              v1::ListModelsResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/ListModels",
               [this, request, response](Caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const ModelListing listing, DecodeListModels(*request));
                 return edge_.drive().store.Read([&](const StoreReader& reader) -> absl::Status {
                   MUSTER_ASSIGN_OR_RETURN(
                       auto models, reader.ListModels(listing.name.value(),
                                                      {listing.page.token, listing.page.size}));
                   for (const ModelRecord& model : models)
                     *response->add_models() = ViewModel(model);
                   if (models.size() == listing.page.size) {
                     response->set_next_page_token(models.back().id.ToString());
                   }
                   return absl::OkStatus();
                 });
               });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::GetModel(Context* context,
                                                            const v1::GetModelRequest* request,
                                                            v1::GetModelResponse* response) {
  return Unary(
      edge_, context, "muster.v1.OperatorService/GetModel",
      [this, request, response](Caller) -> absl::Status {
        MUSTER_ASSIGN_OR_RETURN(const ModelQuery query, DecodeGetModel(*request));
        ModelRecord model;
        MUSTER_RETURN_IF_ERROR(
            edge_.drive().store.Read([&](const StoreReader& reader) -> absl::Status {
              if (query.version > 0) {
                MUSTER_ASSIGN_OR_RETURN(model, reader.FindModel({query.name, query.version}));
              } else {
                MUSTER_ASSIGN_OR_RETURN(model, reader.FindLatestModel(query.name));
              }
              return absl::OkStatus();
            }));
        MUSTER_ASSIGN_OR_RETURN(const std::string json, GetBlob(edge_.drive().blobs, model.manifest,
                                                                limits::kMaxManifestBytes));
        MUSTER_ASSIGN_OR_RETURN(const Manifest manifest, ManifestFromJson(json));
        *response->mutable_model() = ViewModel(model);
        *response->mutable_manifest() = EncodeManifest(manifest);
        return absl::OkStatus();
      });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::GetUsage(Context* context,
                                                            const v1::GetUsageRequest* request,
                                                            v1::GetUsageResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/GetUsage",
               [this, request, response](Caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const UsageQuery query, DecodeGetUsage(*request));
                 return edge_.drive().store.Read([&](const StoreReader& reader) -> absl::Status {
                   MUSTER_ASSIGN_OR_RETURN(auto rows,
                                           reader.ListUsage(query.job, query.device.value()));
                   for (const UsageRecord& row : rows) *response->add_rows() = ViewUsage(row);
                   return absl::OkStatus();
                 });
               });
}

}  // namespace muster
