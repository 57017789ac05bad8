#include "coordinator/rpc/tls_contexts.h"

#include <openssl/ssl.h>

#include "proto/transport/tls_groups.h"

namespace muster {
namespace {

thread_local TlsContextWatch* watching = nullptr;

// Full handshakes alone come here: a session that is resumed goes on under the ticket that it has.
int OnFullHandshake(SSL* ssl, void*) { return SSL_set_num_tickets(ssl, 1); }

}  // namespace

int TlsContextWatch::Index() {
  static const int index = [] {
    SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, OnConnectionFreed);
    return SSL_CTX_get_ex_new_index(0, nullptr, OnMade, nullptr, OnFreed);
  }();
  return index;
}

TlsContextWatch::TlsContextWatch() {
  Index();
  watching = this;
}

TlsContextWatch::~TlsContextWatch() { watching = nullptr; }

void TlsContextWatch::OnMade(void* context, void*, CRYPTO_EX_DATA*, int, long, void*) {
  if (watching != nullptr) watching->made_.push_back(static_cast<SSL_CTX*>(context));
}

void TlsContextWatch::OnFreed(void* context, void*, CRYPTO_EX_DATA*, int, long, void*) {
  if (watching != nullptr) std::erase(watching->made_, static_cast<SSL_CTX*>(context));
}

// OpenSSL drops the session of a connection that ends without a farewell, and gRPC says none. What
// the rest of the process does with its connections is its own affair.
void TlsContextWatch::OnConnectionFreed(void* connection, void*, CRYPTO_EX_DATA*, int, long,
                                        void*) {
  SSL* ssl = static_cast<SSL*>(connection);
  const SSL_CTX* context = SSL_get_SSL_CTX(ssl);  // null where SSL_new failed
  if (context == nullptr || SSL_CTX_get_ex_data(context, Index()) == nullptr) return;
  SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_SENT_SHUTDOWN);
}

size_t TlsContextWatch::TuneServer() const {
  for (SSL_CTX* context : made_) {
    SSL_CTX_set_ex_data(context, Index(), context);  // the sign of a tuned one
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set1_groups_list(context, kTlsGroups);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);  // a ticket is the name of a kept session
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(context, kTlsSessionsKept);
    SSL_CTX_set_timeout(context, std::chrono::seconds(kTlsSessionLifetime).count());
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_cert_cb(context, OnFullHandshake, nullptr);
  }
  return made_.size();
}

}  // namespace muster
