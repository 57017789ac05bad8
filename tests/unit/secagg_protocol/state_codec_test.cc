#include "tests/support/secagg_session.h"
#include "tests/unit/secagg_protocol/expect.h"

namespace muster::secagg {
namespace {

// One client's state after each step of a session in malicious mode, and a refusal.
std::vector<std::string> EveryState() {
  SecAggSession session({.clients = 6, .mode = Mode::kMalicious});
  std::vector<std::string> states;
  const auto add = [&] { states.push_back(EncodeState(session.clients[2].state)); };
  EXPECT_TRUE(session.Advertise().ok());
  add();
  EXPECT_TRUE(session.Share().ok());
  add();
  EXPECT_TRUE(session.Mask([](uint32_t i) { return i != 4; }).ok());
  add();
  session.Consent();
  add();
  session.Answer();
  add();
  states.push_back(EncodeState(Refused{.reason = "the roster has 3 clients"}));
  return states;
}

class StoredState : public testing::Test {
 protected:
  const std::vector<std::string> states_ = EveryState();
};

TEST_F(StoredState, ComesBackExactly) {
  const char* names[] = {"advertised", "shared", "masked", "agreed", "answered", "refused"};
  ASSERT_EQ(states_.size(), 6u);
  for (size_t i = 0; i < states_.size(); ++i) {
    const auto state = ParseState(states_[i]);
    ASSERT_TRUE(state.ok()) << state.status();
    EXPECT_EQ(StateName(*state), names[i]);
    EXPECT_EQ(EncodeState(*state), states_[i]);
  }
}

TEST_F(StoredState, ComesBackWithItsSecrets) {
  SecAggSession session({.clients = 5});
  ASSERT_TRUE(session.Advertise().ok() && session.Share().ok());
  const auto parsed = ParseState(EncodeState(session.clients[0].state));
  const auto& before = std::get<Shared>(session.clients[0].state);
  const auto& after = std::get<Shared>(*parsed);
  EXPECT_TRUE(after.mask_key.ConstantTimeEquals(before.mask_key));
  EXPECT_TRUE(after.sharing_key.ConstantTimeEquals(before.sharing_key));
  EXPECT_TRUE(after.seed.ConstantTimeEquals(before.seed));
  EXPECT_EQ(after.roster, before.roster);
  EXPECT_EQ(after.sid, before.sid);
  EXPECT_EQ(after.bundle, before.bundle);
}

TEST_F(StoredState, IsRefusedWhereverItIsCut) {
  for (const std::string& bytes : states_) {
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_EQ(ParseState(std::string_view(bytes).substr(0, size)).status().code(), kInvalid);
    }
  }
}

TEST_F(StoredState, IsRefusedWithBytesBehindIt) {
  for (const std::string& bytes : states_) {
    ExpectRefusal(ParseState(bytes + '\0'), kInvalid, "1 bytes follow its end");
  }
}

TEST_F(StoredState, HasOneFormOnly) {
  // Whatever byte changes: refused, or another state.
  for (const std::string& bytes : states_) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      std::string changed = bytes;
      FlipBit(changed, 8 * i + i % 8);
      const auto state = ParseState(changed);
      if (state.ok()) {
        EXPECT_EQ(EncodeState(*state), changed);
      }
    }
  }
}

TEST_F(StoredState, SaysWhatIsWrong) {
  std::string bytes = states_[0];
  bytes[0] = 'X';
  ExpectRefusal(ParseState(bytes), kInvalid, "does not start with MSTRSAGG");
  bytes = states_[0];
  bytes[8] = 2;
  ExpectRefusal(ParseState(bytes), kInvalid, "version 2, where this program reads version 1");
  bytes = states_[0];
  bytes[12] = 6;
  ExpectRefusal(ParseState(bytes), kInvalid, "no state 6");
  ExpectRefusal(ParseState(""), kInvalid, "does not start with");
  bytes = states_[0];
  bytes[16 + 3 * 32 + 4] = '/';  // the first letter of the client's id
  ExpectRefusal(ParseState(bytes), kInvalid, "device id");
}

TEST_F(StoredState, AListCannotReserveMoreThanItsBytes) {
  std::string bytes = EncodeState(Answered{});
  bytes.resize(bytes.size() - 8);
  bytes += std::string("\xff\xff\xff\xff", 4);
  ExpectRefusal(ParseState(bytes), kInvalid, "it ends early");
}

TEST_F(StoredState, BothSharesOfOneClientAreNeverRead) {
  Answered state;
  state.reply.self_shares.push_back({.index = 3, .share = std::string(32, 'a')});
  state.reply.key_shares.push_back({.index = 3, .share = std::string(32, 'b')});
  ExpectRefusal(ParseState(EncodeState(std::move(state))), kInvalid, "both shares of one client");
}

TEST_F(StoredState, SharesOutOfShapeAreNeverRead) {
  Answered state;
  state.reply.self_shares = {{.index = 3, .share = std::string(31, 'a')}};
  ExpectRefusal(ParseState(EncodeState(std::move(state))), kInvalid, "another size than 32");
  Answered order;
  order.reply.self_shares = {{.index = 3, .share = std::string(32, 'a')},
                             {.index = 3, .share = std::string(32, 'a')}};
  ExpectRefusal(ParseState(EncodeState(std::move(order))), kInvalid, "shares out of order");
}

TEST_F(StoredState, ARosterOutOfShapeIsNeverRead) {
  SecAggSession session({.clients = 5});
  ASSERT_TRUE(session.Advertise().ok() && session.Share().ok() && session.Mask().ok());
  auto& state = std::get<Masked>(session.clients[0].state);
  const auto encoded = [&] { return ParseState(EncodeState(session.clients[0].state)); };
  state.held[0].index = 0;
  ExpectRefusal(encoded(), kInvalid, "a share of no neighbour");
  state.held[0].index = 2;
  ExpectRefusal(encoded(), kInvalid, "held shares out of order");
  state.held[0].index = 1;
  EXPECT_TRUE(encoded().ok());
  state.roster.others[0].index = 0;
  ExpectRefusal(encoded(), kInvalid, "no neighbour of client 0");
}

}  // namespace
}  // namespace muster::secagg
