// Mistakes that implementations of secure aggregation have made. Each test plays the mistake
// against the protocol.
#include <cstring>

#include "tests/support/secagg_session.h"
#include "tests/unit/secagg_protocol/expect.h"

namespace muster::secagg {
namespace {

ClientSet Without(ClientSet set, uint32_t index) {
  set[index / 8] = static_cast<char>(set[index / 8] & ~(1 << (index % 8)));
  return set;
}

// Pearson's statistic of the bytes against the uniform distribution; 255 degrees of freedom.
double ChiSquare(const std::vector<uint8_t>& bytes) {
  std::array<double, 256> counts{};
  for (const uint8_t byte : bytes) ++counts[byte];
  const double expected = static_cast<double>(bytes.size()) / 256;
  double sum = 0;
  for (const double count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

// y1 - y2 of 32-bit elements.
std::vector<uint8_t> Difference(const std::vector<uint8_t>& one, const std::vector<uint8_t>& two) {
  std::vector<uint8_t> out(one.size());
  for (size_t i = 0; i + 4 <= one.size(); i += 4) {
    uint32_t a, b;
    std::memcpy(&a, &one[i], 4);
    std::memcpy(&b, &two[i], 4);
    a -= b;
    std::memcpy(&out[i], &a, 4);
  }
  return out;
}

constexpr double kUniform = 380;  // exceeded once in 10^6 uniform samples

TEST(Mistakes, MasksAreNotReusedAcrossRoundsEvenWithTheSameKeys) {
  const SecAggOptions options{.clients = 4, .dimension = 100'000};
  SecAggSession one(options), two(options);
  two.params.nonce = Sha256("the next round");  // and nothing else: keys and vectors are the same
  for (SecAggSession* session : {&one, &two}) {
    ASSERT_TRUE(session->Advertise().ok() && session->Share().ok() && session->Mask().ok());
  }
  EXPECT_EQ(one.roster().advert(0).mask_key, two.roster().advert(0).mask_key);
  EXPECT_EQ(one.clients[0].clear, two.clients[0].clear);
  for (uint32_t i = 0; i < 4; ++i) {
    EXPECT_LT(ChiSquare(one.clients[i].masked), kUniform);
    EXPECT_LT(ChiSquare(Difference(one.clients[i].masked, two.clients[i].masked)), kUniform);
  }
}

TEST(Mistakes, ARetryAfterALossOfMemorySendsTheSameBytes) {
  SecAggSession session({.clients = 5});
  ASSERT_TRUE(session.Advertise().ok() && session.Share().ok() && session.Mask().ok());
  SecAggClient& client = session.clients[1];
  const MaskedReport before = std::get<Masked>(client.state).report;
  SecAggSession::Restart(client);
  EXPECT_EQ(std::get<Masked>(client.state).report, before);
  EXPECT_EQ(before.vector, Sha256(SecAggSession::Text(client.masked)));
}

TEST(Mistakes, AMaskedClientHasNoKeysToMaskAgainWith) {
  SecAggSession session({.clients = 5});
  ASSERT_TRUE(session.Advertise().ok() && session.Share().ok());
  const auto& shared = std::get<Shared>(session.clients[1].state);
  const auto contains = [](const std::string& bytes, std::span<const uint8_t, 32> secret) {
    const std::string_view key(reinterpret_cast<const char*>(secret.data()), secret.size());
    return bytes.find(key) != std::string::npos;
  };
  const MaskSecretKey key = shared.mask_key.Clone();
  const SelfSeed seed = shared.seed.Clone();
  EXPECT_TRUE(contains(EncodeState(session.clients[1].state), key.span()));
  ASSERT_TRUE(session.Mask().ok());
  EXPECT_FALSE(contains(EncodeState(session.clients[1].state), key.span()));
  EXPECT_FALSE(contains(EncodeState(session.clients[1].state), seed.span()));
}

class BothShares : public testing::Test {
 protected:
  BothShares() {
    EXPECT_TRUE(session_.Advertise().ok() && session_.Share().ok() && session_.Mask().ok());
  }
  absl::StatusOr<Answered> Ask(const ClientSet& survivors) {
    return Unmask(session_.params, session_.clients[0].state, {.survivors = survivors},
                  session_.notary);
  }
  SecAggSession session_{SecAggOptions{.clients = 10}};  // k = 9, t = 7
};

TEST_F(BothShares, OneAnswerNeverHoldsBothSharesOfOneClient) {
  const UnmaskReply reply = Ask(Without(session_.survivors, 4))->reply;
  EXPECT_EQ(reply.self_shares.size(), 8u);
  ASSERT_EQ(reply.key_shares.size(), 1u);
  EXPECT_EQ(reply.key_shares[0].index, 4u);
  for (const RevealedShare& share : reply.self_shares) EXPECT_NE(share.index, 4u);
}

TEST_F(BothShares, OverlappingSetsAreRefusedByTheCoordinatorToo) {
  UnmaskReply reply = Ask(session_.survivors)->reply;
  reply.key_shares.push_back(reply.self_shares[3]);
  ExpectRefusal(CheckReply(session_.roster(), session_.sharers, session_.survivors, 0, reply),
                kInvalid, "which it was not asked for");
}

TEST_F(BothShares, ASecondRequestWithSwappedSetsIsRefused) {
  const ClientSet first = Without(session_.survivors, 4), second = Without(session_.survivors, 5);
  auto answered = Ask(first);
  ASSERT_TRUE(answered.ok()) << answered.status();
  EXPECT_TRUE(CheckRepeated(*answered, {.survivors = first}).ok());
  ExpectRefusal(CheckRepeated(*answered, {.survivors = second}), kPrecondition,
                "answered for another set of survivors");
  ExpectRefusal(CheckRepeated(*answered, {.survivors = session_.survivors}), kPrecondition,
                "answered for another set");
  session_.clients[0].state = *std::move(answered);
  ExpectRefusal(Ask(second), kPrecondition, "in state 'answered'");
}

TEST_F(BothShares, ACrashBetweenTwoRequestsDoesNotHelp) {
  const ClientSet first = Without(session_.survivors, 4), second = Without(session_.survivors, 5);
  SecAggClient& client = session_.clients[0];
  client.state = *Ask(first);
  const UnmaskReply before = std::get<Answered>(client.state).reply;
  SecAggSession::Restart(client);
  const auto& answered = std::get<Answered>(client.state);
  EXPECT_EQ(answered.reply, before);
  ExpectRefusal(CheckRepeated(answered, {.survivors = second}), kPrecondition, "another set");
  ExpectRefusal(Ask(second), kPrecondition, "in state 'answered'");
}

TEST_F(BothShares, OtherSurvivorsAfterARestartOfTheCoordinatorAreRefused) {
  session_.Answer();
  ASSERT_TRUE(session_.refusals.empty());
  session_.RestartCoordinator();
  const UnmaskRequest other = RequestFor(session_.roster(), 3, Without(session_.survivors, 0), {});
  for (const SecAggClient& client : session_.clients) {
    ExpectRefusal(CheckRepeated(std::get<Answered>(client.state), other), kPrecondition,
                  "another set");
  }
}

class Ciphertexts : public testing::Test {
 protected:
  Ciphertexts() { EXPECT_TRUE(session_.Advertise().ok() && session_.Share().ok()); }
  absl::Status Receives(uint32_t receiver, const SharesView& view) {
    return PrepareMasks(session_.params, std::get<Shared>(session_.clients[receiver].state), view,
                        session_.notary)
        .status();
  }
  SecAggSession session_{SecAggOptions{.clients = 5}};
};

TEST_F(Ciphertexts, AReflectedOneIsRefused) {
  // Client 1 gets back what it sent to client 0.
  SharesView view = session_.SharesOf(1);
  ASSERT_EQ(view.shares[0].index, 0u);
  view.shares[0].ciphertext = session_.bundles[1].ciphertexts[0];
  ExpectRefusal(Receives(1, view), kUnauthenticated, "the shares of client 'c00000'");
}

TEST_F(Ciphertexts, AMisroutedOneIsRefused) {
  // Client 1 gets what client 0 sent to client 2.
  SharesView view = session_.SharesOf(1);
  view.shares[0].ciphertext = session_.bundles[0].ciphertexts[1];
  ExpectRefusal(Receives(1, view), kUnauthenticated, "the shares of client 'c00000'");
}

TEST_F(Ciphertexts, OneUnderAnotherSendersNameIsRefused) {
  SharesView view = session_.SharesOf(1);
  ASSERT_EQ(view.shares[1].index, 2u);
  std::swap(view.shares[0].ciphertext, view.shares[1].ciphertext);
  ExpectRefusal(Receives(1, view), kUnauthenticated, "the shares of client 'c00000'");
}

TEST_F(Ciphertexts, AnyFlippedBitOfAShareIsDetected) {
  for (size_t bit = 0; bit < 8 * kBoxBytes; ++bit) {
    SharesView view = session_.SharesOf(1);
    FlipBit(view.shares[2].ciphertext, bit);
    ExpectRefusal(Receives(1, view), kUnauthenticated, "the shares of client 'c00003'");
  }
}

TEST(Mistakes, AnyFlippedBitOfARevealedShareIsDetected) {
  SecAggSession session({.clients = 5});
  ASSERT_TRUE(session.Advertise().ok() && session.Share().ok());
  ASSERT_TRUE(session.Mask([](uint32_t i) { return i != 2; }).ok());
  session.Answer();
  const auto good = session.replies;
  for (size_t bit = 0; bit < 256; bit += 5) {
    // Exactly t = 3 holders of each seed answered: nothing is left to try.
    session.replies = good;
    FlipBit(session.replies[0].self_shares[0].share, bit);
    ExpectRefusal(session.Finish(), absl::StatusCode::kDataLoss,
                  "the self-mask seed of client 'c00001'");
  }
  session.replies = good;
  ASSERT_TRUE(session.Finish().ok());
  EXPECT_EQ(session.sum(), session.Expected());
}

TEST(Mistakes, AClientThatDropsOutBeforeAdvertisingHarmsNobody) {
  for (uint32_t gone = 0; gone < 6; ++gone) {
    SecAggSession session({.clients = 6});
    std::vector<LastStep> last(6, LastStep::kUnmask);
    last[gone] = LastStep::kNothing;
    ASSERT_TRUE(session.Run(last).ok());
    EXPECT_TRUE(session.refusals.empty());
    EXPECT_EQ(session.sum().clients(), 5u);
    EXPECT_EQ(session.sum(), session.Expected());
  }
}

TEST(Mistakes, TooFewNeighboursAreRefusedByTheClient) {
  SecAggSession session({.clients = 100});
  ASSERT_TRUE(session.Advertise().ok());
  EXPECT_EQ(session.roster().neighbours(), 22u);
  EXPECT_EQ(session.roster().threshold(), 11u);
  for (const uint32_t k : {4u, 12u, 20u}) {
    RosterView view = session.roster().ViewFor(0);
    view.neighbours = k;
    view.threshold = k / 2;
    view.others.resize(k);
    ExpectRefusal(Share(session.params, std::get<Advertised>(session.clients[0].state), view,
                        session.notary, session.clients[0].signer, session.clients[0].random),
                  kPrecondition, "not safe");
  }
}

TEST(Mistakes, ClientsWithDifferentModelsShareNoSession) {
  SecAggSession session({.clients = 5});
  Params other = session.params;
  other.model = Sha256("a model made for client 4 alone");
  EXPECT_NE(PreSessionId(other), PreSessionId(session.params));
  // The coordinator accepts each under the model that it told, and puts both into one roster.
  std::vector<Advert> adverts;
  for (SecAggClient& client : session.clients) {
    const Params& told = client.id() == SecAggSession::IdOf(4) ? other : session.params;
    Advertised state = Advertise(told, told.model, client.signer, client.random).value();
    adverts.push_back(state.advert);
    client.state = std::move(state);
  }
  const Roster roster = FreezeRoster(session.params, adverts).value();
  const auto says = [&](uint32_t index, const Params& told) {
    SecAggClient& client = session.clients[index];
    return Share(told, std::get<Advertised>(client.state), roster.ViewFor(index), session.notary,
                 client.signer, client.random);
  };
  for (uint32_t i = 0; i < 4; ++i) {
    ExpectRefusal(says(i, session.params), kUnauthenticated, "the advert of client 'c00004'");
  }
  ExpectRefusal(says(4, other), kUnauthenticated, "the advert of client 'c00000'");
}

TEST(Mistakes, NothingOfAnOldRoundIsAcceptedInANewOne) {
  SecAggSession old({.clients = 5, .mode = Mode::kMalicious});
  SecAggSession now({.clients = 5, .mode = Mode::kMalicious});
  now.params.attempt = 2;
  now.params.nonce = Sha256("fresh");
  ASSERT_TRUE(old.Run().ok() && now.Run().ok());
  const DeviceId id = SecAggSession::IdOf(2);
  ExpectRefusal(CheckAdvert(now.params, id, old.roster().advert(2), now.notary), kUnauthenticated,
                "does not verify");
  ExpectRefusal(CheckBundle(now.roster(), 2, old.bundles[2], now.notary), kUnauthenticated,
                "does not verify");
  ExpectRefusal(CheckMasked(now.roster(), now.sharers, 2, old.reports[2], now.notary), kInvalid,
                "other neighbours");
  MaskedReport report = old.reports[2];
  report.neighbours = now.reports[2].neighbours;
  ExpectRefusal(CheckMasked(now.roster(), now.sharers, 2, report, now.notary), kUnauthenticated,
                "does not verify");
  ExpectRefusal(CheckConsent(now.roster(), 2, now.survivors, old.consents[2], now.notary),
                kUnauthenticated, "does not verify");
}

TEST(Mistakes, ANewAttemptNeedsNewKeys) {
  SecAggSession old({.clients = 5});
  ASSERT_TRUE(old.Advertise().ok());
  Params next = old.params;
  next.attempt = 2;
  next.nonce = Sha256("fresh");
  ExpectRefusal(Share(next, std::get<Advertised>(old.clients[0].state), old.roster().ViewFor(0),
                      old.notary, old.clients[0].signer, old.clients[0].random),
                kUnauthenticated, "the advert of client 'c00000'");
}

}  // namespace
}  // namespace muster::secagg
