#include "proto/transport/tls_groups.h"

#include <openssl/ssl.h>

namespace muster {
namespace {

// If it fails, the connection offers what it would have offered.
void OnConnectionMade(void* connection, void*, CRYPTO_EX_DATA*, int, long, void*) {
  SSL_set1_groups_list(static_cast<SSL*>(connection), kOfferedTlsGroups);
}

}  // namespace

void OfferTlsGroups() {
  // OpenSSL tells of every connection that is made.
  static const int index = SSL_get_ex_new_index(0, nullptr, OnConnectionMade, nullptr, nullptr);
  static_cast<void>(index);
}

}  // namespace muster
