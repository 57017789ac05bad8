// What talks to the coordinator over one channel; replaced when the certificate is renewed.
#pragma once

#include <memory>

#include "client/agent/secagg_identity.h"
#include "client/agent/transfer.h"
#include "muster/v1/device.grpc.pb.h"
#include "muster/v1/secagg.grpc.pb.h"

namespace muster {

struct Uplink {
  std::shared_ptr<grpc::ChannelInterface> channel;
  std::shared_ptr<v1::DeviceService::StubInterface> device;
  std::shared_ptr<v1::SecureAggregationService::StubInterface> secagg;
  std::shared_ptr<BlobTransfer> blobs;
  std::shared_ptr<const SecAggIdentity> identity;  // null: no secure aggregation over this one
};
Uplink MakeUplink(std::shared_ptr<grpc::ChannelInterface> channel,
                  std::shared_ptr<const SecAggIdentity> identity = nullptr,
                  BlobTransferOptions transfers = {});

}  // namespace muster
