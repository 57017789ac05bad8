#include "client/agent/uplink.h"

#include <utility>

namespace muster {

Uplink MakeUplink(std::shared_ptr<grpc::ChannelInterface> channel,
                  std::shared_ptr<const SecAggIdentity> identity, BlobTransferOptions transfers) {
  Uplink uplink;
  uplink.device = v1::DeviceService::NewStub(channel);
  uplink.secagg = v1::SecureAggregationService::NewStub(channel);
  uplink.blobs = std::make_shared<BlobTransfer>(channel, std::move(transfers));
  uplink.channel = std::move(channel);
  uplink.identity = std::move(identity);
  return uplink;
}

}  // namespace muster
