// A coordinator as far as devices see one, over real gRPC on a free local port: blobs to download,
// uploads to stage, answers to take. Its faults are switched on by tests.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/server.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "muster/v1/blob.grpc.pb.h"
#include "muster/v1/device.grpc.pb.h"
#include "proto/core/digest.h"

namespace muster {

class FleetServer {
 public:
  // Also serves `more`, which must outlive this.
  explicit FleetServer(grpc::Service* more = nullptr);
  ~FleetServer();
  std::shared_ptr<grpc::Channel> channel() const { return channel_; }

  Digest AddBlob(const std::string& bytes);

  // All guarded by `mutex`.
  std::mutex mutex;
  std::map<Digest, std::string> blobs;
  std::map<Digest, std::string> staged;
  size_t chunk_bytes = 64u << 10;
  int cut_after_chunks = 0;   // > 0: each download breaks off after so many chunks
  int corrupt_downloads = 0;  // so many downloads get a flipped bit
  int cut_uploads = 0;        // so many uploads break off after their first chunk
  int fail_submits = 0;       // so many SubmitUpdate calls are UNAVAILABLE after they counted
  std::vector<uint64_t> download_offsets, upload_offsets;
  std::vector<v1::SubmitUpdateRequest> updates;
  std::vector<v1::SubmitResultRequest> results;
  std::vector<v1::ReportStateRequest> reports;

 private:
  struct Blobs;
  struct Devices;
  std::unique_ptr<Blobs> blob_service_;
  std::unique_ptr<Devices> device_service_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace muster
