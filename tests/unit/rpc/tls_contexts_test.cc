// The sessions that a server keeps, how many and how long, and that nobody else's are touched.
#include "coordinator/rpc/tls_contexts.h"

#include <ctime>
#include <string>

#include "tests/unit/rpc/tls_pair.h"

namespace muster {
namespace {

class TlsContextsTest : public testing::Test {
 protected:
  TlsContextsTest() {
    const TlsContextWatch watch;
    server_ = MakeTlsServer();
    EXPECT_EQ(watch.TuneServer(), 1u);
  }
  // `resume` stays good: a connection that ends without a farewell spoils the client's session.
  TlsPair Open(const SSL_SESSION* resume = nullptr) {
    TlsPair pair = MakeTlsPair(server_.get(), client_.get());
    if (resume != nullptr) {
      SSL_set_session(pair.client.get(), TlsSession(SSL_SESSION_dup(resume)).get());
    }
    ShakeHands(pair);
    return pair;
  }
  long kept() const { return SSL_CTX_sess_number(server_.get()); }

  TlsContext server_;
  const TlsContext client_ = MakeTlsClient();
};

TEST_F(TlsContextsTest, ASessionOutlivesItsConnectionThatEndedWithoutAFarewell) {
  const TlsSession session = Open().session();
  EXPECT_EQ(kept(), 1);
  EXPECT_TRUE(Open(session.get()).resumed());
  EXPECT_TRUE(Open(session.get()).resumed());
}

TEST_F(TlsContextsTest, AFullHandshakeKeepsOneSessionAndAResumedOneNone) {
  const TlsSession session = Open().session();
  EXPECT_TRUE(Open(session.get()).resumed());
  EXPECT_EQ(kept(), 1);
  EXPECT_FALSE(Open().resumed());
  EXPECT_EQ(kept(), 2);
}

TEST_F(TlsContextsTest, NoMoreSessionsAreKeptThanTheBoundAndTheOldestGoes) {
  const TlsSession oldest = Open().session();
  for (long i = 0; i < kTlsSessionsKept; ++i) {
    const TlsSession session(SSL_SESSION_new());
    const std::string id = std::to_string(i);
    SSL_SESSION_set1_id(session.get(), reinterpret_cast<const unsigned char*>(id.data()),
                        static_cast<unsigned>(id.size()));
    SSL_SESSION_set_timeout(session.get(), SSL_CTX_get_timeout(server_.get()));
    ASSERT_EQ(SSL_CTX_add_session(server_.get(), session.get()), 1);
  }
  const TlsSession newest = Open().session();
  EXPECT_LE(kept(), kTlsSessionsKept);
  EXPECT_GE(kept(), kTlsSessionsKept - 1);  // OpenSSL 3.0 makes room for one too many
  EXPECT_TRUE(Open(newest.get()).resumed());
  const TlsPair again = Open(oldest.get());
  EXPECT_TRUE(again.open());
  EXPECT_FALSE(again.resumed());
}

TEST_F(TlsContextsTest, ASessionIsResumedForItsLifetimeAndNoLonger) {
  const TlsPair first = Open();
  const TlsSession session = first.session();
  SSL_SESSION* kept = SSL_get_session(first.server.get());
  const long lifetime = std::chrono::seconds(kTlsSessionLifetime).count();
  SSL_SESSION_set_time(kept, std::time(nullptr) - lifetime + 60);
  EXPECT_TRUE(Open(session.get()).resumed());
  SSL_SESSION_set_time(kept, std::time(nullptr) - lifetime - 1);
  const TlsPair late = Open(session.get());
  EXPECT_TRUE(late.open());
  EXPECT_FALSE(late.resumed());
}

// As libpq and libcurl make theirs in a coordinator: OpenSSL's own rule for an end without a
// farewell holds for them, at both ends.
TEST_F(TlsContextsTest, ConnectionsOfOtherContextsAreLeftAlone) {
  const TlsContext other = MakeTlsServer();
  SSL_CTX_set_options(other.get(), SSL_OP_NO_TICKET);  // keeps sessions, as the tuned one does
  SSL_CTX_set_num_tickets(other.get(), 1);
  TlsSession held;
  {
    const TlsPair pair = MakeTlsPair(other.get(), client_.get());
    ShakeHands(pair);
    ASSERT_EQ(SSL_CTX_sess_number(other.get()), 1);
    held.reset(SSL_get1_session(pair.client.get()));
    ASSERT_TRUE(SSL_SESSION_is_resumable(held.get()));
    Open();  // a tuned one meanwhile
  }
  EXPECT_FALSE(SSL_SESSION_is_resumable(held.get()));
  EXPECT_EQ(SSL_CTX_sess_number(other.get()), 0);
  EXPECT_EQ(kept(), 1);
}

}  // namespace
}  // namespace muster
