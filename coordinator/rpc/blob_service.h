// BlobService over the callback API: one chunk in memory for each open stream.
#pragma once

#include "coordinator/blobs/blob_urls.h"
#include "coordinator/rpc/edge.h"
#include "muster/v1/blob.grpc.pb.h"

namespace muster {

class BlobServiceImpl final : public v1::BlobService::CallbackService {
 public:
  explicit BlobServiceImpl(Edge& edge, const DirectDownloads& direct = {})
      : edge_(edge), direct_(direct) {}

  grpc::ServerUnaryReactor* StatUpload(grpc::CallbackServerContext* context,
                                       const v1::StatUploadRequest* request,
                                       v1::StatUploadResponse* response) override;
  grpc::ServerReadReactor<v1::UploadChunk>* Upload(grpc::CallbackServerContext* context,
                                                   v1::UploadResponse* response) override;
  grpc::ServerWriteReactor<v1::DownloadChunk>* Download(
      grpc::CallbackServerContext* context, const v1::DownloadRequest* request) override;

 private:
  Edge& edge_;
  const DirectDownloads direct_;
};

}  // namespace muster
