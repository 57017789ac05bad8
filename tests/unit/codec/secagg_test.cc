// Secure aggregation on the wire: decode(encode(x)) == x over many seeds, and what is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "proto/codec/secagg_codec.h"
#include "proto/core/limits.h"
#include "tests/unit/codec/refusals.h"
#include "tests/unit/codec/secagg_values.h"

namespace muster {
namespace {

using testing_codec::ExpectRefusals;
using testing_codec::SecAggValues;

constexpr uint64_t kSeeds = 300;

template <typename Make, typename Encode, typename Decode>
void ExpectRoundTrip(Make make, Encode encode, Decode decode) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    SecAggValues values(seed);
    const auto value = make(values);
    const auto again = decode(encode(value));
    ASSERT_TRUE(again.ok()) << again.status();
    ASSERT_TRUE(*again == value);
  }
}

TEST(SecAggRoundTrip, KeepsWhatDevicesSay) {
  using V = SecAggValues;
  ExpectRoundTrip([](V& v) { return v.AnyJoin(); }, EncodeJoin, DecodeJoin);
  ExpectRoundTrip([](V& v) { return v.AnyAdvertOffer(); }, EncodeAdvertOffer, DecodeAdvertOffer);
  ExpectRoundTrip([](V& v) { return v.AnyShareOffer(); }, EncodeShareOffer, DecodeShareOffer);
  ExpectRoundTrip([](V& v) { return v.AnyMaskedOffer(); }, EncodeMaskedOffer, DecodeMaskedOffer);
  ExpectRoundTrip([](V& v) { return v.AnyConsentOffer(); }, EncodeConsentOffer, DecodeConsentOffer);
  ExpectRoundTrip([](V& v) { return v.AnyUnmaskOffer(); }, EncodeUnmaskOffer, DecodeUnmaskOffer);
  ExpectRoundTrip([](V& v) { return v.AnyRefusal(); }, EncodeRefusal, DecodeRefusal);
  ExpectRoundTrip([](V& v) { return v.AnyAwait(); }, EncodeAwait, DecodeAwait);
}

TEST(SecAggRoundTrip, KeepsWhatTheCoordinatorAnswers) {
  using V = SecAggValues;
  ExpectRoundTrip([](V& v) { return v.AnyOfferAnswer(); }, EncodeSecAggAnswer, DecodeSecAggAnswer);
  ExpectRoundTrip([](V& v) { return v.AnyJoinAnswer(); }, EncodeJoinAnswer, DecodeJoinAnswer);
  ExpectRoundTrip([](V& v) { return v.AnyAwaited(); }, EncodeAwaited, DecodeAwaited);
  ExpectRoundTrip([](V& v) { return v.AnyParams(); }, EncodeSecAggParams, DecodeSecAggParams);
  ExpectRoundTrip([](V& v) { return v.AnyAdvert(); }, EncodeAdvert, DecodeAdvert);
}

