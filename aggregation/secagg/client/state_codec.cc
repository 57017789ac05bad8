// The stored form of a client's state. Numbers are u32 little-endian, strings and lists carry their
// length in front, digests, keys, seeds and shares are 32 bytes as they are.
//
//   "MSTRSAGG", version 1, state (index in ClientState), then its fields in the order of client.h.
//
// There is one form for each state: what parses is what EncodeState writes.
#include <cstring>

#include "aggregation/secagg/client/checks.h"
#include "aggregation/secagg/client/client.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

constexpr std::string_view kMagic = "MSTRSAGG";
constexpr uint32_t kVersion = 1;

// Writes, or only measures: the string is reserved at once, because growing it would leave copies
// of secrets behind in freed memory.
class Writer {
 public:
  Writer() = default;  // measures
  explicit Writer(size_t size) : writes_(true) { out_.reserve(size); }
  size_t size() const { return size_; }
  std::string Take() && { return std::move(out_); }

  void Raw(const void* data, size_t size) {
    size_ += size;
    if (writes_) out_.append(static_cast<const char*>(data), size);
  }
  void Number(uint32_t number) {
    uint8_t bytes[4];
    for (int i = 0; i < 4; ++i) bytes[i] = static_cast<uint8_t>(number >> (8 * i));
    Raw(bytes, sizeof(bytes));
  }
  void Text(std::string_view text) {
    Number(static_cast<uint32_t>(text.size()));
    Raw(text.data(), text.size());
  }
  void Put(const Digest& digest) { Raw(digest.bytes().data(), Digest::kSize); }
  void Put(std::span<const uint8_t, 32> bytes) { Raw(bytes.data(), bytes.size()); }

 private:
  bool writes_ = false;
  size_t size_ = 0;
  std::string out_;
};

void Put(Writer& out, const Advert& advert) {
  out.Text(advert.client.value());
  out.Put(advert.mask_key);
  out.Put(advert.sharing_key);
  out.Put(advert.nonce);
  out.Text(advert.certificate);
  out.Text(advert.signature);
}

void Put(Writer& out, const RosterEntry& entry) {
  out.Number(entry.index);
  Put(out, entry.advert);
  out.Number(static_cast<uint32_t>(entry.proof.size()));
  for (const Digest& digest : entry.proof) out.Put(digest);
}

void Put(Writer& out, const RosterView& roster) {
  out.Number(roster.size);
  out.Number(roster.neighbours);
  out.Number(roster.threshold);
  out.Put(roster.root);
  Put(out, roster.own);
  for (const RosterEntry& other : roster.others) Put(out, other);  // k of them
}

void Put(Writer& out, const std::vector<RevealedShare>& shares) {
  out.Number(static_cast<uint32_t>(shares.size()));
  for (const RevealedShare& share : shares) {
    out.Number(share.index);
    out.Text(share.share);
  }
}

void Put(Writer& out, const Advertised& state) {
  out.Put(state.mask_key.span());
  out.Put(state.sharing_key.span());
  out.Put(state.seed.span());
  Put(out, state.advert);
}

void Put(Writer& out, const Shared& state) {
  out.Put(state.mask_key.span());
  out.Put(state.sharing_key.span());
  out.Put(state.seed.span());
  Put(out, state.roster);
  out.Put(state.sid);
  out.Put(state.bundle.commitment);
  for (const std::string& box : state.bundle.ciphertexts) out.Text(box);  // k of them
  out.Text(state.bundle.signature);
}

void Put(Writer& out, const Masked& state) {
  Put(out, state.roster);
  out.Put(state.sid);
  out.Number(static_cast<uint32_t>(state.held.size()));
  for (const HeldShare& held : state.held) {
    out.Number(held.index);
    out.Put(held.shares.self_share.span());
    out.Put(held.shares.key_share.span());
  }
  out.Put(state.report.vector);
  out.Put(state.report.neighbours);
  out.Text(state.report.signature);
}

