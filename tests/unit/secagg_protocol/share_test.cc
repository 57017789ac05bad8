#include <algorithm>

#include "aggregation/secagg/roster.h"
#include "tests/support/secagg_session.h"
#include "tests/unit/secagg_protocol/expect.h"

namespace muster::secagg {
namespace {

// A coordinator that builds whatever roster it likes shows it to client 0.
class SharePhase : public testing::Test {
 protected:
  explicit SharePhase(SecAggOptions options = {.clients = 6}) : session_(options) {
    EXPECT_TRUE(session_.Advertise().ok());
    view_ = session_.roster().ViewFor(0);
  }

  absl::StatusOr<Shared> ClientSays() {
    SecAggClient& client = session_.clients[0];
    SeededRandom random(7);
    return secagg::Share(session_.params, std::get<Advertised>(client.state), view_,
                         session_.notary, client.signer, random);
  }
  // What client 0 sees if the coordinator puts `adverts` into the tree.
  void Rebuild(const std::vector<Advert>& adverts) {
    std::vector<Digest> leaves;
    for (const Advert& advert : adverts) leaves.push_back(LeafOf(advert));
    const MerkleTree tree(leaves);
    view_.root = tree.root();
    view_.own = {.index = 0, .advert = adverts[0], .proof = tree.Proof(0)};
    view_.others.clear();
    for (uint32_t i = 1; i < adverts.size(); ++i) {
      view_.others.push_back({.index = i, .advert = adverts[i], .proof = tree.Proof(i)});
    }
  }
  std::vector<Advert> Adverts() const {
    std::vector<Advert> adverts;
    for (uint32_t i = 0; i < session_.roster().size(); ++i) {
      adverts.push_back(session_.roster().advert(i));
    }
    return adverts;
  }
  Advert SignedBy(uint32_t signer, Advert advert) {
    advert.signature = TestSigner::SignatureOf(
        session_.clients[signer].id(),
        AdvertStatement(PreSessionId(session_.params), session_.params, advert));
    return advert;
  }

