// One unary call of a virtual device, awaited without a thread.
#pragma once

#include <grpc/grpc_security_constants.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "proto/core/limits.h"
#include "proto/transport/grpc_status.h"
#include "tests/bench/loadgen/coroutine.h"
#include "tests/bench/loadgen/figures.h"

// MUSTER_ASSIGN_OR_RETURN and MUSTER_RETURN_IF_ERROR inside a coroutine.
#define LOAD_CONCAT_(a, b) a##b
#define LOAD_CONCAT(a, b) LOAD_CONCAT_(a, b)
#define LOAD_ASSIGN_OR_RETURN(lhs, expr) \
  LOAD_ASSIGN_(LOAD_CONCAT(load_result_, __LINE__), lhs, expr)
#define LOAD_ASSIGN_(result, lhs, expr)        \
  auto result = (expr);                        \
  if (!result.ok()) co_return result.status(); \
  lhs = *std::move(result)
#define LOAD_RETURN_IF_ERROR(expr) \
  if (const absl::Status load_status = (expr); !load_status.ok()) co_return load_status

namespace muster::load {

// Where a device's calls come back to, and what counts them.
struct Caller {
  Pool& pool;
  Figures& figures;
  bool count_resumed = false;  // calls whose connection resumed a TLS session
};

template <typename Async, typename Request, typename Response>
using AsyncMethod = void (Async::*)(grpc::ClientContext*, const Request*, Response*,
                                    std::function<void(grpc::Status)>);

// One attempt.
template <typename Async, typename Request, typename Response>
class Attempt {
 public:
  Attempt(Pool& pool, Async& async, AsyncMethod<Async, Request, Response> method,
          const Request& request, Response& response, std::chrono::microseconds limit)
      : pool_(pool), async_(async), method_(method), request_(request), response_(response) {
    context_.set_deadline(std::chrono::system_clock::now() + limit);
  }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    (async_.*method_)(&context_, &request_, &response_, [this, waiting](const grpc::Status& told) {
      status_ = FromGrpcStatus(told);
      ended_ = std::chrono::steady_clock::now();
      pool_.Post(waiting);
    });
  }
  absl::Status await_resume() { return std::move(status_); }
  bool resumed() const {
    const auto reused =
        context_.auth_context()->FindPropertyValues(GRPC_SSL_SESSION_REUSED_PROPERTY);
    return !reused.empty() && reused.front() == "true";
  }
  Duration took() const { return std::chrono::duration_cast<Duration>(ended_ - started_); }

 private:
  Pool& pool_;
  Async& async_;
  AsyncMethod<Async, Request, Response> method_;
  const Request& request_;
  Response& response_;
  grpc::ClientContext context_;
  absl::Status status_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point ended_ = started_;
};

inline constexpr int kCallTries = 8;
inline constexpr std::chrono::milliseconds kFirstCallPause{100};  // doubles with each try

// With a device's patience: a coordinator that is away, busy or late is asked again. Every call may
// be repeated.
template <typename Async, typename Request, typename Response>
Co<absl::StatusOr<Response>> Call(Caller caller, std::string name, Async& async,
                                  AsyncMethod<Async, Request, Response> method, Request request,
                                  std::chrono::microseconds limit = limits::kDefaultRpcDeadline) {
  for (int tried = 1;; ++tried) {
    Response response;
    Attempt<Async, Request, Response> attempt(caller.pool, async, method, request, response, limit);
    const absl::Status status = co_await attempt;
    if (status.ok()) {
      caller.figures.calls(name).Add(attempt.took());
      if (caller.count_resumed && attempt.resumed()) caller.figures.Count("resumed");
      co_return std::move(response);
    }
    caller.figures.Count(name + " " + absl::StatusCodeToString(status.code()));
    const bool again = absl::IsUnavailable(status) || absl::IsResourceExhausted(status) ||
                       absl::IsDeadlineExceeded(status);
    if (!again || tried == kCallTries) co_return status;
    co_await caller.pool.Sleep(kFirstCallPause * (1 << (tried - 1)));
  }
}

}  // namespace muster::load
