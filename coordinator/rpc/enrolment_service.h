// EnrolmentService over the callback API.
#pragma once

#include "coordinator/identity/authority.h"
#include "coordinator/rpc/edge.h"
#include "muster/v1/enrolment.grpc.pb.h"

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
  Edge& edge_;
  const CertificateAuthority& authority_;
  const Duration lifetime_;  // of device certificates
};

}  // namespace muster
