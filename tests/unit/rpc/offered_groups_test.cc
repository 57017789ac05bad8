// The client's half of the key exchange (tls_groups_test.cc has the server's): what a channel of
// ours offers, to a server that only listens to the handshake.
#include <fcntl.h>

#include <atomic>
#include <future>

#include "coordinator/listen/acceptor.h"
#include "coordinator/listen/bind.h"
#include "proto/transport/tls_groups.h"
#include "tests/unit/rpc/tls_pair.h"
#include "tests/unit/rpc/wire_fixture.h"

namespace muster {
namespace {

TEST_F(WireTest, OurChannelAgreesOnX25519) {
  const TlsContext context = MakeTlsServer();
  std::promise<long> agreed;
  std::atomic<bool> heard = false;  // gRPC knocks again
  Acceptor acceptor(BindListeners("127.0.0.1:0").value(), 10, [&](int, UniqueFd socket) {
    const TlsConnection connection(SSL_new(context.get()));
    fcntl(socket.get(), F_SETFL, 0);  // blocking
    SSL_set_fd(connection.get(), socket.get());
    SSL_accept(connection.get());  // fails: the client does not know our CA
    if (!heard.exchange(true)) agreed.set_value(SSL_get_negotiated_group(connection.get()));
  });
  const auto channel =
      Connect("127.0.0.1:" + std::to_string(acceptor.port()), CredentialOf("device")).value();
  EXPECT_EQ(CallEmpty(channel, "muster.v1.DeviceService/CheckIn"), grpc::StatusCode::UNAVAILABLE);
  auto answer = agreed.get_future();
  ASSERT_EQ(answer.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_EQ(answer.get(), NID_X25519);
}

// A device fetches models from stores that are not ours.
TEST(OfferTlsGroups, OtherServersAreReachedWhateverCurveTheyTake) {
  OfferTlsGroups();
  const TlsContext client = MakeTlsClient();
  for (const char* curve : {"X25519", "P-256", "X448", "P-521", "P-384"}) {
    const TlsContext server = MakeTlsServer();
    const TlsPair pair = MakeTlsPair(server.get(), client.get());
    SSL_set1_groups_list(pair.server.get(), curve);
    ShakeHands(pair);
    EXPECT_TRUE(pair.open()) << curve;
  }
}

}  // namespace
}  // namespace muster
