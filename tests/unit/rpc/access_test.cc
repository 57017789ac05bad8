#include "coordinator/rpc/access.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "muster/v1/blob.pb.h"
#include "muster/v1/device.pb.h"
#include "muster/v1/enrolment.pb.h"
#include "muster/v1/operator.pb.h"
#include "muster/v1/secagg.pb.h"

namespace muster {
namespace {

enum Who { kNobody, kDevice, kResearcher, kOperator };

// The table that the design wants, written down a second time on purpose: a rule that changes must
// be changed in two places.
struct Row {
  const char* service;
  const char* method;
  std::set<Who> allowed;
};
const std::set<Who> kAnyone = {kNobody, kDevice, kResearcher, kOperator};
const std::set<Who> kIdentified = {kDevice, kResearcher, kOperator};
const std::set<Who> kResearch = {kResearcher, kOperator};
const Row kTable[] = {
    {"EnrolmentService", "Enrol", kAnyone},
    {"EnrolmentService", "Renew", kIdentified},
    {"DeviceService", "CheckIn", {kDevice}},
    {"DeviceService", "SubmitUpdate", {kDevice}},
    {"DeviceService", "SubmitResult", {kDevice}},
    {"DeviceService", "ReportState", {kDevice}},
    {"SecureAggregationService", "Join", {kDevice}},
    {"SecureAggregationService", "Advertise", {kDevice}},
    {"SecureAggregationService", "Share", {kDevice}},
    {"SecureAggregationService", "SubmitMasked", {kDevice}},
    {"SecureAggregationService", "Agree", {kDevice}},
    {"SecureAggregationService", "Unmask", {kDevice}},
    {"SecureAggregationService", "Refuse", {kDevice}},
    {"SecureAggregationService", "Await", {kDevice}},
    {"BlobService", "StatUpload", kIdentified},
    {"BlobService", "Upload", kIdentified},
    {"BlobService", "Download", kIdentified},
    {"OperatorService", "SubmitJob", kResearch},
    {"OperatorService", "ListJobs", kResearch},
    {"OperatorService", "GetJob", kResearch},
    {"OperatorService", "WatchJob", kResearch},
    {"OperatorService", "CancelJob", kResearch},
    {"OperatorService", "ListModels", kResearch},
    {"OperatorService", "GetModel", kResearch},
    {"OperatorService", "GetUsage", kResearch},
    {"OperatorService", "CreateToken", {kOperator}},
    {"OperatorService", "ListTokens", {kOperator}},
    {"OperatorService", "RevokeToken", {kOperator}},
    {"OperatorService", "ListDevices", {kOperator}},
    {"OperatorService", "ListAudit", {kOperator}},
    {"OperatorService", "VerifyAudit", {kOperator}},
    {"OperatorService", "GetDevice", {kOperator}},
    {"OperatorService", "RevokeDevice", {kOperator}},
    {"OperatorService", "Promote", {kOperator}},
    {"OperatorService", "GetPromotion", {kOperator}},
    {"OperatorService", "RollBack", {kOperator}},
};

std::optional<Principal> Caller(Who who) {
  switch (who) {
    case kNobody:
      return std::nullopt;
    case kDevice:
      return Principal{Role::kDevice, "d-1", "01"};
    case kResearcher:
      return Principal{Role::kResearcher, "ada", "02"};
    case kOperator:
      return Principal{Role::kOperator, "grace", "03"};
  }
  return std::nullopt;
}

TEST(Access, EveryRpcAnswersEveryRoleAsTheTableSays) {
  for (const Row& row : kTable) {
    const std::string method = std::string("muster.v1.") + row.service + "/" + row.method;
    for (Who who : {kNobody, kDevice, kResearcher, kOperator}) {
      const absl::Status status = CheckAccess(method, Caller(who));
      if (row.allowed.contains(who)) {
        EXPECT_TRUE(status.ok()) << method << " for " << who << ": " << status;
      } else if (who == kNobody) {
        EXPECT_TRUE(absl::IsUnauthenticated(status)) << method << ": " << status;
      } else {
        EXPECT_TRUE(absl::IsPermissionDenied(status)) << method << " for " << who << ": " << status;
      }
    }
  }
}

TEST(Access, NoMethodOfAnyServiceIsMissingFromTheTable) {
  std::set<std::string> known;
  for (const Row& row : kTable) {
    known.insert(std::string("muster.v1.") + row.service + "/" + row.method);
  }
  std::set<std::string> existing;
  for (const auto* file :
       {v1::UploadChunk::descriptor()->file(), v1::CheckInRequest::descriptor()->file(),
        v1::EnrolRequest::descriptor()->file(), v1::SubmitJobRequest::descriptor()->file(),
        v1::JoinRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      const auto* service = file->service(s);
      for (int m = 0; m < service->method_count(); ++m) {
        existing.insert(service->full_name() + "/" + service->method(m)->name());
      }
    }
  }
  EXPECT_EQ(existing, known);
}

TEST(Access, AMethodWithoutARuleIsOpenToNobody) {
  for (Who who : {kNobody, kDevice, kResearcher, kOperator}) {
    EXPECT_TRUE(absl::IsPermissionDenied(
        CheckAccess("muster.v1.OperatorService/DropEverything", Caller(who))));
  }
}

}  // namespace
}  // namespace muster
