// X25519 where both sides can, P-256 where a client knows nothing else. The server's half: nothing
// here may call Connect(), which has every connection of the process offer X25519.
#include <string>

#include "tests/unit/rpc/tls_pair.h"
#include "tests/unit/rpc/wire_fixture.h"

namespace muster {
namespace {

class TlsGroupsTest : public WireTest {
 protected:
  // What a client that offers `groups` agrees on with the server; NID_undef if it gets no
  // connection.
  int Agreed(const char* groups) {
    const TlsContext context = MakeTlsClient();
    EXPECT_EQ(SSL_CTX_set1_groups_list(context.get(), groups), 1);
    const openssl::Bio connection(BIO_new_ssl_connect(context.get()));
    const std::string address = "127.0.0.1:" + std::to_string(server_->port());
    BIO_set_conn_hostname(connection.get(), address.c_str());
    if (BIO_do_handshake(connection.get()) != 1) return NID_undef;
    SSL* ssl = nullptr;
    BIO_get_ssl(connection.get(), &ssl);
    return static_cast<int>(SSL_get_negotiated_group(ssl));
  }
};

TEST_F(TlsGroupsTest, TheServerTakesX25519) {
  EXPECT_EQ(Agreed("X25519:P-256"), NID_X25519);
  EXPECT_EQ(Agreed("X25519"), NID_X25519);
}

TEST_F(TlsGroupsTest, AClientThatKnowsP256AloneConnects) {
  EXPECT_EQ(Agreed("P-256"), NID_X9_62_prime256v1);
}

}  // namespace
}  // namespace muster
