#include "client/functions/function_host.h"

#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "client/functions/function_pool.h"
#include "client/functions/http.h"
#include "client/functions/inference_protocol.h"
#include "models/quantize/format.h"
#include "proto/core/ids.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {

struct FunctionHost::Impl {
  explicit Impl(FunctionHostOptions options_in)
      : options(std::move(options_in)),
        work(boost::asio::make_work_guard(io)),
        front(io, {.server_name = "muster", .body_bytes_max = kMaxInferBodyBytes},
              [this](HttpRequest request, FunctionServer::Responder respond) {
                Handle(std::move(request), std::move(respond));
              }) {}

  // Runs `what` on the host's thread and waits for its result.
  template <typename F>
  auto On(F what) {
    std::packaged_task<std::invoke_result_t<F>()> task(std::move(what));
    auto result = task.get_future();
    boost::asio::post(io, [&task] { task(); });
    return result.get();
  }

  void Handle(HttpRequest request, FunctionServer::Responder respond);
  HttpReply Describe(const Route& route) const;
  std::vector<ServedModel> Served() const;

  const FunctionHostOptions options;
  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work;
  // By name; those that were removed stay for their metering.
  std::map<std::string, std::shared_ptr<FunctionPool>, std::less<>> pools;
  FunctionServer front;
  uint16_t port = 0;
  std::mutex deploying;  // one deployment at a time, or two would race for the same processor
  std::thread thread;
};

std::vector<ServedModel> FunctionHost::Impl::Served() const {
  std::vector<ServedModel> served;
  for (const auto& [name, pool] : pools) {
    if (pool->active() != nullptr) served.push_back(pool->active()->served);
  }
  return served;
}

HttpReply FunctionHost::Impl::Describe(const Route& route) const {
  switch (route.kind) {
    case RouteKind::kServerMetadata:
      return ServerMetadataReply("muster");
    case RouteKind::kLive:
      return HealthReply("live");
    case RouteKind::kReady:
      return HealthReply("ready");
    case RouteKind::kModelList:
      return ModelListReply(Served());
    case RouteKind::kRepositoryIndex:
      return RepositoryIndexReply(Served());
    case RouteKind::kModelMetadata:
      return ModelMetadataReply(pools.find(route.model)->second->active()->served);
    case RouteKind::kModelReady:
      return ModelReadyReply(pools.find(route.model)->second->active()->served);
    case RouteKind::kInfer:
      break;
  }
  return ErrorReply(500, "a route without an answer");
}

void FunctionHost::Impl::Handle(HttpRequest request, FunctionServer::Responder respond) {
  const auto route = ParseRoute(request.method, request.target);
  if (!route.ok()) {
    return respond(route.status().code() == absl::StatusCode::kUnimplemented
                       ? ErrorReply(405, StdView(route.status().message()))
                       : ErrorReply(route.status()));
  }
  if (route->model.empty()) return respond(Describe(*route));
  const auto pool = pools.find(route->model);
  const Deployment* active = pool == pools.end() ? nullptr : pool->second->active();
  if (active == nullptr || (!route->version.empty() && route->version != active->served.version)) {
    return respond(
        ErrorReply(404, StrCat("no model ", route->model, route->version.empty() ? "" : "@",
                               route->version, " is served here; see GET /v2/models")));
  }
  if (route->kind != RouteKind::kInfer) return respond(Describe(*route));

  // The instance parses and checks the rest; only what concerns it is handed on.
  HttpRequest inner;
  inner.method = "POST";
  inner.target = std::move(request.target);
  inner.body = std::move(request.body);
  for (const char* name : {"Content-Type", kHeaderLengthField}) {
    if (const auto value = FindHeader(request.headers, name)) {
      inner.headers.emplace_back(name, std::string(*value));
    }
  }
  pool->second->Call(std::move(inner), std::move(respond));
}

FunctionHost::FunctionHost(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<FunctionHost>> FunctionHost::Start(FunctionHostOptions options) {
  if (options.max_instances == 0 || options.min_instances > options.max_instances) {
    return absl::InvalidArgumentError(StrCat("max_instances is ", options.max_instances,
                                             " and min_instances ", options.min_instances,
                                             ": use 1 or more, and not fewer than the minimum"));
  }
  if (access(options.infer_binary.c_str(), X_OK) != 0) {
    return absl::NotFoundError(StrCat("there is no program at ", options.infer_binary.string(),
                                      "; install muster-infer beside muster-client"));
  }
  auto impl = std::make_unique<Impl>(std::move(options));
  MUSTER_ASSIGN_OR_RETURN(impl->port,
                          impl->front.ListenTcp(impl->options.listen_address, impl->options.port));
  impl->thread = std::thread([raw = impl.get()] { raw->io.run(); });
  return std::unique_ptr<FunctionHost>(new FunctionHost(std::move(impl)));
}

FunctionHost::~FunctionHost() {
  impl_->On([this] {
    for (const auto& [name, pool] : impl_->pools) pool->KillAll();
    impl_->front.Stop();
  });
  impl_->io.stop();
  impl_->thread.join();
}

uint16_t FunctionHost::port() const { return impl_->port; }

absl::StatusOr<DeployReport> FunctionHost::Deploy(const std::string& name, uint32_t version,
                                                  const std::filesystem::path& model_file) {
  MUSTER_RETURN_IF_ERROR(ModelName::Parse(name).status());
  MUSTER_ASSIGN_OR_RETURN(const mq8::ModelInfo info, mq8::ReadModelInfo(model_file));
  auto deployment = std::make_shared<Deployment>();
  deployment->version = version;
  deployment->file = model_file;
  deployment->served = {.name = name,
                        .version = StrCat(version),
                        .input_shape = info.input_shape,
                        .outputs = info.outputs};

  std::lock_guard lock(impl_->deploying);
  std::promise<absl::StatusOr<DeployReport>> promise;
  impl_->On([&] {
    auto& pool = impl_->pools[name];
    if (pool == nullptr) pool = std::make_shared<FunctionPool>(impl_->io, impl_->options, name);
    pool->Deploy(deployment, [&promise](absl::StatusOr<DeployReport> report) {
      promise.set_value(std::move(report));
    });
  });
  auto report = promise.get_future().get();
  if (!report.ok()) {
    return Annotate(report.status(), StrCat("deploying ", name, "@", version));
  }
  return report;
}

absl::Status FunctionHost::Remove(const std::string& name) {
  std::lock_guard lock(impl_->deploying);
  return impl_->On([&]() -> absl::Status {
    const auto pool = impl_->pools.find(name);
    if (pool == impl_->pools.end() || pool->second->active() == nullptr) {
      return absl::NotFoundError(StrCat("no model ", name, " is served here"));
    }
    pool->second->Close();
    return absl::OkStatus();
  });
}

std::vector<FunctionMetering> FunctionHost::DrainMetering() {
  return impl_->On([this] {
    std::vector<FunctionMetering> all;
    for (const auto& [name, pool] : impl_->pools) {
      FunctionMetering metering = pool->DrainMetering();
      if (metering.invocations + metering.cold_starts + metering.cpu_us > 0) {
        all.push_back(std::move(metering));
      }
    }
    return all;
  });
}

}  // namespace muster
