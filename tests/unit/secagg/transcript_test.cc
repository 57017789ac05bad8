#include "aggregation/secagg/transcript.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <set>
#include <vector>

#include "tests/unit/secagg/bytes.h"

namespace muster::secagg {
namespace {

Params SomeParams() {
  Params params;
  params.job = JobId::Trusted("heart");
  params.round = 3;
  params.attempt = 2;
  params.model = Sha256("model");
  params.dimension = 1'000'003;
  params.metrics = {"loss", "accuracy"};
  params.clip_lane = true;
  params.weighted = true;
  params.examples_cap = 600;
  params.ring_bits = 32;
  params.clip = 2.5;
  params.scale = 1024.75;
  params.min_clients = 40;
  params.max_clients = 120;
  params.drop = 0.1;
  params.corrupt = 0.05;
  params.mode = Mode::kMalicious;
  params.cipher = MaskCipher::kChaCha20;
  params.noise = ClientNoise{.variance_per_client = 12.5, .rotation_seed = Sha256("signs")};
  params.nonce = Sha256("nonce");
  return params;
}

using Change = std::function<void(Params&)>;

// One for each field, and those that could be confused with others.
std::vector<Change> Changes() {
  return {
      [](Params& p) { p.job = JobId::Trusted("heart2"); },
      [](Params& p) { ++p.round; },
      [](Params& p) { ++p.attempt; },
      [](Params& p) { std::swap(p.round, p.attempt); },
      [](Params& p) { p.model = Sha256("model2"); },
      [](Params& p) { ++p.dimension; },
      [](Params& p) {
        p.metrics = {"accuracy", "loss"};
      },
      [](Params& p) { p.metrics = {"loss"}; },
      [](Params& p) { p.metrics = {"lossaccuracy"}; },
      [](Params& p) {
        p.metrics = {"los", "saccuracy"};
      },
      [](Params& p) { p.metrics = {}; },
      [](Params& p) { p.clip_lane = false; },
      [](Params& p) { p.weighted = false; },
      [](Params& p) { ++p.examples_cap; },
      [](Params& p) { p.ring_bits = 64; },
      [](Params& p) { p.clip = 2.5000000000000004; },
      [](Params& p) { p.scale = 1024.7500000000002; },
      [](Params& p) { ++p.min_clients; },
      [](Params& p) { ++p.max_clients; },
      [](Params& p) { p.drop = 0.2; },
      [](Params& p) { p.corrupt = 0.1; },
      [](Params& p) { std::swap(p.drop, p.corrupt); },
      [](Params& p) { p.mode = Mode::kSemiHonest; },
      [](Params& p) { p.cipher = MaskCipher::kAes128Ctr; },
      [](Params& p) { p.cipher = MaskCipher::kAes256Ctr; },
      [](Params& p) { p.noise.reset(); },
      [](Params& p) { p.noise->variance_per_client = 12.25; },
      [](Params& p) { p.noise->rotation_seed = Sha256("signs2"); },
      [](Params& p) { p.nonce = Sha256("nonce2"); },
  };
}

TEST(Transcript, PrefixesEachFieldWithItsLength) {
  const std::string bytes =
      Transcript("ab").Add("").AddNumber(0x0102030405060708).AddReal(1.0).bytes();
  EXPECT_EQ(HexEncode(bytes),
            "02000000"
            "6162"
            "00000000"
            "08000000"
            "0807060504030201"
            "08000000"
            "000000000000f03f");
}

TEST(Transcript, MovingABorderBetweenFieldsChangesTheHash) {
  EXPECT_NE(Transcript("l").Add("ab").Add("c").Hash(), Transcript("l").Add("a").Add("bc").Hash());
  EXPECT_NE(Transcript("l").Add("abc").Hash(), Transcript("l").Add("abc").Add("").Hash());
  EXPECT_NE(Transcript("lab").Add("c").Hash(), Transcript("l").Add("abc").Hash());
}

TEST(Params, EveryFieldChangesTheEncodingAndBothSessionIds) {
  const Params params = SomeParams();
  const Digest root = Sha256("root");
  std::set<std::string> encodings = {EncodeParams(params)};
  std::set<Digest> ids = {PreSessionId(params), SessionId(params, 100, 26, 16, root)};
  size_t distinct = 1;
  for (const Change& change : Changes()) {
    Params other = params;
    change(other);
    ++distinct;
    encodings.insert(EncodeParams(other));
    ids.insert(PreSessionId(other));
    ids.insert(SessionId(other, 100, 26, 16, root));
    EXPECT_EQ(encodings.size(), distinct) << "change " << distinct - 2;
    EXPECT_EQ(ids.size(), 2 * distinct) << "change " << distinct - 2;
  }
}

TEST(SessionId, BindsRosterSizeNeighboursThresholdAndRoot) {
  const Params params = SomeParams();
  const Digest root = Sha256("root");
  const std::set<Digest> ids = {SessionId(params, 100, 26, 16, root),
                                SessionId(params, 101, 26, 16, root),
                                SessionId(params, 100, 28, 16, root),
                                SessionId(params, 100, 26, 17, root),
                                SessionId(params, 100, 16, 26, root),
                                SessionId(params, 26, 100, 16, root),
                                SessionId(params, 100, 26, 16, Sha256("other")),
                                PreSessionId(params)};
  EXPECT_EQ(ids.size(), 8u);
}

// The bytes are a contract between versions: a change of any label, order or width shows here. The
// figures were computed apart from this code, from the layout alone.
TEST(SessionId, KeepsItsBytes) {
  const Params params = SomeParams();
  EXPECT_EQ(PreSessionId(params).hex(),
            "566770fa9d10235d913d2f177b7111f0296ebb9a6d7cc449cec00113e2290ad4");
  EXPECT_EQ(SessionId(params, 100, 26, 16, Sha256("root")).hex(),
            "33c81d94403004c6fcaeacb9aa31f6046f4776ee471f672f85911a66ec207a18");
}

Advert SomeAdvert() {
  Advert advert;
  advert.client = DeviceId::Trusted("board-1");
  advert.mask_key.fill(1);
  advert.sharing_key.fill(2);
  advert.nonce = Sha256("advert nonce");
  advert.certificate = "certificate";
  return advert;
}

TEST(AdvertStatement, EveryFieldChangesIt) {
  const Params params = SomeParams();
  const Digest id = PreSessionId(params);
  Params other_model = params;
  other_model.model = Sha256("model2");
  std::set<std::string> statements = {AdvertStatement(id, params, SomeAdvert()),
                                      AdvertStatement(Sha256("id"), params, SomeAdvert()),
                                      AdvertStatement(id, other_model, SomeAdvert())};
  const std::vector<std::function<void(Advert&)>> changes = {
      [](Advert& a) { a.client = DeviceId::Trusted("board-2"); },
      [](Advert& a) { a.mask_key[31] ^= 1; },
      [](Advert& a) { a.sharing_key[0] ^= 1; },
      [](Advert& a) { std::swap(a.mask_key, a.sharing_key); },
      [](Advert& a) { a.nonce = Sha256("another"); },
      [](Advert& a) { a.certificate += "x"; },
  };
  for (const auto& change : changes) {
    Advert advert = SomeAdvert();
    change(advert);
    statements.insert(AdvertStatement(id, params, advert));
  }
  EXPECT_EQ(statements.size(), 3 + changes.size());
  // The signature is over the statement and no part of it.
  Advert signed_advert = SomeAdvert();
  signed_advert.signature = "signature";
  EXPECT_EQ(AdvertStatement(id, params, signed_advert), AdvertStatement(id, params, SomeAdvert()));
}

TEST(Statements, NoTwoAreTheSame) {
  const Digest sid = Sha256("sid"), other = Sha256("other");
  const MaskedReport report{.vector = sid, .neighbours = other, .signature = ""};
  const MaskedReport swapped{.vector = other, .neighbours = sid, .signature = ""};
  const std::set<std::string> statements = {
      ShareStatement(sid, 1, other),   ShareStatement(other, 1, other),
      ShareStatement(sid, 2, other),   ShareStatement(sid, 1, sid),
      MaskedStatement(sid, 1, report), MaskedStatement(other, 1, report),
      MaskedStatement(sid, 2, report), MaskedStatement(sid, 1, swapped),
      ConsentStatement(sid, other),    ConsentStatement(other, sid),
  };
  EXPECT_EQ(statements.size(), 10u);
}

TEST(Commitment, BindsSessionClientAndSeed) {
  const Digest sid = Sha256("sid");
  const SelfSeed seed(Repeated(7));
  std::set<Digest> commitments = {Commitment(sid, 4, seed), Commitment(sid, 5, seed),
                                  Commitment(Sha256("sid2"), 4, seed)};
  for (size_t bit = 0; bit < 256; ++bit) {
    SelfSeed flipped = seed.Clone();
    flipped.writable()[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    commitments.insert(Commitment(sid, 4, flipped));
  }
  EXPECT_EQ(commitments.size(), 3u + 256u);
}

TEST(Commitment, IsTheHashOfATranscript) {
  const Digest sid = Sha256("sid");
  const SecretBytes<32> bytes = Repeated(7);
  const std::string_view view(reinterpret_cast<const char*>(bytes.span().data()), 32);
  EXPECT_EQ(Commitment(sid, 4, SelfSeed(bytes.span())),
            Transcript("muster/secagg/1/commitment").Add(sid).AddNumber(4).Add(view).Hash());
}

TEST(ClientSet, HoldsWhatWasInserted) {
  for (const uint32_t size : {1u, 7u, 8u, 9u, 64u, 100u}) {
    ClientSet set = MakeSet(size);
    EXPECT_EQ(Count(set), 0u);
    std::set<uint32_t> model;
    for (uint32_t index = 0; index < size; index += 3) {
      Insert(set, index);
      Insert(set, index);
      model.insert(index);
    }
    EXPECT_TRUE(CheckSet(set, size).ok());
    EXPECT_EQ(Count(set), model.size());
    for (uint32_t index = 0; index < size + 20; ++index) {
      EXPECT_EQ(Contains(set, index), model.contains(index)) << index;
    }
  }
}

TEST(ClientSet, BitIOfByteIOverEight) {
  ClientSet set = MakeSet(12);
  Insert(set, 0);
  Insert(set, 9);
  EXPECT_EQ(HexEncode(set), "0102");
}

TEST(ClientSet, OtherLengthsAndBitsBeyondTheRosterAreRefused) {
  EXPECT_TRUE(CheckSet("", 0).ok());
  EXPECT_EQ(CheckSet(std::string(1, '\0'), 0).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckSet("", 1).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckSet(MakeSet(17), 16).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckSet(MakeSet(15), 17).code(), absl::StatusCode::kInvalidArgument);
  for (uint32_t size = 1; size < 24; ++size) {
    for (uint32_t index = 0; index < 8 * MakeSet(size).size(); ++index) {
      ClientSet set = MakeSet(size);
      Insert(set, index);
      EXPECT_EQ(CheckSet(set, size).ok(), index < size) << index << " of " << size;
    }
  }
}

TEST(SetDigest, BindsSessionPurposeAndMembers) {
  const Digest sid = Sha256("sid");
  ClientSet one = MakeSet(9), other = MakeSet(9);
  Insert(one, 8);
  Insert(other, 7);
  const std::set<Digest> digests = {
      SetDigest(sid, "u1", one),        SetDigest(sid, "u2", one),
      SetDigest(sid, "u1", other),      SetDigest(Sha256("x"), "u1", one),
      SetDigest(sid, "u1", MakeSet(9)), SetDigest(sid, "u1", MakeSet(17))};
  EXPECT_EQ(digests.size(), 6u);
}

}  // namespace
}  // namespace muster::secagg
