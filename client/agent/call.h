// One gRPC call with a deadline, which ends when the work is told to stop.
#pragma once

#include <grpcpp/client_context.h>

#include <stop_token>

#include "client/agent/bounds.h"

namespace muster {

class Call {
 public:
  Call(const Bounds& bounds, Bounds::Clock::duration limit)
      : cancel_(bounds.stop, Cancel{&context_}) {
    context_.set_deadline(bounds.CallDeadline(limit));
  }
  grpc::ClientContext* context() { return &context_; }

 private:
  struct Cancel {
    grpc::ClientContext* context;
    void operator()() const { context->TryCancel(); }
  };
  grpc::ClientContext context_;
  std::stop_callback<Cancel> cancel_;
};

}  // namespace muster
