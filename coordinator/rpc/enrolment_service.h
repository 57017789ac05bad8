// EnrolmentService over the callback API.
#pragma once

#include "coordinator/identity/authority.h"
#include "coordinator/rpc/edge.h"
#include "muster/v1/enrolment.grpc.pb.h"
#include "proto/core/enrol_messages.h"

namespace muster {

class EnrolmentServiceImpl final : public v1::EnrolmentService::CallbackService {
 public:
  EnrolmentServiceImpl(Edge& edge, const CertificateAuthority& authority, Duration lifetime)
      : edge_(edge), authority_(authority), lifetime_(lifetime) {}

  grpc::ServerUnaryReactor* Enrol(grpc::CallbackServerContext* context,
                                  const v1::EnrolRequest* request,
                                  v1::EnrolResponse* response) override;
  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* context,
                                  const v1::RenewRequest* request,
                                  v1::RenewResponse* response) override;

 private:
  absl::StatusOr<IssuedCertificate> RenewFor(const grpc::CallbackServerContext& context,
                                             const Principal& caller, const Renewal& renewal);

  Edge& edge_;
  const CertificateAuthority& authority_;
  const Duration lifetime_;  // of device certificates
};

}  // namespace muster
