// One device in one round. For round.cc and secure.cc.
#pragma once

#include <memory>
#include <string>

#include "aggregation/secagg/client/client.h"
#include "client/agent/transfer.h"
#include "tests/bench/loadgen/round.h"
#include "tests/bench/loadgen/vectors.h"

namespace muster::load {

class Participant {
 public:
  Participant(const RoundParts& parts, VirtualDevice& device, uint32_t number);

  // How it ended. FailedPrecondition: the coordinator wants no more of this device.
  Co<absl::StatusOr<std::string>> Run();

 private:
  using SecAggAsync = v1::SecureAggregationService::StubInterface::async_interface;

  Co<absl::Status> TakeInvitation();
  absl::Status Fetch();
  absl::Status FetchBlob(BlobTransfer& blobs, const Digest& digest, std::string* keep) const;
  absl::Status Upload(const Digest& digest, const SpoolFile& file) const;
  SpoolFile Spool() const;
  Co<void> PauseIfSlow();

  Co<absl::StatusOr<std::string>> Clear();
  absl::StatusOr<Digest> MakeAndUpload() const;

  Co<absl::StatusOr<std::string>> Secure();
  Co<absl::StatusOr<std::string>> Unmask(const secagg::Params& params, secagg::Masked masked);
  Co<absl::StatusOr<secagg::Masked>> Mask(const secagg::Params& params, const secagg::Shared& state,
                                          const secagg::SharesView& view);
  absl::StatusOr<secagg::Masked> MaskAndUpload(const secagg::Params& params,
                                               secagg::Masking masking);
  // Says something and reads the answer.
  template <typename Request>
  Co<absl::Status> Tell(std::string name,
                        AsyncMethod<SecAggAsync, Request, v1::SecAggAnswer> method,
                        Request request);
  template <typename Wanted>
  Co<absl::StatusOr<Wanted>> Await(secagg::AwaitedPhase phase);

  // Vanishes, or says that it goes.
  Co<absl::StatusOr<std::string>> Leave(secagg::Phase phase);

  const RoundParts parts_;
  VirtualDevice& device_;
  const uint32_t number_;
  const bool slow_, leaves_, leaves_late_;
  Invocation invocation_;
  uint64_t dimension_ = 0;                          // of the update
  std::shared_ptr<const SecAggIdentity> identity_;  // in a secure round
  SystemRandom random_;
};

}  // namespace muster::load
