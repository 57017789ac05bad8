// Every message of one session in each mode, byte for byte: SHA-256 of each, kept in
// golden_transcript.txt. Clients of different versions meet in one session, so a change of any line
// is a change of the protocol. To write the file anew:
//
//   MUSTER_WRITE_GOLDEN=1 build/dev/tests/secagg_protocol_test --gtest_filter='GoldenTranscript.*'
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/support/secagg_session.h"
#include "tests/unit/secagg_protocol/expect.h"

namespace muster::secagg {
namespace {

// Canonical bytes of messages, for hashing only.
void Put(Transcript& out, const Advert& advert) {
  out.Add(advert.client.value());
  out.Add(std::string_view(reinterpret_cast<const char*>(advert.mask_key.data()), 32));
  out.Add(std::string_view(reinterpret_cast<const char*>(advert.sharing_key.data()), 32));
  out.Add(advert.nonce).Add(advert.certificate).Add(advert.signature);
}
void Put(Transcript& out, const RosterEntry& entry) {
  out.AddNumber(entry.index);
  Put(out, entry.advert);
  for (const Digest& digest : entry.proof) out.Add(digest);
}
void Put(Transcript& out, const RosterView& view) {
  out.AddNumber(view.size).AddNumber(view.neighbours).AddNumber(view.threshold).Add(view.root);
  Put(out, view.own);
  for (const RosterEntry& other : view.others) Put(out, other);
}
void Put(Transcript& out, const ShareBundle& bundle) {
  out.Add(bundle.commitment);
  for (const std::string& box : bundle.ciphertexts) out.Add(box);
  out.Add(bundle.signature);
}
void Put(Transcript& out, const SharesView& view) {
  for (const IncomingShare& share : view.shares) {
    out.AddNumber(share.index).Add(share.commitment).Add(share.signature).Add(share.ciphertext);
  }
}
void Put(Transcript& out, const MaskedReport& report) {
  out.Add(report.vector).Add(report.neighbours).Add(report.signature);
}
void Put(Transcript& out, const Consent& consent) { out.Add(consent.signature); }
void Put(Transcript& out, const UnmaskRequest& request) {
  out.Add(request.survivors);
  for (const NeighbourConsent& consent : request.consents) {
    out.AddNumber(consent.index).Add(consent.signature);
  }
}
void Put(Transcript& out, const UnmaskReply& reply) {
  for (const auto& shares : {reply.self_shares, reply.key_shares}) {
    out.AddNumber(shares.size());
    for (const RevealedShare& share : shares) out.AddNumber(share.index).Add(share.share);
  }
}

class Lines {
 public:
  explicit Lines(std::string mode) : mode_(std::move(mode)) {}
  void Add(std::string_view what, const Digest& digest) {
    StrAppend(&text_, mode_, " ", what, " ", digest.hex(), "\n");
  }
  template <typename Message>
  void AddMessage(std::string_view what, uint32_t index, const Message& message) {
    Transcript transcript(what);
    Put(transcript, message);
    Add(StrCat(what, " ", index), transcript.Hash());
  }
  const std::string& text() const { return text_; }

 private:
  std::string mode_, text_;
};

// Six clients; client 4 shares its secrets and then drops out.
std::string Play(Mode mode) {
  const bool malicious = mode == Mode::kMalicious;
  SecAggSession session({.clients = 6, .mode = mode, .seed = 2020});
  std::vector<LastStep> last(6, LastStep::kUnmask);
  last[4] = LastStep::kShare;
  EXPECT_TRUE(session.Run(last).ok());
  const Roster& roster = session.roster();
  Lines lines(malicious ? "malicious" : "semi-honest");
  lines.Add("params", Sha256(EncodeParams(session.params)));
  lines.Add("session-id", roster.sid());
  for (uint32_t i = 0; i < 6; ++i) lines.AddMessage("advert", i, roster.advert(i));
  for (uint32_t i = 0; i < 6; ++i) lines.AddMessage("roster", i, roster.ViewFor(i));
  for (const auto& [i, bundle] : session.bundles) lines.AddMessage("bundle", i, bundle);
  for (uint32_t i = 0; i < 6; ++i) lines.AddMessage("shares", i, session.SharesOf(i));
  for (const auto& [i, report] : session.reports) lines.AddMessage("masked", i, report);
  for (const auto& [i, consent] : session.consents) lines.AddMessage("consent", i, consent);
  for (const auto& [i, reply] : session.replies) {
    lines.AddMessage("request", i, RequestFor(roster, i, session.survivors, session.consents));
    lines.AddMessage("reply", i, reply);
  }
  const auto bytes = session.sum().bytes();
  lines.Add("sum", Sha256({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  return lines.text();
}

TEST(GoldenTranscript, IsTheSameToTheByte) {
  const std::string played = Play(Mode::kSemiHonest) + Play(Mode::kMalicious);
  const std::string path = GOLDEN_TRANSCRIPT;
  if (std::getenv("MUSTER_WRITE_GOLDEN") != nullptr) {
    std::ofstream out(path, std::ios::binary);
    ASSERT_TRUE(out << played) << "writing " << path;
    GTEST_SKIP() << "wrote " << path;
  }
  std::ifstream in(path, std::ios::binary);
  const std::string golden{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(played, golden) << "the protocol's bytes changed; if that is meant, set "
                               "MUSTER_WRITE_GOLDEN=1 and run this test to write "
                            << path << " anew";
}

}  // namespace
}  // namespace muster::secagg
