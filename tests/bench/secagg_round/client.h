// A client of a secure round, or of one in the clear, that talks to the coordinator in serialized
// messages, with a P-256 key and a certificate of the coordinator's authority. Its state and its
// masked vector live in files in memory, as on a device of its own: they are no memory of this
// process.
#pragma once

#include <functional>
#include <future>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "aggregation/secagg/client/client.h"
#include "coordinator/drive/device_notary.h"
#include "proto/core/files.h"
#include "proto/x509/ec_key.h"
#include "tests/bench/secagg_round/coordinator.h"

namespace muster {

// A device's key with its certificate.
class BenchSigner final : public secagg::Signer {
 public:
  BenchSigner(DeviceId id, const CertificateAuthority& authority, Timestamp now);
  const DeviceId& id() const override { return id_; }
  const std::string& certificate() const override { return certificate_; }
  absl::StatusOr<std::string> Sign(std::string_view statement) const override {
    return key_.Sign(statement);
  }

 private:
  const DeviceId id_;
  const EcPrivateKey key_;
  std::string certificate_;  // DER
};

// A file without a name, in the machine's memory.
class MemoryFile {
 public:
  MemoryFile();
  uint64_t size() const { return size_; }
  void Clear();
  void Append(std::string_view bytes);
  void ReadAt(uint64_t offset, std::span<char> out) const;

 private:
  UniqueFd fd_;
  uint64_t size_ = 0;
};

// Values of an update of client number `seed`, from element `offset` on: the same in every run, and
// cheaper to make than anything that is measured.
void FillUpdate(uint64_t seed, uint64_t offset, std::span<float> out);

class BenchClient {
 public:
  BenchClient(BenchCoordinator& coordinator, uint64_t number);

  void CheckIn();  // takes the invocation of the round that is open
  using Answer = std::future<OfferAnswer>;
  // Uploads the update in the clear and offers it.
  Answer Submit(uint64_t parameters);

  void Advertise();
  void Share();
  void Mask();            // makes the masked vector
  Answer SubmitMasked();  // uploads it and reports it
  // False if the coordinator had shares enough already.
  bool Unmask();

 private:
  template <typename Offer, typename Request>
  OfferAnswer Tell(const Offer& offer, Request (*encode)(const Offer&),
                   absl::StatusOr<Offer> (*decode)(const Request&),
                   absl::StatusOr<OfferAnswer> (SecureExchange::*act)(const DeviceId&,
                                                                      const Offer&));
  template <typename Wanted>
  std::optional<Wanted> Await(secagg::AwaitedPhase phase);
  // `read` fills a part of the upload.
  void Upload(const Digest& digest, uint64_t size,
              const std::function<void(uint64_t offset, std::span<char> out)>& read);
  void Keep(const secagg::ClientState& state);
  secagg::ClientState State() const;

  BenchCoordinator& coordinator_;
  const uint64_t number_;
  const BenchSigner signer_;
  const DeviceNotary notary_;
  SystemRandom random_;
  Invocation invocation_;
  secagg::Params params_;
  MemoryFile state_, masked_;
};

}  // namespace muster
