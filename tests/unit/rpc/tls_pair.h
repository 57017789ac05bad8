// TLS with OpenSSL alone: contexts, and connections in memory between them.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>

#include "proto/core/time.h"
#include "proto/x509/certificate.h"
#include "proto/x509/ec_key.h"
#include "proto/x509/openssl_handles.h"

namespace muster {

using TlsContext = std::unique_ptr<SSL_CTX, openssl::Deleter<SSL_CTX_free>>;
using TlsConnection = std::unique_ptr<SSL, openssl::Deleter<SSL_free>>;
using TlsSession = std::unique_ptr<SSL_SESSION, openssl::Deleter<SSL_SESSION_free>>;

inline TlsContext MakeTlsClient() { return TlsContext(SSL_CTX_new(TLS_client_method())); }

// With a certificate that nobody asks about.
inline TlsContext MakeTlsServer() {
  const auto key = EcPrivateKey::Generate().value();
  const Timestamp now = SystemClock().Now();
  const auto certificate = MakeSelfSigned({.unit = "Test",
                                           .dns_names = {kCoordinatorName},
                                           .serial = "1",
                                           .not_before = now,
                                           .not_after = now + std::chrono::hours(1)},
                                          key)
                               .value();
  TlsContext context(SSL_CTX_new(TLS_server_method()));
  EXPECT_EQ(SSL_CTX_use_certificate(context.get(), certificate.get()), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(context.get(), key.get()), 1);
  return context;
}

// Both ends of a connection. They end without a farewell, as gRPC's do.
struct TlsPair {
  TlsConnection server, client;
  bool open() const {
    return SSL_is_init_finished(server.get()) && SSL_is_init_finished(client.get());
  }
  bool resumed() const { return open() && SSL_session_reused(server.get()); }
  // A copy of what the client may resume.
  TlsSession session() const { return TlsSession(SSL_SESSION_dup(SSL_get_session(client.get()))); }
};

inline TlsPair MakeTlsPair(SSL_CTX* server, SSL_CTX* client) {
  TlsPair pair{TlsConnection(SSL_new(server)), TlsConnection(SSL_new(client))};
  BIO* server_end = nullptr;
  BIO* client_end = nullptr;
  BIO_new_bio_pair(&server_end, 0, &client_end, 0);
  SSL_set_bio(pair.server.get(), server_end, server_end);
  SSL_set_bio(pair.client.get(), client_end, client_end);
  SSL_set_accept_state(pair.server.get());
  SSL_set_connect_state(pair.client.get());
  return pair;
}

inline void ShakeHands(const TlsPair& pair) {
  for (int flight = 0; flight < 4; ++flight) {
    char nothing;
    SSL_read(pair.client.get(), &nothing, 1);  // tickets come after the handshake
    SSL_read(pair.server.get(), &nothing, 1);
  }
}

}  // namespace muster
