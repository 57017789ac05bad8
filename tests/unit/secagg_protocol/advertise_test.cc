#include <limits>

#include "tests/support/secagg_session.h"
#include "tests/unit/secagg_protocol/expect.h"

namespace muster::secagg {
namespace {

class AdvertisePhase : public testing::Test {
 protected:
  absl::Status ClientSays(const Params& params, const Digest& trained = Sha256("model")) {
    return secagg::Advertise(params, trained, client().signer, client().random).status();
  }
  absl::Status CoordinatorSays(const Advert& advert) {
    return CheckAdvert(session_.params, client().id(), advert, session_.notary);
  }
  Advert Signed(Advert advert) {  // by its own client, over the changed content
    advert.signature =
        client()
            .signer.Sign(AdvertStatement(PreSessionId(session_.params), session_.params, advert))
            .value();
    return advert;
  }
  Advert Good() {
    return secagg::Advertise(session_.params, session_.params.model, client().signer,
                             client().random)
        .value()
        .advert;
  }
  SecAggClient& client() { return session_.clients[0]; }

  SecAggSession session_{SecAggOptions{}};
};

TEST_F(AdvertisePhase, AGoodAdvertIsAccepted) {
  EXPECT_TRUE(CoordinatorSays(Good()).ok()) << CoordinatorSays(Good());
}

TEST_F(AdvertisePhase, KeysAndNonceAreFreshEachTime) {
  const Advert one = Good(), two = Good();
  EXPECT_NE(one.mask_key, two.mask_key);
  EXPECT_NE(one.sharing_key, two.sharing_key);
  EXPECT_NE(one.nonce, two.nonce);
  EXPECT_NE(one.mask_key, one.sharing_key);
}

TEST_F(AdvertisePhase, ClientRefusesAModelThatItDidNotTrainFrom) {
  ExpectRefusal(ClientSays(session_.params, Sha256("other")), kInvalid, "trained from");
  Params params = session_.params;
  params.model = Digest();
  ExpectRefusal(ClientSays(params, Digest()), kInvalid, "trained from");
}

TEST_F(AdvertisePhase, ClientRefusesARingThatCouldOverflow) {
  Params params = session_.params;
  params.scale *= 1.01;
  ExpectRefusal(ClientSays(params), kInvalid, "overflow");
  params = session_.params;
  params.max_clients *= 2;  // the same scale, but twice the clients
  ExpectRefusal(ClientSays(params), kInvalid, "overflow");
}

TEST_F(AdvertisePhase, ClientRefusesASumOfTooFew) {
  Params params = session_.params;
  params.min_clients = 3;
  ExpectRefusal(ClientSays(params), kInvalid, "a sum of 3 clients; at least 4");
  params.min_clients = params.max_clients + 1;
  ExpectRefusal(ClientSays(params), kInvalid, "a session of 6 to 5 clients");
}

TEST_F(AdvertisePhase, ClientRefusesFractionsOutOfRange) {
  for (const double bad : {-0.01, 0.5, 1.0, std::numeric_limits<double>::quiet_NaN()}) {
    Params params = session_.params;
    params.drop = bad;
    ExpectRefusal(ClientSays(params), kInvalid, "drop out");
    params = session_.params;
    params.corrupt = bad;
    ExpectRefusal(ClientSays(params), kInvalid, "collude");
  }
}

TEST_F(AdvertisePhase, ClientRefusesASessionWithoutNonce) {
  Params params = session_.params;
  params.nonce = Digest();
  ExpectRefusal(ClientSays(params), kInvalid, "no nonce");
}

TEST_F(AdvertisePhase, CoordinatorRefusesAnAdvertForAnotherClient) {
  Advert advert = Good();
  advert.client = session_.clients[1].id();
  ExpectRefusal(CoordinatorSays(advert), kUnauthenticated,
                "client 'c00000' sent the advert of client 'c00001'");
}

TEST_F(AdvertisePhase, CoordinatorRefusesKeysThatKeepNoSecret) {
  Advert advert = Good();
  advert.mask_key = {};
  ExpectRefusal(CoordinatorSays(Signed(advert)), kInvalid, "small order");
  advert = Good();
  advert.sharing_key = {1};  // of order 4
  ExpectRefusal(CoordinatorSays(Signed(advert)), kInvalid, "small order");
}

TEST_F(AdvertisePhase, CoordinatorRefusesOneKeyForTwoUses) {
  Advert advert = Good();
  advert.sharing_key = advert.mask_key;
  ExpectRefusal(CoordinatorSays(Signed(advert)), kInvalid, "must differ");
}

TEST_F(AdvertisePhase, CoordinatorRefusesWhatIsNotSigned) {
  Advert advert = Good();
  FlipBit(advert.signature);
  ExpectRefusal(CoordinatorSays(advert), kUnauthenticated, "the advert of client 'c00000'");
  advert = Good();
  advert.mask_key = Good().mask_key;
  ExpectRefusal(CoordinatorSays(advert), kUnauthenticated, "does not verify");
  advert = Good();
  advert.nonce = Sha256("another");
  ExpectRefusal(CoordinatorSays(advert), kUnauthenticated, "does not verify");
  advert = Good();
  advert.certificate = TestSigner::CertificateOf(session_.clients[1].id());
  ExpectRefusal(CoordinatorSays(advert), kUnauthenticated, "another device's");
}

class FrozenRoster : public testing::Test {
 protected:
  FrozenRoster() { EXPECT_TRUE(session_.Advertise().ok()); }
  SecAggSession session_{SecAggOptions{.clients = 7}};
};

TEST_F(FrozenRoster, IsTheSameForAnyOrderOfArrival) {
  std::vector<Advert> adverts = session_.adverts;
  const Digest sid = session_.roster().sid();
  SeededRandom random(1);
  for (int i = 0; i < 10; ++i) {
    std::swap(adverts[random.Below(7)], adverts[random.Below(7)]);
    EXPECT_EQ(FreezeRoster(session_.params, adverts)->sid(), sid);
  }
}

TEST_F(FrozenRoster, KnowsItsClientsByIndex) {
  const Roster& roster = session_.roster();
  for (uint32_t i = 0; i < roster.size(); ++i) {
    EXPECT_EQ(roster.advert(i).client, SecAggSession::IdOf(i));
    EXPECT_EQ(roster.IndexOf(SecAggSession::IdOf(i)), i);
  }
  EXPECT_EQ(roster.IndexOf(SecAggSession::IdOf(7)), std::nullopt);
  EXPECT_EQ(roster.IndexOf(DeviceId::Trusted("a")), std::nullopt);
  EXPECT_EQ(roster.neighbours(), 6u);  // below 30 clients everyone is a neighbour
  EXPECT_EQ(roster.threshold(), 5u);
}

TEST_F(FrozenRoster, RefusesTooFewAndTooMany) {
  std::vector<Advert> adverts = session_.adverts;
  adverts.resize(3);
  ExpectRefusal(FreezeRoster(session_.params, adverts), kPrecondition,
                "3 clients advertised, but the session needs at least 4");
  Params params = session_.params;
  params.max_clients = 6;
  ExpectRefusal(FreezeRoster(params, session_.adverts), kPrecondition,
                "7 clients advertised, but the session takes at most 6");
}

TEST_F(FrozenRoster, RefusesWhereNoThresholdIsSafe) {
  Params params = session_.params;
  params.drop = 0.45;
  ExpectRefusal(FreezeRoster(params, session_.adverts), kPrecondition, "not safe with 7 clients");
}

TEST_F(FrozenRoster, RefusesAClientOrAKeyThatComesTwice) {
  std::vector<Advert> adverts = session_.adverts;
  adverts[0] = adverts[1];
  ExpectRefusal(FreezeRoster(session_.params, adverts), kInvalid, "is in the roster twice");
  adverts = session_.adverts;
  adverts[0].sharing_key = adverts[1].mask_key;
  ExpectRefusal(FreezeRoster(session_.params, adverts), kInvalid, "advertise the same key");
}

}  // namespace
}  // namespace muster::secagg