TEST(DecodeSecAggParams, RefusesBadFields) {
  using P = v1::SecAggParams;
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  SecAggValues values(1);
  secagg::Params params = values.AnyParams();
  params.metrics = {"accuracy"};
  params.noise = secagg::ClientNoise{1, values.AnyDigest()};
  ExpectRefusals<P>(
      EncodeSecAggParams(params), DecodeSecAggParams,
      {
          {[](P& p) { p.set_round(0); }, "secagg.SecAggParams.round: 0 is below the minimum of 1"},
          {[](P& p) { p.set_attempt(11); },
           "secagg.SecAggParams.attempt: 11 is above the limit of 10"},
          {[](P& p) { p.clear_model(); },
           "secagg.SecAggParams.model: a SHA-256 digest has 32 bytes, not 0"},
          {[](P& p) { p.set_dimension(0); },
           "secagg.SecAggParams.dimension: 0 is below the minimum of 1 parameters"},
          {[](P& p) { p.add_metrics("accuracy"); },
           "secagg.SecAggParams.metrics[1]: 'accuracy' comes twice"},
          {[](P& p) {
             for (int i = 0; i < 16; ++i) p.add_metrics("m" + std::to_string(i));
           },
           "secagg.SecAggParams.metrics: 17 entries are above the limit of 16"},
          {[](P& p) { p.set_examples_cap(0); },
           "secagg.SecAggParams.examples_cap: 0 is below the minimum of 1 examples"},
          {[](P& p) { p.set_ring_bits(24); },
           "secagg.SecAggParams.ring_bits: 24 is none of 16, 32 and 64"},
          {[](P& p) {
             p.set_max_clients(10);
             p.set_min_clients(11);
           },
           "secagg.SecAggParams.min_clients: 11 is above the limit of 10 clients"},
          {[](P& p) { p.set_max_clients(400'001); },
           "secagg.SecAggParams.max_clients: 400001 is above the limit of 400000 clients"},
          {[](P& p) { p.clear_mode(); }, "secagg.SecAggParams.mode: is not set"},
          {[](P& p) { p.set_cipher(static_cast<v1::MaskCipher>(9)); },
           "secagg.SecAggParams.cipher: 9 is not a known value"},
          {[](P& p) { p.mutable_noise()->clear_rotation_seed(); },
           "secagg.SecAggParams.noise.rotation_seed: a SHA-256 digest has 32 bytes, not 0"},
          {[](P& p) { p.set_nonce(std::string(32, '\0')); },
           "secagg.SecAggParams.nonce: the all-zero digest names nothing"},
      });
  for (const double bad : {kNan, HUGE_VAL, -1.0}) {
    for (const auto set : {&P::set_clip, &P::set_scale, &P::set_drop, &P::set_corrupt,
                           static_cast<void (P::*)(double)>(nullptr)}) {
      P wire = EncodeSecAggParams(params);
      if (set == nullptr) {
        wire.mutable_noise()->set_variance_per_client(bad);
      } else {
        (wire.*set)(bad);
      }
      EXPECT_TRUE(absl::IsInvalidArgument(DecodeSecAggParams(wire).status())) << bad;
    }
  }
}

TEST(DecodeAdvertOffer, RefusesBadFields) {
  using A = v1::AdvertiseRequest;
  ExpectRefusals<A>(
      EncodeAdvertOffer(SecAggValues(1).AnyAdvertOffer()), DecodeAdvertOffer,
      {
          {[](A& a) { a.clear_advert(); }, "secagg.AdvertiseRequest.advert: is missing"},
          {[](A& a) { a.mutable_advert()->set_mask_key("short"); },
           "secagg.AdvertiseRequest.advert.mask_key: has 32 bytes, not 5"},
          {[](A& a) { a.mutable_advert()->set_sharing_key(std::string(33, 'k')); },
           "secagg.AdvertiseRequest.advert.sharing_key: has 32 bytes, not 33"},
          {[](A& a) { a.mutable_advert()->clear_certificate(); },
           "secagg.AdvertiseRequest.advert.certificate: 0 is below the minimum of 1 bytes"},
          {[](A& a) { a.mutable_advert()->set_certificate(std::string(2049, 'c')); },
           "secagg.AdvertiseRequest.advert.certificate: 2049 is above the limit of 2048 bytes"},
          {[](A& a) { a.mutable_advert()->clear_signature(); },
           "secagg.AdvertiseRequest.advert.signature: 0 is below the minimum of 1 bytes"},
          {[](A& a) { a.mutable_metering()->set_wall_us(UINT64_MAX); },
           "secagg.AdvertiseRequest.metering.wall_us: 18446744073709551615 is above the limit of "
           "31536000000000 us"},
      });
}

TEST(DecodeShareOffer, RefusesBadFields) {
  using S = v1::ShareRequest;
  ExpectRefusals<S>(
      EncodeShareOffer(SecAggValues(1).AnyShareOffer()), DecodeShareOffer,
      {
          {[](S& s) { s.clear_ciphertexts(); },
           "secagg.ShareRequest.ciphertexts: 0 is below the minimum of 1 entries"},
          {[](S& s) {
             for (int i = 0; i < 2049; ++i) s.add_ciphertexts(std::string(80, 'c'));
             s.mutable_ciphertexts()->DeleteSubrange(0, s.ciphertexts_size() - 2049);
           },
           "secagg.ShareRequest.ciphertexts: 2049 is above the limit of 2048 entries"},
          {[](S& s) { s.mutable_ciphertexts(0)->pop_back(); },
           "secagg.ShareRequest.ciphertexts[0]: has 80 bytes, not 79"},
          {[](S& s) { s.set_signature(std::string(73, 's')); },
           "secagg.ShareRequest.signature: 73 is above the limit of 72 bytes"},
      });
}

TEST(DecodeMaskedOffer, RefusesBadFields) {
  using M = v1::SubmitMaskedRequest;
  ExpectRefusals<M>(EncodeMaskedOffer(SecAggValues(1).AnyMaskedOffer()), DecodeMaskedOffer,
                    {
                        {[](M& m) { m.clear_vector(); },
                         "secagg.SubmitMaskedRequest.vector: a SHA-256 digest has 32 bytes, not 0"},
                        {[](M& m) { m.set_neighbours("x"); },
                         "secagg.SubmitMaskedRequest.neighbours: a SHA-256 digest has 32 bytes, "
                         "not 1"},
                        {[](M& m) { m.clear_signature(); },
                         "secagg.SubmitMaskedRequest.signature: 0 is below the minimum of 1 bytes"},
                    });
}

TEST(DecodeUnmaskOffer, RefusesTwoSharesOfOneClient) {
  using U = v1::UnmaskSharesRequest;
  secagg::UnmaskOffer offer;
  offer.invocation = InvocationId::Trusted("i");
  const std::string share(32, 's');
  offer.reply.self_shares = {{2, share}, {5, share}, {9, share}};
  offer.reply.key_shares = {{3, share}, {7, share}};
  ExpectRefusals<U>(
      EncodeUnmaskOffer(offer), DecodeUnmaskOffer,
      {
          {[](U& u) { u.mutable_key_shares(1)->set_index(9); },
           "secagg.UnmaskSharesRequest.key_shares[1].index: both secrets of client 9 would be "
           "opened"},
          {[](U& u) { u.mutable_self_shares(1)->set_index(2); },
           "secagg.UnmaskSharesRequest.self_shares[1].index: 2 does not come after 2"},
          {[](U& u) { u.mutable_self_shares(2)->set_index(400'000); },
           "secagg.UnmaskSharesRequest.self_shares[2].index: 400000 is above the limit of 399999"},
          {[](U& u) { u.mutable_key_shares(0)->set_share("s"); },
           "secagg.UnmaskSharesRequest.key_shares[0].share: has 32 bytes, not 1"},
          {[](U& u) {
             u.clear_self_shares();
             u.clear_key_shares();
           },
           "secagg.UnmaskSharesRequest.shares: 0 is below the minimum of 1 entries"},
      });
}

TEST(DecodeAwait, RefusesBadFields) {
  using A = v1::AwaitRequest;
  ExpectRefusals<A>(EncodeAwait(SecAggValues(1).AnyAwait()), DecodeAwait,
                    {
                        {[](A& a) { a.clear_phase(); }, "secagg.AwaitRequest.phase: is not set"},
                        {[](A& a) { a.set_wait_ms(25'001); },
                         "secagg.AwaitRequest.wait_ms: 25001 is above the limit of 25000 ms"},
                    });
  v1::AgreeRequest agree = EncodeConsentOffer(SecAggValues(1).AnyConsentOffer());
  agree.clear_signature();
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeConsentOffer(agree).status()));
  v1::RefuseRequest refuse = EncodeRefusal(SecAggValues(1).AnyRefusal());
  refuse.clear_phase();
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeRefusal(refuse).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeJoin({}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeJoinAnswer({}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeAwaited({}).status()));
}

secagg::RosterView SmallRoster() {
  SecAggValues values(1);
  secagg::RosterView view;
  view.size = 5;
  view.neighbours = 2;
  view.threshold = 2;
  view.root = values.AnyDigest();
  view.own = {3, values.AnyAdvert(), {values.AnyDigest()}};
  view.others = {{1, values.AnyAdvert(), {values.AnyDigest()}}, {4, values.AnyAdvert(), {}}};
  return view;
}

TEST(DecodeAwaited, RefusesRostersThatCannotBe) {
  using A = v1::AwaitResponse;
  const std::string at = "secagg.AwaitResponse.roster.";
  ExpectRefusals<A>(EncodeAwaited(SmallRoster()), DecodeAwaited,
                    {
                        {[](A& a) { a.mutable_roster()->set_size(1); },
                         at + "size: 1 is below the minimum of 2 clients"},
                        {[](A& a) { a.mutable_roster()->set_neighbours(5); },
                         at + "neighbours: 5 is above the limit of 4"},
                        {[](A& a) { a.mutable_roster()->set_threshold(3); },
                         at + "threshold: 3 is above the limit of 2"},
                        {[](A& a) { a.mutable_roster()->set_neighbours(3); },
                         at + "others: 2 entries are not the 3 neighbours"},
                        {[](A& a) { a.mutable_roster()->clear_own(); }, at + "own: is missing"},
                        {[](A& a) { a.mutable_roster()->mutable_own()->set_index(5); },
                         at + "own.index: 5 is above the limit of 4"},
                        {[](A& a) { a.mutable_roster()->mutable_own()->set_index(4); },
                         at + "others[1].index: 4 is the client's own"},
                        {[](A& a) { a.mutable_roster()->mutable_others(0)->set_index(4); },
                         at + "others[1].index: 4 does not come after 4"},
                        {[](A& a) {
                           for (int i = 0; i < 33; ++i) {
                             a.mutable_roster()->mutable_others(1)->add_proof(std::string(32, 'p'));
                           }
                         },
                         at + "others[1].proof: 33 entries are above the limit of 32"},
                    });
}

TEST(DecodeAwaited, RefusesBadSharesSetsAndOutcomes) {
  using A = v1::AwaitResponse;
  const std::string box(80, 'c');
  const Digest digest = Sha256("d");
  ExpectRefusals<A>(
      EncodeAwaited(secagg::SharesView{{{1, digest, "s", box}, {2, digest, "s", box}}}),
      DecodeAwaited,
      {
          {[](A& a) { a.mutable_shares()->mutable_shares(1)->set_index(0); },
           "secagg.AwaitResponse.shares.shares[1].index: 0 does not come after 1"},
          {[](A& a) { a.mutable_shares()->mutable_shares(0)->set_ciphertext("c"); },
           "secagg.AwaitResponse.shares.shares[0].ciphertext: has 80 bytes, not 1"},
      });
  ExpectRefusals<A>(
      EncodeAwaited(secagg::UnmaskRequest{"\x07", {{0, "s"}, {2, "s"}}}), DecodeAwaited,
      {
          {[](A& a) { a.mutable_unmask()->clear_survivors(); },
           "secagg.AwaitResponse.unmask.survivors: 0 is below the minimum of 1 bytes"},
          {[](A& a) { a.mutable_unmask()->set_survivors(std::string(50'001, 's')); },
           "secagg.AwaitResponse.unmask.survivors: 50001 is above the limit of 50000 bytes"},
          {[](A& a) { a.mutable_unmask()->mutable_consents(1)->set_index(0); },
           "secagg.AwaitResponse.unmask.consents[1].index: 0 does not come after 0"},
      });
  ExpectRefusals<A>(
      EncodeAwaited(secagg::Outcome{.reason = "too few shares"}), DecodeAwaited,
      {
          {[](A& a) { a.mutable_outcome()->set_reason(std::string(4097, 'r')); },
           "secagg.AwaitResponse.outcome.reason: 4097 bytes are above the limit of 4096"},
      });
}

TEST(DecodeAwaited, RefusesAnAnswerThatNoMessageMayHold) {
  secagg::RosterView view = SmallRoster();
  view.size = 2049;
  view.neighbours = 2048;
  const secagg::RosterEntry entry = view.others[0];
  view.others.clear();
  view.own.index = 0;
  for (uint32_t i = 1; i <= 2048; ++i) {
    view.others.push_back(entry);
    view.others.back().index = i;
    view.others.back().advert.certificate.assign(2048, 'c');
  }
  const absl::Status status = DecodeAwaited(EncodeAwaited(view)).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(status.message().find("is above the limit of 4194304 bytes"), std::string::npos)
      << status;
}

TEST(EncodeRefusal, AnHonestReasonIsNeverRefusedForItsProse) {
  secagg::Refusal refusal{InvocationId::Trusted("i"), secagg::Phase::kShare,
                          std::string(5000, 'x') + "\x1b\xff"};
  const auto decoded = DecodeRefusal(EncodeRefusal(refusal));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->reason, std::string(limits::kMaxTextLength, 'x'));
}

}  // namespace
}  // namespace muster
