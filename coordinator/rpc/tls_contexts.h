// What TLS costs a server of many connections, set where gRPC has no setting of its own.
//
// gRPC makes its OpenSSL contexts itself. OpenSSL tells of every context that is made
// (SSL_CTX_get_ex_new_index(3)), so those that a piece of code makes can be found and tuned.
#pragma once

#include <openssl/types.h>

#include <chrono>
#include <vector>

namespace muster {

// A session may be resumed for this long after the handshake that began it; then certificates are
// looked at again. Tickets are not renewed when they are used, so that none lives on through
// others.
inline constexpr std::chrono::hours kTlsSessionLifetime{2};
// Sessions are kept here and not in their tickets: OpenSSL 3.0 takes longer to read a certificate
// back from a ticket than for all the rest of a resumed handshake. Whose session was dropped for a
// newer one shakes hands in full.
inline constexpr long kTlsSessionsKept = 20'000;

// Finds the contexts that this thread makes while this lives. One at a time in a thread.
class TlsContextWatch {
 public:
  TlsContextWatch();
  ~TlsContextWatch();
  TlsContextWatch(const TlsContextWatch&) = delete;
  TlsContextWatch& operator=(const TlsContextWatch&) = delete;

  // Before the first connection: idle connections keep no record buffers; both groups of
  // proto/transport are taken; a full handshake gives one ticket, where OpenSSL gives two, and a
  // resumed one none. How many contexts were tuned; all others stay as OpenSSL has them.
  size_t TuneServer() const;

 private:
  static int Index();
  static void OnMade(void* context, void*, CRYPTO_EX_DATA*, int, long, void*);
  static void OnFreed(void* context, void*, CRYPTO_EX_DATA*, int, long, void*);
  static void OnConnectionFreed(void* connection, void*, CRYPTO_EX_DATA*, int, long, void*);

  std::vector<SSL_CTX*> made_;
};

}  // namespace muster
