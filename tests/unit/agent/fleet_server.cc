#include "tests/unit/agent/fleet_server.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <set>

namespace muster {
namespace {
grpc::Status Unavailable() { return {grpc::StatusCode::UNAVAILABLE, "switched off by the test"}; }
}  // namespace

struct FleetServer::Blobs final : v1::BlobService::Service {
  explicit Blobs(FleetServer& f) : fleet(f) {}
  FleetServer& fleet;

  grpc::Status Download(grpc::ServerContext*, const v1::DownloadRequest* request,
                        grpc::ServerWriter<v1::DownloadChunk>* writer) override {
    std::string bytes;
    int chunks_left = 0;
    size_t chunk_bytes = 0;
    {
      std::lock_guard lock(fleet.mutex);
      auto blob = fleet.blobs.find(*Digest::FromBytes(request->digest()));
      if (blob == fleet.blobs.end()) return {grpc::StatusCode::NOT_FOUND, "no such blob"};
      bytes = blob->second;
      chunks_left = fleet.cut_after_chunks > 0 ? fleet.cut_after_chunks : 1 << 30;
      chunk_bytes = fleet.chunk_bytes;
      fleet.download_offsets.push_back(request->offset());
      if (fleet.corrupt_downloads > 0) {
        --fleet.corrupt_downloads;
        bytes.back() = static_cast<char>(bytes.back() ^ 1);
      }
    }
    for (uint64_t at = request->offset(); at < bytes.size();) {
      if (chunks_left-- == 0) return Unavailable();
      v1::DownloadChunk chunk;
      chunk.set_offset(at);
      chunk.set_total_size(bytes.size());
      chunk.set_data(bytes.substr(at, chunk_bytes));
      at += chunk.data().size();
      if (!writer->Write(chunk)) break;
    }
    return grpc::Status::OK;
  }

  grpc::Status StatUpload(grpc::ServerContext*, const v1::StatUploadRequest* request,
                          v1::StatUploadResponse* response) override {
    std::lock_guard lock(fleet.mutex);
    const Digest digest = *Digest::FromBytes(request->digest());
    const std::string& held = fleet.staged[digest];
    response->set_offset(held.size());
    response->set_complete(!held.empty() && Sha256(held) == digest);
    return grpc::Status::OK;
  }

  grpc::Status Upload(grpc::ServerContext*, grpc::ServerReader<v1::UploadChunk>* reader,
                      v1::UploadResponse* response) override {
    v1::UploadChunk chunk;
    Digest digest;
    for (bool first = true; reader->Read(&chunk); first = false) {
      std::lock_guard lock(fleet.mutex);
      if (first) {
        digest = *Digest::FromBytes(chunk.digest());
        fleet.upload_offsets.push_back(chunk.offset());
      }
      std::string& held = fleet.staged[digest];
      if (chunk.offset() != held.size()) {
        return {grpc::StatusCode::FAILED_PRECONDITION, "not where the upload stands"};
      }
      held += chunk.data();
      if (fleet.cut_uploads > 0) {
        --fleet.cut_uploads;
        return Unavailable();
      }
    }
    std::lock_guard lock(fleet.mutex);
    response->set_offset(fleet.staged[digest].size());
    response->set_complete(Sha256(fleet.staged[digest]) == digest);
    return grpc::Status::OK;
  }
};

struct FleetServer::Devices final : v1::DeviceService::Service {
  explicit Devices(FleetServer& f) : fleet(f) {}
  FleetServer& fleet;
  std::set<std::string> counted;

  grpc::Status SubmitUpdate(grpc::ServerContext*, const v1::SubmitUpdateRequest* request,
                            v1::SubmitUpdateResponse* response) override {
    std::lock_guard lock(fleet.mutex);
    fleet.updates.push_back(*request);
    const bool fresh = counted.insert(request->invocation()).second;
    if (fresh) fleet.staged.erase(*Digest::FromBytes(request->update()));
    if (fleet.fail_submits > 0) {
      --fleet.fail_submits;
      return Unavailable();
    }
    response->set_verdict(fresh ? v1::VERDICT_ACCEPTED : v1::VERDICT_DUPLICATE);
    return grpc::Status::OK;
  }
  grpc::Status SubmitResult(grpc::ServerContext*, const v1::SubmitResultRequest* request,
                            v1::SubmitResultResponse* response) override {
    std::lock_guard lock(fleet.mutex);
    fleet.results.push_back(*request);
    response->set_verdict(v1::VERDICT_ACCEPTED);
    return grpc::Status::OK;
  }
  grpc::Status ReportState(grpc::ServerContext*, const v1::ReportStateRequest* request,
                           v1::ReportStateResponse*) override {
    std::lock_guard lock(fleet.mutex);
    fleet.reports.push_back(*request);
    return grpc::Status::OK;
  }
};

FleetServer::FleetServer(grpc::Service* more)
    : blob_service_(std::make_unique<Blobs>(*this)),
      device_service_(std::make_unique<Devices>(*this)) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(blob_service_.get());
  builder.RegisterService(device_service_.get());
  if (more != nullptr) builder.RegisterService(more);
  server_ = builder.BuildAndStart();
  channel_ =
      grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials());
}

FleetServer::~FleetServer() { server_->Shutdown(std::chrono::system_clock::now()); }

Digest FleetServer::AddBlob(const std::string& bytes) {
  std::lock_guard lock(mutex);
  const Digest digest = Sha256(bytes);
  blobs[digest] = bytes;
  return digest;
}

}  // namespace muster