void Put(Writer& out, const Agreed& state) {
  Put(out, state.masked);
  out.Put(state.survivors);
  out.Text(state.consent.signature);
}

void Put(Writer& out, const Answered& state) {
  out.Put(state.sid);
  out.Put(state.survivors);
  Put(out, state.reply.self_shares);
  Put(out, state.reply.key_shares);
}

void Put(Writer& out, const Refused& state) { out.Text(state.reason); }

void PutState(Writer& out, const ClientState& state) {
  out.Raw(kMagic.data(), kMagic.size());
  out.Number(kVersion);
  out.Number(static_cast<uint32_t>(state.index()));
  std::visit([&out](const auto& alternative) { Put(out, alternative); }, state);
}

absl::Status Malformed(std::string_view what) {
  return absl::InvalidArgumentError(StrCat("not a stored secure aggregation state: ", what));
}

// Reads strictly. The first fault sticks and everything after it reads as nothing, so that callers
// check once; lists end at a fault, which bounds them by the bytes that there are.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  bool ok() const { return status_.ok(); }
  const absl::Status& status() const { return status_; }

  void Fail(std::string_view what) {
    if (status_.ok()) status_ = Malformed(what);
    rest_ = {};
  }
  void Check(const absl::Status& status) {
    if (!status.ok()) Fail(StdView(status.message()));
  }
  void Finish() {
    if (!rest_.empty()) Fail(StrCat(rest_.size(), " bytes follow its end"));
  }

  std::string_view Raw(size_t size) {
    if (size > rest_.size()) {
      Fail("it ends early");
      return {};
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }
  void Get(uint32_t& number) {
    const std::string_view bytes = Raw(4);
    number = 0;
    for (size_t i = 0; i < bytes.size(); ++i) {
      number |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
    }
  }
  void Get(std::string& text) {
    uint32_t size = 0;
    Get(size);
    text = Raw(size);
  }
  void Get(std::span<uint8_t, 32> out) {
    const std::string_view bytes = Raw(out.size());
    if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
  }
  void Get(Digest& digest) {
    std::array<uint8_t, Digest::kSize> bytes{};
    Get(std::span<uint8_t, 32>(bytes));
    digest = Digest(bytes);
  }

 private:
  std::string_view rest_;
  absl::Status status_;
};

void Get(Reader& in, Advert& advert) {
  std::string id;
  in.Get(id);
  auto client = DeviceId::Parse(id);
  in.Check(client.status());
  if (client.ok()) advert.client = *std::move(client);
  in.Get(std::span<uint8_t, 32>(advert.mask_key));
  in.Get(std::span<uint8_t, 32>(advert.sharing_key));
  in.Get(advert.nonce);
  in.Get(advert.certificate);
  in.Get(advert.signature);
}

void Get(Reader& in, RosterEntry& entry) {
  in.Get(entry.index);
  Get(in, entry.advert);
  uint32_t count = 0;
  in.Get(count);
  for (uint32_t i = 0; in.ok() && i < count; ++i) in.Get(entry.proof.emplace_back());
}

void Get(Reader& in, RosterView& roster) {
  in.Get(roster.size);
  in.Get(roster.neighbours);
  in.Get(roster.threshold);
  in.Get(roster.root);
  Get(in, roster.own);
  for (uint32_t i = 0; in.ok() && i < roster.neighbours; ++i) {
    Get(in, roster.others.emplace_back());
  }
  if (in.ok()) in.Check(CheckShape(roster));
}

void Get(Reader& in, std::vector<RevealedShare>& shares) {
  uint32_t count = 0;
  in.Get(count);
  for (uint32_t i = 0; in.ok() && i < count; ++i) {
    RevealedShare& share = shares.emplace_back();
    in.Get(share.index);
    in.Get(share.share);
    if (!in.ok()) return;
    if (share.share.size() != kShareBytes) in.Fail("a share of another size than 32 bytes");
    if (i > 0 && share.index <= shares[i - 1].index) in.Fail("shares out of order");
  }
}

