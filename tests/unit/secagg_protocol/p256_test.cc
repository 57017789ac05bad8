// The protocol with what it meets in a fleet: ECDSA on P-256, and device certificates that an
// authority issued.
#include <memory>

#include "proto/x509/certificate.h"
#include "proto/x509/spiffe.h"
#include "tests/support/secagg_session.h"
#include "tests/unit/secagg_protocol/expect.h"

namespace muster::secagg {
namespace {

using std::chrono_literals::operator""h;

constexpr Timestamp kNow{1'700'000'000'000'000};

CertificateSpec Spec(bool is_ca) {
  CertificateSpec spec;
  spec.unit = is_ca ? "CA" : "device";
  spec.is_ca = is_ca;
  spec.serial = std::string("\x41\x02\x03", 3);
  spec.not_before = kNow - 1h;
  spec.not_after = kNow + 1h;
  return spec;
}

struct Authority {
  EcPrivateKey key = *EcPrivateKey::Generate();
  Certificate certificate = *MakeSelfSigned(Spec(true), key);
};

class DeviceSigner final : public Signer {
 public:
  DeviceSigner(DeviceId id, const Authority& authority)
      : id_(std::move(id)), key_(*EcPrivateKey::Generate()) {
    CertificateSpec spec = Spec(false);
    spec.uri_names = {SpiffeId{kDefaultTrustDomain, kDefaultTenant, "device", id_.value()}.ToUri()};
    certificate_ =
        MakeCertificate(spec, key_.PublicKey(), authority.certificate, authority.key)->ToDer();
  }
  const DeviceId& id() const override { return id_; }
  const std::string& certificate() const override { return certificate_; }
  absl::StatusOr<std::string> Sign(std::string_view statement) const override {
    return key_.Sign(statement);
  }

 private:
  DeviceId id_;
  EcPrivateKey key_;
  std::string certificate_;
};

class AuthorityNotary final : public Notary {
 public:
  AuthorityNotary(Certificate authority, Timestamp now)
      : authority_(std::move(authority)), now_(now) {}
  absl::Status Verify(const DeviceId& client, std::string_view certificate,
                      std::string_view statement, std::string_view signature) const override {
    const auto leaf = Certificate::FromDer(certificate);
    if (!leaf.ok()) return absl::UnauthenticatedError(leaf.status().message());
    MUSTER_RETURN_IF_ERROR(leaf->VerifyIssuedBy(authority_, CertificateUse::kClient, now_));
    const std::string expected =
        SpiffeId{kDefaultTrustDomain, kDefaultTenant, "device", client.value()}.ToUri();
    if (leaf->UriNames() != std::vector<std::string>{expected}) {
      return absl::UnauthenticatedError("the certificate is another device's");
    }
    MUSTER_ASSIGN_OR_RETURN(const EcPublicKey key, leaf->PublicKey());
    return key.Verify(statement, signature);
  }

 private:
  Certificate authority_;
  Timestamp now_;
};

class RealSignatures : public testing::Test {
 protected:
  static constexpr uint32_t kClients = 5;

  RealSignatures() {
    for (uint32_t i = 0; i < kClients; ++i) {
      signers_.push_back(std::make_unique<DeviceSigner>(SecAggSession::IdOf(i), authority_));
    }
  }
  // Adverts into states_; the roster.
  Roster Begin() {
    std::vector<Advert> adverts;
    for (const auto& signer : signers_) {
      Advertised state = Advertise(params_, params_.model, *signer, random_).value();
      EXPECT_TRUE(CheckAdvert(params_, signer->id(), state.advert, notary_).ok());
      adverts.push_back(state.advert);
      states_.push_back(std::move(state));
    }
    return FreezeRoster(params_, adverts).value();
  }

  Authority authority_;
  AuthorityNotary notary_{authority_.certificate, kNow};
  std::vector<std::unique_ptr<DeviceSigner>> signers_;
  Params params_ = SecAggSession::MakeParams({.clients = kClients, .mode = Mode::kMalicious});
  SystemRandom random_;
  std::vector<ClientState> states_;
};

TEST_F(RealSignatures, CarryASessionInMaliciousMode) {
  const Roster roster = Begin();
  std::map<uint32_t, ShareBundle> bundles;
  ClientSet all = MakeSet(kClients);
  for (uint32_t i = 0; i < kClients; ++i) {
    auto next = Share(params_, std::get<Advertised>(states_[i]), roster.ViewFor(i), notary_,
                      *signers_[i], random_);
    ASSERT_TRUE(next.ok()) << next.status();
    ASSERT_TRUE(CheckBundle(roster, i, next->bundle, notary_).ok());
    bundles[i] = next->bundle;
    states_[i] = *std::move(next);
    Insert(all, i);
  }
  RingSum sum(params_.ring_bits, VectorLength(params_)), expected = sum;
  for (uint32_t i = 0; i < kClients; ++i) {
    const SharesView view =
        SharesFor(roster, i, all, [&](uint32_t j) -> const ShareBundle& { return bundles.at(j); });
    Masking masking = PrepareMasks(params_, std::get<Shared>(states_[i]), view, notary_).value();
    std::vector<uint8_t> vector(VectorBytes(params_));
    random_.Fill(vector);
    expected.AddChunk(0, vector);
    expected.FinishClient();
    MaskSet(params_.cipher, params_.ring_bits, std::move(masking.masks)).Apply(0, vector);
    Masked next =
        FinishMasked(std::move(masking), Sha256(SecAggSession::Text(vector)), *signers_[i]).value();
    ASSERT_TRUE(CheckMasked(roster, all, i, next.report, notary_).ok());
    sum.AddChunk(0, vector);
    sum.FinishClient();
    states_[i] = std::move(next);
  }
  std::map<uint32_t, Consent> consents;
  for (uint32_t i = 0; i < kClients; ++i) {
    Agreed next = Agree(params_, std::get<Masked>(states_[i]), all, *signers_[i]).value();
    ASSERT_TRUE(CheckConsent(roster, i, all, next.consent, notary_).ok());
    consents[i] = next.consent;
    states_[i] = std::move(next);
  }
  std::map<uint32_t, UnmaskReply> replies;
  std::map<uint32_t, Digest> commitments;
  for (uint32_t i = 0; i < kClients; ++i) {
    auto next = Unmask(params_, states_[i], RequestFor(roster, i, all, consents), notary_);
    ASSERT_TRUE(next.ok()) << next.status();
    replies[i] = next->reply;
    commitments[i] = bundles[i].commitment;
  }
  ASSERT_TRUE(UnmaskSum({.roster = roster,
                         .sharers = all,
                         .survivors = all,
                         .commitments = commitments,
                         .replies = replies},
                        sum, 1)
                  .ok());
  EXPECT_EQ(sum, expected);
}

TEST_F(RealSignatures, ACertificateOfAnotherAuthorityIsRefused) {
  const Authority stranger;
  signers_[2] = std::make_unique<DeviceSigner>(SecAggSession::IdOf(2), stranger);
  const Advertised state = Advertise(params_, params_.model, *signers_[2], random_).value();
  ExpectRefusal(CheckAdvert(params_, signers_[2]->id(), state.advert, notary_), kUnauthenticated,
                "the advert of client 'c00002'");
}

TEST_F(RealSignatures, AnExpiredCertificateIsRefused) {
  const Advertised state = Advertise(params_, params_.model, *signers_[0], random_).value();
  const AuthorityNotary later(authority_.certificate, kNow + 2h);
  ExpectRefusal(CheckAdvert(params_, signers_[0]->id(), state.advert, later), kUnauthenticated,
                "the advert of client 'c00000'");
}

TEST_F(RealSignatures, AKeySignedByAnotherDeviceIsRefusedByItsNeighbours) {
  const Roster honest = Begin();
  std::vector<Advert> adverts;
  for (uint32_t i = 0; i < kClients; ++i) adverts.push_back(honest.advert(i));
  // Client 4 colludes: it signs keys of its own in client 2's name.
  adverts[2].mask_key = PublicKeyOf(MaskSecretKey::Fresh(random_));
  adverts[2].signature =
      signers_[4]->Sign(AdvertStatement(PreSessionId(params_), params_, adverts[2])).value();
  const Roster roster = FreezeRoster(params_, adverts).value();
  ExpectRefusal(Share(params_, std::get<Advertised>(states_[0]), roster.ViewFor(0), notary_,
                      *signers_[0], random_),
                kUnauthenticated, "the advert of client 'c00002'");
}

}  // namespace
}  // namespace muster::secagg
