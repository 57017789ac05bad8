// A device as the coordinator sees one, without training: it enrols, takes invocations, sends
// updates of zeros, and reports what it is told to. Real identity, real mTLS, real protocol.
#pragma once

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "client/identity/channel.h"
#include "client/identity/device_identity.h"
#include "muster/v1/blob.grpc.pb.h"
#include "muster/v1/device.grpc.pb.h"
#include "proto/codec/blob_codec.h"
#include "proto/core/digest.h"

namespace muster::cli {

class PlayedDevice {
 public:
  PlayedDevice(const std::string& coordinator, const std::string& token, const std::string& pin,
               const std::filesystem::path& state_dir) {
    auto identity = EnrolDevice({.state_dir = state_dir,
                                 .coordinator = coordinator,
                                 .token = token,
                                 .ca_pin = pin,
                                 .requested_name = "played"});
    EXPECT_TRUE(identity.ok()) << identity.status();
    if (!identity.ok()) return;
    auto channel = ConnectCoordinator(coordinator, *identity);
    EXPECT_TRUE(channel.ok()) << channel.status();
    if (!channel.ok()) return;
    devices_ = v1::DeviceService::NewStub(*channel);
    blobs_ = v1::BlobService::NewStub(*channel);
  }

  // Takes part in one round with an update of `parameters` zeros.
  void TakePart(size_t parameters) {
    const v1::CheckInResponse work =
        CheckInUntil([](const v1::CheckInResponse& r) { return r.invocations_size() > 0; });
    ASSERT_EQ(work.invocations_size(), 1);
    const std::string update(parameters * sizeof(float), '\0');
    const Digest digest = Sha256(update);
    {
      grpc::ClientContext context;
      v1::UploadResponse response;
      auto stream = blobs_->Upload(&context, &response);
      stream->Write(EncodeUploadStart({digest, update.size(), {0, update}}));
      stream->WritesDone();
      const grpc::Status status = stream->Finish();
      ASSERT_TRUE(status.ok()) << status.error_message();
    }
    grpc::ClientContext context;
    v1::SubmitUpdateRequest request;
    request.set_invocation(work.invocations(0).id());
    request.set_update(std::string(digest.bytes()));
    request.set_examples(7);
    (*request.mutable_metrics())["train_loss"] = 0.5;
    request.mutable_metering()->set_wall_us(2'000'000);
    v1::SubmitUpdateResponse response;
    const grpc::Status status = devices_->SubmitUpdate(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(response.verdict(), v1::VERDICT_ACCEPTED) << response.reason();
  }

  // Waits until it is told to serve `version` of `name`, and reports that it does, or why it fails.
  void Answer(const std::string& name, uint32_t version, const std::string& failure) {
    const v1::CheckInResponse told = CheckInUntil([&](const v1::CheckInResponse& r) {
      return r.has_desired() && r.desired().models_size() == 1 &&
             r.desired().models(0).version() == version;
    });
    grpc::ClientContext context;
    v1::ReportStateRequest report;
    report.set_generation(told.desired().generation());
    report.set_report_id("report-" + std::to_string(told.desired().generation()));
    v1::ModelStatus& model = *report.add_models();
    model.set_name(name);
    model.set_version(version);
    model.set_phase(failure.empty() ? v1::MODEL_PHASE_LIVE : v1::MODEL_PHASE_FAILED);
    model.set_reason(failure);
    model.set_serving_version(failure.empty() ? version : 0);
    v1::ReportStateResponse response;
    const grpc::Status status = devices_->ReportState(&context, report, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

 private:
  static constexpr std::chrono::seconds kPatience{30};

  template <typename Wanted>
  v1::CheckInResponse CheckInUntil(Wanted wanted) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    v1::CheckInResponse response;
    do {
      grpc::ClientContext context;
      v1::CheckInRequest request;
      request.set_agent_version("played");
      v1::Eligibility& able = *request.mutable_eligibility();
      able.set_idle(true);
      able.set_charging(true);
      able.set_unmetered(true);
      able.set_custom(true);
      able.set_has_data(true);
      able.set_train_examples(7);
      response.Clear();
      const grpc::Status status = devices_->CheckIn(&context, request, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
      if (!status.ok() || wanted(response)) return response;
      std::this_thread::yield();
    } while (std::chrono::steady_clock::now() < end);
    ADD_FAILURE() << "the coordinator did not ask for what was expected in time";
    return response;
  }

  std::unique_ptr<v1::DeviceService::Stub> devices_;
  std::unique_ptr<v1::BlobService::Stub> blobs_;
};

}  // namespace muster::cli
