#include "coordinator/rpc/tls_contexts.h"

#include <openssl/ssl.h>

#include <ctime>

namespace muster {
namespace {

thread_local TlsContextWatch* watching = nullptr;

bool IsOver(const SSL_SESSION* session) {
  return SSL_SESSION_get_time(session) + SSL_SESSION_get_timeout(session) <= std::time(nullptr);
}

int OnTicketMade(SSL*, void*) { return 1; }

// A session that is resumed goes on under the ticket that it has.
SSL_TICKET_RETURN OnTicketRead(SSL* ssl, SSL_SESSION* session, const unsigned char*, size_t,
                               SSL_TICKET_STATUS status, void*) {
  const bool read = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
  if (!read || IsOver(session)) return SSL_TICKET_RETURN_IGNORE_RENEW;
  SSL_set_num_tickets(ssl, 0);
  return SSL_TICKET_RETURN_USE;
}

}  // namespace

int TlsContextWatch::Index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, OnMade, nullptr, OnFreed);
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

size_t TlsContextWatch::TuneServer() const {
  for (SSL_CTX* context : made_) {
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_timeout(context, std::chrono::seconds(kTlsSessionLifetime).count());
    SSL_CTX_set_session_ticket_cb(context, OnTicketMade, OnTicketRead, nullptr);
  }
  return made_.size();
}

}  // namespace muster
