#include "coordinator/drive/ca_census.h"

#include <gmock/gmock.h>

#include "tests/support/small_coordinator.h"

namespace muster {
namespace {

using std::chrono::hours;
using testing::ElementsAre;

class CaCensusTest : public SmallCoordinator {
 protected:
  void Put(const std::string& name, uint64_t trusts, uint32_t certificate_ca,
           Duration left = hours(1), bool revoked = false) {
    ASSERT_TRUE(store_
                    ->Write([&](StoreTx& tx) {
                      return tx.PutDevice({.id = DeviceId::Trusted(name),
                                           .revoked = revoked,
                                           .certificate_expires = clock_.Now() + left,
                                           .certificate_ca = certificate_ca,
                                           .trust_generation = trusts});
                    })
                    .ok());
  }
  CaCensus Take(const CaState& state) {
    CaCensus census;
    EXPECT_TRUE(store_
                    ->Read([&](const StoreReader& reader) -> absl::Status {
                      census = TakeCaCensus(reader, state, clock_.Now()).value();
                      return absl::OkStatus();
                    })
                    .ok());
    return census;
  }
  DeviceRecord Device(const DeviceId& id) {
    DeviceRecord device;
    EXPECT_TRUE(store_
                    ->Read([&](const StoreReader& reader) -> absl::Status {
                      device = reader.FindDevice(id).value();
                      return absl::OkStatus();
                    })
                    .ok());
    return device;
  }
};

TEST_F(CaCensusTest, TheSwitchWaitsForTrustAndTheRetirementForUse) {
  Put("behind", 1, 1);
  Put("knows", 2, 1);
  Put("uses", 2, 2);
  Put("expired", 1, 1, Duration(0));
  Put("revoked", 1, 1, hours(1), true);
  const CaCensus settled = Take({.generation = 1, .issuer = 1, .trusted = {1}});
  EXPECT_EQ(settled.devices, 3u);
  EXPECT_EQ(settled.expired, 1u);
  EXPECT_EQ(settled.waiting, 0u);
  const CaCensus announced = Take({.generation = 2, .issuer = 1, .trusted = {1, 2}});
  EXPECT_EQ(announced.trusting, 2u);
  EXPECT_EQ(announced.waiting, 1u);
  EXPECT_THAT(announced.named, ElementsAre(DeviceId::Trusted("behind")));
  const CaCensus switched = Take({.generation = 2, .issuer = 2, .trusted = {1, 2}});
  EXPECT_EQ(switched.using_issuer, 1u);
  EXPECT_EQ(switched.waiting, 2u);
  EXPECT_THAT(switched.named, ElementsAre(DeviceId::Trusted("behind"), DeviceId::Trusted("knows")));
}

TEST_F(CaCensusTest, CountsMoreDevicesThanAPageHas) {
  for (size_t i = 0; i <= limits::kMaxPageSize; ++i) Put("d" + std::to_string(i), 1, 1);
  const CaCensus census = Take({.generation = 2, .issuer = 1, .trusted = {1, 2}});
  EXPECT_EQ(census.devices, limits::kMaxPageSize + 1);
  EXPECT_EQ(census.waiting, limits::kMaxPageSize + 1);
  EXPECT_EQ(census.named.size(), kMaxNamedDevices);
}

TEST_F(CaCensusTest, ACheckInTellsWhatIsTrustedAndNotesWhatTheDeviceSays) {
  const DeviceId device = AddDevice("d");
  context_->trust = {.generation = 2, .ca_pem = "pem"};
  const auto check_in = [&](uint64_t trusts) {
    CheckIn message = Ready();
    message.trust_generation = trusts;
    return dispatcher_->CheckIn(device, message).value();
  };
  EXPECT_EQ(check_in(1).trust, context_->trust);
  EXPECT_EQ(Device(device).trust_generation, 1u);
  EXPECT_EQ(check_in(2).trust, std::nullopt);
  EXPECT_EQ(Device(device).trust_generation, 2u);
  EXPECT_EQ(check_in(3).trust, std::nullopt) << "another replica is a step ahead";
  EXPECT_EQ(check_in(0).trust, std::nullopt) << "an agent from before there was more than one";
  EXPECT_EQ(Device(device).trust_generation, 0u);
}

}  // namespace
}  // namespace muster
