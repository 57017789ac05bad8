#include "aggregation/secagg/transcript.h"

#include <bit>
#include <cstdlib>
#include <limits>

#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

void AppendLittleEndian(uint64_t value, size_t bytes, std::string& out) {
  for (size_t i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

// Numbers of their own: the order of an enum's names says nothing about the bytes.
uint64_t Code(Mode mode) {
  switch (mode) {
    case Mode::kSemiHonest:
      return 1;
    case Mode::kMalicious:
      return 2;
  }
  std::abort();
}

uint64_t Code(MaskCipher cipher) {
  switch (cipher) {
    case MaskCipher::kAes128Ctr:
      return 1;
    case MaskCipher::kAes256Ctr:
      return 2;
    case MaskCipher::kChaCha20:
      return 3;
  }
  std::abort();
}

std::string_view View(const PublicKeyBytes& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

size_t BytesFor(uint32_t size) { return (static_cast<size_t>(size) + 7) / 8; }

}  // namespace

Transcript& Transcript::Add(std::string_view bytes) {
  if (bytes.size() > std::numeric_limits<uint32_t>::max()) std::abort();  // no field is near it
  AppendLittleEndian(bytes.size(), 4, bytes_);
  bytes_.append(bytes);
  return *this;
}

Transcript& Transcript::AddNumber(uint64_t number) {
  std::string field;
  AppendLittleEndian(number, 8, field);
  return Add(field);
}

Transcript& Transcript::AddReal(double real) { return AddNumber(std::bit_cast<uint64_t>(real)); }

std::string EncodeParams(const Params& params) {
  Transcript out("muster/secagg/1/params");
  out.Add(params.job.value()).AddNumber(params.round).AddNumber(params.attempt);
  out.Add(params.model).AddNumber(params.dimension);
  out.AddNumber(params.metrics.size());
  for (const std::string& metric : params.metrics) out.Add(metric);
  out.AddNumber(params.clip_lane).AddNumber(params.weighted).AddNumber(params.examples_cap);
  out.AddNumber(params.ring_bits).AddReal(params.clip).AddReal(params.scale);
  out.AddNumber(params.min_clients).AddNumber(params.max_clients);
  out.AddReal(params.drop).AddReal(params.corrupt);
  out.AddNumber(Code(params.mode)).AddNumber(Code(params.cipher));
  out.AddNumber(params.noise.has_value());
  if (params.noise.has_value()) {
    out.AddReal(params.noise->variance_per_client).Add(params.noise->rotation_seed);
  }
  out.Add(params.nonce);
  return out.bytes();
}

Digest PreSessionId(const Params& params) {
  return Transcript("muster/secagg/1/pre-session").Add(EncodeParams(params)).Hash();
}

Digest SessionId(const Params& params, uint32_t size, uint32_t neighbours, uint32_t threshold,
                 const Digest& roster_root) {
  return Transcript("muster/secagg/1/session")
      .Add(EncodeParams(params))
      .AddNumber(size)
      .AddNumber(neighbours)
      .AddNumber(threshold)
      .Add(roster_root)
      .Hash();
}

std::string AdvertStatement(const Digest& pre_sid, const Params& params, const Advert& advert) {
  return Transcript("muster/secagg/1/advert")
      .Add(pre_sid)
      .Add(params.model)
      .Add(advert.client.value())
      .Add(View(advert.mask_key))
      .Add(View(advert.sharing_key))
      .Add(advert.nonce)
      .Add(advert.certificate)
      .bytes();
}

std::string ShareStatement(const Digest& sid, uint32_t index, const Digest& commitment) {
  return Transcript("muster/secagg/1/share").Add(sid).AddNumber(index).Add(commitment).bytes();
}

std::string MaskedStatement(const Digest& sid, uint32_t index, const MaskedReport& report) {
  return Transcript("muster/secagg/1/masked")
      .Add(sid)
      .AddNumber(index)
      .Add(report.vector)
      .Add(report.neighbours)
      .bytes();
}

std::string ConsentStatement(const Digest& sid, const Digest& survivors) {
  return Transcript("muster/secagg/1/consent").Add(sid).Add(survivors).bytes();
}

Digest Commitment(const Digest& sid, uint32_t index, const SelfSeed& seed) {
  // A transcript's last field, hashed without a copy of the seed that nobody would wipe.
  std::string head = Transcript("muster/secagg/1/commitment").Add(sid).AddNumber(index).bytes();
  AppendLittleEndian(seed.span().size(), 4, head);
  Sha256Hasher hasher;
  hasher.Update(head);
  hasher.Update({reinterpret_cast<const char*>(seed.span().data()), seed.span().size()});
  return hasher.Finish();
}

Digest SetDigest(const Digest& sid, std::string_view what, const ClientSet& set) {
  return Transcript("muster/secagg/1/set").Add(sid).Add(what).Add(set).Hash();
}

ClientSet MakeSet(uint32_t size) { return ClientSet(BytesFor(size), '\0'); }

void Insert(ClientSet& set, uint32_t index) {
  if (index / 8 >= set.size()) std::abort();  // a set of another roster
  const auto byte = static_cast<uint8_t>(set[index / 8]);
  set[index / 8] = static_cast<char>(byte | 1u << (index % 8));
}

bool Contains(const ClientSet& set, uint32_t index) {
  return index / 8 < set.size() && (static_cast<uint8_t>(set[index / 8]) >> (index % 8) & 1) != 0;
}

uint32_t Count(const ClientSet& set) {
  uint32_t count = 0;
  for (const char byte : set) {
    count += static_cast<uint32_t>(std::popcount(static_cast<uint8_t>(byte)));
  }
  return count;
}

absl::Status CheckSet(const ClientSet& set, uint32_t size) {
  if (set.size() != BytesFor(size)) {
    return absl::InvalidArgumentError(StrCat("a set of ", size, " clients has ", BytesFor(size),
                                             " bytes, this one has ", set.size()));
  }
  for (uint32_t index = size; index < 8 * set.size(); ++index) {
    if (Contains(set, index)) {
      return absl::InvalidArgumentError(
          StrCat("a set has client ", index, " of a roster of ", size));
    }
  }
  return absl::OkStatus();
}

}  // namespace muster::secagg