void Get(Reader& in, Advertised& state) {
  in.Get(state.mask_key.writable());
  in.Get(state.sharing_key.writable());
  in.Get(state.seed.writable());
  Get(in, state.advert);
}

void Get(Reader& in, Shared& state) {
  in.Get(state.mask_key.writable());
  in.Get(state.sharing_key.writable());
  in.Get(state.seed.writable());
  Get(in, state.roster);
  in.Get(state.sid);
  in.Get(state.bundle.commitment);
  for (uint32_t i = 0; in.ok() && i < state.roster.neighbours; ++i) {
    std::string& box = state.bundle.ciphertexts.emplace_back();
    in.Get(box);
    if (in.ok() && box.size() != kBoxBytes) in.Fail("a ciphertext of another size than a box");
  }
  in.Get(state.bundle.signature);
}

void Get(Reader& in, Masked& state) {
  Get(in, state.roster);
  in.Get(state.sid);
  uint32_t count = 0;
  in.Get(count);
  for (uint32_t i = 0; in.ok() && i < count; ++i) {
    HeldShare& held = state.held.emplace_back();
    in.Get(held.index);
    in.Get(held.shares.self_share.writable());
    in.Get(held.shares.key_share.writable());
    if (!in.ok()) return;
    if (FindNeighbour(state.roster, held.index) == nullptr) in.Fail("a share of no neighbour");
    if (i > 0 && held.index <= state.held[i - 1].index) in.Fail("held shares out of order");
  }
  in.Get(state.report.vector);
  in.Get(state.report.neighbours);
  in.Get(state.report.signature);
}

void Get(Reader& in, Agreed& state) {
  Get(in, state.masked);
  in.Get(state.survivors);
  in.Get(state.consent.signature);
}

void Get(Reader& in, Answered& state) {
  in.Get(state.sid);
  in.Get(state.survivors);
  Get(in, state.reply.self_shares);
  Get(in, state.reply.key_shares);
  for (const RevealedShare& share : state.reply.self_shares) {
    for (const RevealedShare& other : state.reply.key_shares) {
      if (share.index == other.index) in.Fail("both shares of one client");
    }
  }
}

void Get(Reader& in, Refused& state) { in.Get(state.reason); }

template <typename State>
absl::StatusOr<ClientState> Read(Reader& in) {
  State state;
  Get(in, state);
  in.Finish();
  if (!in.ok()) return in.status();
  return ClientState(std::move(state));
}

template <size_t... Index>
absl::StatusOr<ClientState> ReadAlternative(Reader& in, uint32_t which,
                                            std::index_sequence<Index...>) {
  using Read1 = absl::StatusOr<ClientState> (*)(Reader&);
  constexpr Read1 kReads[] = {&Read<std::variant_alternative_t<Index, ClientState>>...};
  if (which >= sizeof...(Index)) return Malformed(StrCat("it has no state ", which));
  return kReads[which](in);
}

}  // namespace

std::string EncodeState(const ClientState& state) {
  Writer measure;
  PutState(measure, state);
  Writer out(measure.size());
  PutState(out, state);
  return std::move(out).Take();
}

absl::StatusOr<ClientState> ParseState(std::string_view bytes) {
  Reader in(bytes);
  if (in.Raw(kMagic.size()) != kMagic) return Malformed(StrCat("it does not start with ", kMagic));
  uint32_t version = 0, which = 0;
  in.Get(version);
  if (in.ok() && version != kVersion) {
    return Malformed(StrCat("version ", version, ", where this program reads version ", kVersion));
  }
  in.Get(which);
  if (!in.ok()) return in.status();
  return ReadAlternative(in, which, std::make_index_sequence<std::variant_size_v<ClientState>>());
}

}  // namespace muster::secagg
