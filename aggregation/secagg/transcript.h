// Canonical bytes and the digests of a session. Every field is length-prefixed and every digest
// starts with a label of its own, so that no two things that are signed or hashed can be confused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "aggregation/secagg/keys.h"
#include "proto/core/digest.h"
#include "proto/core/secagg_messages.h"

namespace muster::secagg {

// Appends fields: u32 little-endian length, then the bytes. Numbers are fields of 8 bytes, little
// endian; doubles travel as their IEEE 754 bits.
class Transcript {
 public:
  explicit Transcript(std::string_view label) { Add(label); }
  Transcript& Add(std::string_view bytes);
  Transcript& Add(const Digest& digest) { return Add(digest.bytes()); }
  Transcript& AddNumber(uint64_t number);
  Transcript& AddReal(double real);
  const std::string& bytes() const { return bytes_; }
  Digest Hash() const { return Sha256(bytes_); }

 private:
  std::string bytes_;
};

std::string EncodeParams(const Params& params);  // canonical; what both ids below bind
Digest PreSessionId(const Params& params);
// Binds the parameters, n, k, t and the roster.
Digest SessionId(const Params& params, uint32_t size, uint32_t neighbours, uint32_t threshold,
                 const Digest& roster_root);

// What is signed in each phase.
std::string AdvertStatement(const Digest& pre_sid, const Params& params, const Advert& advert);
std::string ShareStatement(const Digest& sid, uint32_t index, const Digest& commitment);
std::string MaskedStatement(const Digest& sid, uint32_t index, const MaskedReport& report);
std::string ConsentStatement(const Digest& sid, const Digest& survivors);

Digest Commitment(const Digest& sid, uint32_t index, const SelfSeed& seed);  // c_b
Digest SetDigest(const Digest& sid, std::string_view what, const ClientSet& set);

// Sets of clients.
ClientSet MakeSet(uint32_t size);
void Insert(ClientSet& set, uint32_t index);
bool Contains(const ClientSet& set, uint32_t index);  // false beyond its end
uint32_t Count(const ClientSet& set);
// InvalidArgument unless it has exactly ceil(size / 8) bytes and no bit at or beyond `size`.
absl::Status CheckSet(const ClientSet& set, uint32_t size);

}  // namespace muster::secagg