  SecAggSession session_;
  RosterView view_;
};

TEST_F(SharePhase, AGoodRosterGetsOneBoxForEachNeighbour) {
  const auto shared = ClientSays();
  ASSERT_TRUE(shared.ok()) << shared.status();
  EXPECT_EQ(shared->sid, session_.roster().sid());
  EXPECT_EQ(shared->bundle.ciphertexts.size(), 5u);
  EXPECT_TRUE(CheckBundle(session_.roster(), 0, shared->bundle, session_.notary).ok());
}

TEST_F(SharePhase, RebuildingTheHonestRosterChangesNothing) {
  Rebuild(Adverts());
  EXPECT_EQ(view_, session_.roster().ViewFor(0));
}

TEST_F(SharePhase, ClientRefusesARosterBelowTheMinimumOrAboveTheMaximum) {
  session_.params.min_clients = 7;
  ExpectRefusal(ClientSays(), kPrecondition, "the roster has 6 clients; the session wants 7 to 6");
  session_.params.min_clients = 4;
  session_.params.max_clients = 5;
  ExpectRefusal(ClientSays(), kPrecondition, "the roster has 6 clients; the session wants 4 to 5");
}

TEST_F(SharePhase, ClientRefusesTooLowAThreshold) {
  view_.threshold = 3;
  ExpectRefusal(ClientSays(), kPrecondition, "not safe");
  view_.threshold = 0;
  ExpectRefusal(ClientSays(), kInvalid, "a threshold of 0");
  view_.threshold = 6;
  ExpectRefusal(ClientSays(), kInvalid, "a threshold of 6");
}

TEST_F(SharePhase, ClientRefusesTooFewNeighbours) {
  view_.neighbours = 4;
  view_.threshold = 4;
  view_.others.pop_back();
  ExpectRefusal(ClientSays(), kPrecondition, "everyone must be a neighbour");
  view_.neighbours = 3;
  ExpectRefusal(ClientSays(), kInvalid, "no graph");
}

TEST_F(SharePhase, ClientRefusesNeighboursThatAreOutOfShape) {
  view_.others.pop_back();
  ExpectRefusal(ClientSays(), kInvalid, "shows 4 neighbours, where 5 are due");
  view_ = session_.roster().ViewFor(0);
  std::swap(view_.others[0], view_.others[1]);
  ExpectRefusal(ClientSays(), kInvalid, "ascending order");
  view_ = session_.roster().ViewFor(0);
  view_.others[0] = view_.own;
  ExpectRefusal(ClientSays(), kInvalid, "no neighbour of client 0");
  view_ = session_.roster().ViewFor(0);
  view_.others[4].index = 6;
  ExpectRefusal(ClientSays(), kInvalid, "no neighbour of client 0");
  view_ = session_.roster().ViewFor(0);
  view_.own.index = 6;
  ExpectRefusal(ClientSays(), kInvalid, "not within a roster of 6");
}

TEST_F(SharePhase, ClientRefusesARosterWithoutItsOwnAdvert) {
  view_.own.advert.nonce = Sha256("another");
  ExpectRefusal(ClientSays(), kInvalid, "is not the advert that it sent");
}

TEST_F(SharePhase, ClientRefusesAWrongOwnLeaf) {
  view_.own.proof[0] = Sha256("elsewhere");
  ExpectRefusal(ClientSays(), kInvalid, "own advert is not in the roster");
}

TEST_F(SharePhase, ClientRefusesAWrongNeighbourLeaf) {
  view_.others[2].advert.nonce = Sha256("another");
  ExpectRefusal(ClientSays(), kInvalid, "the advert of client 'c00003' (index 3) is not in");
  view_ = session_.roster().ViewFor(0);
  view_.others[2].proof.clear();
  ExpectRefusal(ClientSays(), kInvalid, "the advert of client 'c00003' (index 3) is not in");
}

TEST_F(SharePhase, ClientRefusesOneClientUnderTwoIndices) {
  auto adverts = Adverts();
  adverts[4] = adverts[3];
  Rebuild(adverts);
  ExpectRefusal(ClientSays(), kInvalid, "each client comes once");
}

TEST_F(SharePhase, ClientRefusesARosterOutOfOrder) {
  auto adverts = Adverts();
  std::swap(adverts[3], adverts[4]);
  Rebuild(adverts);
  ExpectRefusal(ClientSays(), kInvalid, "out of the order of client ids");
}

TEST_F(SharePhase, ClientRefusesDuplicatedKeys) {
  auto adverts = Adverts();
  adverts[2].mask_key = adverts[3].mask_key;
  adverts[2] = SignedBy(2, adverts[2]);
  Rebuild(adverts);
  ExpectRefusal(ClientSays(), kInvalid, "a key that comes elsewhere");
  adverts = Adverts();
  adverts[2].sharing_key = adverts[0].mask_key;  // across uses, and of its own
  adverts[2] = SignedBy(2, adverts[2]);
  Rebuild(adverts);
  ExpectRefusal(ClientSays(), kInvalid, "client 'c00002' (index 2) advertises a key");
}

TEST_F(SharePhase, ClientRefusesKeysOfSmallOrder) {
  for (const bool mask : {true, false}) {
    auto adverts = Adverts();
    (mask ? adverts[2].mask_key : adverts[2].sharing_key) = {1};
    adverts[2] = SignedBy(2, adverts[2]);
    Rebuild(adverts);
    ExpectRefusal(ClientSays(), kInvalid, "the keys of client 'c00002'");
  }
}

TEST_F(SharePhase, ClientRefusesASubstitutedKey) {
  auto adverts = Adverts();
  adverts[2].sharing_key = PublicKeyOf(SharingSecretKey::Fresh(session_.clients[1].random));
  Rebuild(adverts);
  ExpectRefusal(ClientSays(), kUnauthenticated, "the advert of client 'c00002'");
  adverts[2] = SignedBy(1, adverts[2]);  // by a client that colludes
  Rebuild(adverts);
  ExpectRefusal(ClientSays(), kUnauthenticated, "the advert of client 'c00002'");
  adverts[2].certificate = session_.clients[1].signer.certificate();
  Rebuild(adverts);
  ExpectRefusal(ClientSays(), kUnauthenticated, "another device's");
}

TEST_F(SharePhase, ClientRefusesParametersOtherThanThoseItAdvertisedUnder) {
  session_.params.clip /= 2;
  ExpectRefusal(ClientSays(), kUnauthenticated, "the advert of client 'c00000'");
}

TEST_F(SharePhase, CoordinatorRefusesBundlesOutOfShape) {
  const ShareBundle good = ClientSays()->bundle;
  const auto says = [&](const ShareBundle& bundle, uint32_t index = 0) {
    return CheckBundle(session_.roster(), index, bundle, session_.notary);
  };
  ShareBundle bundle = good;
  bundle.ciphertexts.pop_back();
  ExpectRefusal(says(bundle), kInvalid, "shares for 4 neighbours, but has 5");
  bundle = good;
  bundle.ciphertexts[3].pop_back();
  ExpectRefusal(says(bundle), kInvalid, "a ciphertext of 79 bytes; each has 80");
  bundle = good;
  bundle.commitment = Sha256("another");
  ExpectRefusal(says(bundle), kUnauthenticated, "the signature of client 'c00000'");
  ExpectRefusal(says(good, 1), kUnauthenticated, "the signature of client 'c00001'");
  ExpectRefusal(says(good, 6), kInvalid, "there is no client 6 in a roster of 6");
}

TEST_F(SharePhase, CoordinatorGivesUpBelowTheMinimum) {
  ClientSet shared = MakeSet(6);
  for (const uint32_t i : {0u, 2u, 5u}) Insert(shared, i);
  ExpectRefusal(FreezeSharers(session_.roster(), shared), kPrecondition,
                "3 of 6 clients shared their secrets and 0 of them have 4 neighbours");
  ExpectRefusal(FreezeSharers(session_.roster(), "too long a set"), kInvalid, "sharers");
}

// k = 42, t = 32.
class SparseSharePhase : public SharePhase {
 protected:
  SparseSharePhase() : SharePhase({.clients = 100, .corrupt = 0.33}) {}
};

TEST_F(SparseSharePhase, WhoIsLeftWithTooFewNeighboursIsLeftOutBeforeAnybodyMasksWithIt) {
  const Roster& roster = session_.roster();
  const Graph& graph = roster.graph();
  const uint32_t lonely = 17;
  // Its neighbours from the nearest on the ring to the farthest: the nearer, the more neighbours
  // they have in common.
  std::vector<std::pair<int, uint32_t>> near;
  for (const uint32_t i : graph.NeighboursOf(lonely)) {
    int common = 0;
    for (const uint32_t j : graph.NeighboursOf(i)) common += graph.AreNeighbours(lonely, j);
    near.emplace_back(-common, i);
  }
  std::sort(near.begin(), near.end());
  // Three on each side of it and the five farthest stay away: 11 of its 42, but fewer of anybody
  // else's.
  ClientSet gone = MakeSet(100), shared = MakeSet(100);
  for (size_t i = 0; i < 6; ++i) Insert(gone, near[i].second);
  for (size_t i = near.size() - 5; i < near.size(); ++i) Insert(gone, near[i].second);
  for (uint32_t i = 0; i < 100; ++i) {
    if (!Contains(gone, i)) Insert(shared, i);
  }
  const auto sharers = FreezeSharers(roster, shared);
  ASSERT_TRUE(sharers.ok()) << sharers.status();
  EXPECT_FALSE(Contains(*sharers, lonely));
  EXPECT_EQ(Count(*sharers), 88u);
}

TEST_F(SparseSharePhase, ClientRefusesNeighboursThatAreNotTheGraphs) {
  const Roster& roster = session_.roster();
  ASSERT_LT(roster.neighbours(), 99u);
  uint32_t stranger = 1;
  while (roster.graph().AreNeighbours(0, stranger)) ++stranger;
  const RosterEntry entry = roster.ViewFor(stranger).own;
  for (RosterEntry& other : view_.others) {
    const uint32_t next = other.index;
    if (next < stranger) continue;
    other = entry;
    break;
  }
  std::sort(view_.others.begin(), view_.others.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  ExpectRefusal(ClientSays(), kInvalid, "where the graph gives client");
}

}  // namespace
}  // namespace muster::secagg
