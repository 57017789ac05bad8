#include "coordinator/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>

#include <optional>
#include <utility>

#include "coordinator/listen/bind.h"
#include "coordinator/rpc/blob_service.h"
#include "coordinator/rpc/device_service.h"
#include "coordinator/rpc/enrolment_service.h"
#include "coordinator/rpc/operator_service.h"
#include "coordinator/rpc/secagg_service.h"
#include "coordinator/rpc/tls_contexts.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/transport/channel.h"

namespace muster {
namespace {

// Clients ping silent connections (proto/transport); more often than this is rude.
constexpr int kReadChunkBytes = 16 << 10;  // a TLS record
constexpr int kMinPingIntervalMs = 10'000;

class RpcServerImpl final : public RpcServer {
 public:
  RpcServerImpl(Edge& edge, Dispatcher& dispatcher, UpdateIntake& intake,
                const CertificateAuthority& authority, const ServerOptions& options)
      : edge_(edge),
        enrolment_(edge, authority, options.device_certificate_lifetime),
        device_(edge, dispatcher, intake),
        secagg_(edge, intake),
        blob_(edge, options.direct_downloads),
        operator_(edge) {}

  absl::Status Listen(ServerOptions options) {
    std::vector<UniqueFd> listeners = std::move(options.inherited);
    if (listeners.empty()) {
      MUSTER_ASSIGN_OR_RETURN(listeners, BindListeners(options.listen));
    }
    grpc::EnableDefaultHealthCheckService(true);
    if (options.reflection) grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    // A certificate is asked for, not required: Enrol has none. The access table refuses the rest.
    grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = options.ca_pem;
    tls.pem_key_cert_pairs.push_back({options.key_pem, options.certificate_pem});
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(static_cast<int>(limits::kMaxMessageBytes));
    builder.SetMaxSendMessageSize(static_cast<int>(limits::kMaxMessageBytes));
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               kMinPingIntervalMs);
    // As on the other side (proto/transport): a fixed window, and no ping with each message.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
    // What gRPC last read into stays with the connection: unbounded, a fleet that has uploaded once
    // would keep half a megabyte for each device. main.cc makes gRPC heed this.
    builder.AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kReadChunkBytes);
    // Nobody asks gRPC for its own records of each connection and call; /metrics has them.
    builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits::kMaxStreamsPerConnection);
    // gRPC listens nowhere itself: sockets may be inherited, and connections are counted.
    std::shared_ptr connections = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        grpc::SslServerCredentials(tls));
    builder.RegisterService(&enrolment_);
    builder.RegisterService(&device_);
    builder.RegisterService(&secagg_);
    builder.RegisterService(&blob_);
    builder.RegisterService(&operator_);
    const TlsContextWatch tls_contexts;
    server_ = builder.BuildAndStart();
    tls_contexts.TuneServer();
    if (server_ == nullptr) {
      return absl::InternalError(
          "gRPC did not start: is the server's certificate or its key damaged? `muster-coordinator"
          " init` makes new ones in another folder to compare with");
    }
    server_->GetHealthCheckService()->SetServingStatus(true);
    acceptor_.emplace(
        std::move(listeners), options.max_connections, [connections](int listener, UniqueFd fd) {
          grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
          connection.listener_fd = listener;
          connection.fd = fd.Release();
          connections->HandleNewConnection(&connection);
        });
    return absl::OkStatus();
  }

  ~RpcServerImpl() override { Stop(Duration::zero()); }

  int port() const override { return acceptor_->port(); }
  Acceptor& acceptor() override { return *acceptor_; }

  void Stop(Duration grace) override {
    if (server_ == nullptr) return;
    server_->GetHealthCheckService()->SetServingStatus(false);
    if (acceptor_) acceptor_->Close();
    edge_.drive().wakeups.Shutdown();
    server_->Shutdown(std::chrono::system_clock::now() + grace);
    server_->Wait();
    server_.reset();
  }

 private:
  Edge& edge_;
  EnrolmentServiceImpl enrolment_;
  DeviceServiceImpl device_;
  SecAggServiceImpl secagg_;
  BlobServiceImpl blob_;
  OperatorServiceImpl operator_;
  std::unique_ptr<grpc::Server> server_;
  std::optional<Acceptor> acceptor_;  // before the server ends
};

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(ServerOptions options, Edge& edge,
                                                            Dispatcher& dispatcher,
                                                            UpdateIntake& intake,
                                                            const CertificateAuthority& authority) {
  auto server = std::make_unique<RpcServerImpl>(edge, dispatcher, intake, authority, options);
  if (absl::Status status = server->Listen(std::move(options)); !status.ok()) return status;
  return server;
}

}  // namespace muster
