// The coordinator's half of secagg_codec.h.
#include <algorithm>
#include <utility>
#include <variant>

#include "proto/codec/offer_fields.h"
#include "proto/codec/secagg_codec.h"
#include "proto/codec/secagg_fields.h"
#include "proto/core/limits.h"

namespace muster {
namespace wire {
namespace {

// One bit for each client.
absl::Status CheckBitmap(const Field& at, const std::string& bitmap) {
  return CheckRange(at, bitmap.size(), 1, (limits::kMaxSecAggClients + 7) / 8, "bytes");
}

absl::StatusOr<secagg::RosterEntry> Decode(const Field& at, const v1::SecAggRosterEntry& wire,
                                           uint32_t size) {
  secagg::RosterEntry decoded;
  MUSTER_RETURN_IF_ERROR(CheckAtMost(at["index"], wire.index(), size - 1));
  decoded.index = wire.index();
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["advert"], wire.has_advert()));
  MUSTER_ASSIGN_OR_RETURN(decoded.advert, DecodeAdvert(at["advert"], wire.advert()));
  MUSTER_RETURN_IF_ERROR(CheckCount(at["proof"], wire.proof_size(), limits::kMaxMerkleDepth));
  for (int i = 0; i < wire.proof_size(); ++i) {
    MUSTER_ASSIGN_OR_RETURN(Digest digest, DecodeDigest(at.At("proof", i), wire.proof(i)));
    decoded.proof.push_back(digest);
  }
  return decoded;
}

absl::StatusOr<secagg::RosterView> Decode(const Field& at, const v1::SecAggRosterView& wire) {
  secagg::RosterView decoded;
  MUSTER_RETURN_IF_ERROR(
      CheckRange(at["size"], wire.size(), 2, limits::kMaxSecAggClients, "clients"));
  decoded.size = wire.size();
  MUSTER_RETURN_IF_ERROR(CheckRange(at["neighbours"], wire.neighbours(), 1,
                                    std::min(wire.size() - 1, limits::kMaxSecAggNeighbours)));
  decoded.neighbours = wire.neighbours();
  MUSTER_RETURN_IF_ERROR(CheckRange(at["threshold"], wire.threshold(), 1, wire.neighbours()));
  decoded.threshold = wire.threshold();
  MUSTER_ASSIGN_OR_RETURN(decoded.root, DecodeDigest(at["root"], wire.root()));
  MUSTER_RETURN_IF_ERROR(CheckPresent(at["own"], wire.has_own()));
  MUSTER_ASSIGN_OR_RETURN(decoded.own, Decode(at["own"], wire.own(), wire.size()));
  if (static_cast<uint32_t>(wire.others_size()) != wire.neighbours()) {
    return Refuse(at["others"], StrCat(wire.others_size(), " entries are not the ",
                                       wire.neighbours(), " neighbours"));
  }
  Ascending ascending;
  for (int i = 0; i < wire.others_size(); ++i) {
    const Field field = at.At("others", i);
    MUSTER_ASSIGN_OR_RETURN(secagg::RosterEntry entry, Decode(field, wire.others(i), wire.size()));
    MUSTER_RETURN_IF_ERROR(ascending.Check(field["index"], entry.index));
    if (entry.index == decoded.own.index) {
      return Refuse(field["index"], StrCat(entry.index, " is the client's own"));
    }
    decoded.others.push_back(std::move(entry));
  }
  return decoded;
}

void Encode(const secagg::RosterEntry& entry, v1::SecAggRosterEntry* out) {
  out->set_index(entry.index);
  *out->mutable_advert() = EncodeAdvert(entry.advert);
  for (const Digest& digest : entry.proof) out->add_proof(EncodeDigest(digest));
}

void Encode(const secagg::RosterView& view, v1::SecAggRosterView* out) {
  out->set_size(view.size);
  out->set_neighbours(view.neighbours);
  out->set_threshold(view.threshold);
  out->set_root(EncodeDigest(view.root));
  Encode(view.own, out->mutable_own());
  for (const secagg::RosterEntry& entry : view.others) Encode(entry, out->add_others());
}

absl::StatusOr<secagg::SharesView> Decode(const Field& at, const v1::SecAggSharesView& wire) {
  MUSTER_RETURN_IF_ERROR(
      CheckCount(at["shares"], wire.shares_size(), limits::kMaxSecAggNeighbours));
  secagg::SharesView decoded;
  Ascending ascending;
  for (int i = 0; i < wire.shares_size(); ++i) {
    const Field field = at.At("shares", i);
    const v1::SecAggIncomingShare& share = wire.shares(i);
    MUSTER_RETURN_IF_ERROR(
        CheckAtMost(field["index"], share.index(), limits::kMaxSecAggClients - 1));
    MUSTER_RETURN_IF_ERROR(ascending.Check(field["index"], share.index()));
    secagg::IncomingShare& out = decoded.shares.emplace_back();
    out.index = share.index();
    MUSTER_ASSIGN_OR_RETURN(out.commitment, DecodeDigest(field["commitment"], share.commitment()));
    MUSTER_RETURN_IF_ERROR(CheckSignature(field["signature"], share.signature()));
    out.signature = share.signature();
    MUSTER_RETURN_IF_ERROR(
        CheckExactly(field["ciphertext"], share.ciphertext().size(), limits::kSecAggBoxBytes));
    out.ciphertext = share.ciphertext();
  }
  return decoded;
}

void Encode(const secagg::SharesView& view, v1::SecAggSharesView* out) {
  for (const secagg::IncomingShare& share : view.shares) {
    v1::SecAggIncomingShare& added = *out->add_shares();
    added.set_index(share.index);
    added.set_commitment(EncodeDigest(share.commitment));
    added.set_signature(share.signature);
    added.set_ciphertext(share.ciphertext);
  }
}

absl::StatusOr<secagg::UnmaskRequest> Decode(const Field& at, const v1::SecAggUnmaskRequest& wire) {
  secagg::UnmaskRequest decoded;
  MUSTER_RETURN_IF_ERROR(CheckBitmap(at["survivors"], wire.survivors()));
  decoded.survivors = wire.survivors();
  MUSTER_RETURN_IF_ERROR(
      CheckCount(at["consents"], wire.consents_size(), limits::kMaxSecAggNeighbours));
  Ascending ascending;
  for (int i = 0; i < wire.consents_size(); ++i) {
    const Field field = at.At("consents", i);
    const v1::SecAggNeighbourConsent& consent = wire.consents(i);
    MUSTER_RETURN_IF_ERROR(
        CheckAtMost(field["index"], consent.index(), limits::kMaxSecAggClients - 1));
    MUSTER_RETURN_IF_ERROR(ascending.Check(field["index"], consent.index()));
    MUSTER_RETURN_IF_ERROR(CheckSignature(field["signature"], consent.signature()));
    decoded.consents.push_back({.index = consent.index(), .signature = consent.signature()});
  }
  return decoded;
}

void Encode(const secagg::UnmaskRequest& request, v1::SecAggUnmaskRequest* out) {
  out->set_survivors(request.survivors);
  for (const secagg::NeighbourConsent& consent : request.consents) {
    v1::SecAggNeighbourConsent& added = *out->add_consents();
    added.set_index(consent.index);
    added.set_signature(consent.signature);
  }
}

absl::StatusOr<secagg::Outcome> Decode(const Field& at, const v1::SecAggOutcome& wire) {
  secagg::Outcome decoded;
  decoded.committed = wire.committed();
  MUSTER_RETURN_IF_ERROR(CheckText(at["reason"], wire.reason(), limits::kMaxTextLength));
  decoded.reason = wire.reason();
  return decoded;
}

void Encode(const secagg::Outcome& outcome, v1::SecAggOutcome* out) {
  out->set_committed(outcome.committed);
  out->set_reason(ClampText(outcome.reason, limits::kMaxTextLength));
}

absl::StatusOr<secagg::Closed> Decode(const Field& at, const v1::SecAggClosed& wire) {
  MUSTER_RETURN_IF_ERROR(CheckText(at["reason"], wire.reason(), limits::kMaxTextLength));
  return secagg::Closed{wire.reason()};
}

void Encode(const secagg::Closed& closed, v1::SecAggClosed* out) {
  out->set_reason(ClampText(closed.reason, limits::kMaxTextLength));
}

// What travels in one answer also has to fit into one.
absl::Status CheckSize(const Field& at, const google::protobuf::MessageLite& wire) {
  return CheckAtMost(at, wire.ByteSizeLong(), limits::kMaxMessageBytes, "bytes");
}

struct AwaitedEncoder {
  v1::AwaitResponse* out;
  void operator()(const secagg::Pending&) const { out->mutable_pending(); }
  void operator()(const secagg::RosterView& view) const { Encode(view, out->mutable_roster()); }
  void operator()(const secagg::SharesView& view) const { Encode(view, out->mutable_shares()); }
  void operator()(const secagg::Survivors& survivors) const {
    out->mutable_survivors()->set_bitmap(survivors.clients);
  }
  void operator()(const secagg::UnmaskRequest& ask) const { Encode(ask, out->mutable_unmask()); }
  void operator()(const secagg::Outcome& outcome) const { Encode(outcome, out->mutable_outcome()); }
  void operator()(const secagg::Closed& closed) const { Encode(closed, out->mutable_closed()); }
};

}  // namespace
}  // namespace wire

using wire::Field;

absl::StatusOr<OfferAnswer> DecodeSecAggAnswer(const v1::SecAggAnswer& wire) {
  return wire::DecodeAnswer(Field("secagg.SecAggAnswer"), wire);
}

v1::SecAggAnswer EncodeSecAggAnswer(const OfferAnswer& answer) {
  return wire::EncodeAnswer<v1::SecAggAnswer>(answer);
}

absl::StatusOr<secagg::JoinAnswer> DecodeJoinAnswer(const v1::JoinResponse& wire) {
  const Field at("secagg.JoinResponse");
  switch (wire.answer_case()) {
    case v1::JoinResponse::kParams:
      return wire::DecodeParams(at["params"], wire.params());
    case v1::JoinResponse::kClosed:
      return wire::Decode(at["closed"], wire.closed());
    case v1::JoinResponse::ANSWER_NOT_SET:
      break;
  }
  return wire::Refuse(at["answer"], "is not set");
}

v1::JoinResponse EncodeJoinAnswer(const secagg::JoinAnswer& answer) {
  v1::JoinResponse wire;
  if (const auto* params = std::get_if<secagg::Params>(&answer)) {
    *wire.mutable_params() = EncodeSecAggParams(*params);
  } else {
    wire::Encode(std::get<secagg::Closed>(answer), wire.mutable_closed());
  }
  return wire;
}

absl::StatusOr<secagg::Awaited> DecodeAwaited(const v1::AwaitResponse& wire) {
  const Field at("secagg.AwaitResponse");
  MUSTER_RETURN_IF_ERROR(wire::CheckSize(at, wire));
  switch (wire.answer_case()) {
    case v1::AwaitResponse::kPending:
      return secagg::Pending{};
    case v1::AwaitResponse::kRoster:
      return wire::Decode(at["roster"], wire.roster());
    case v1::AwaitResponse::kShares:
      return wire::Decode(at["shares"], wire.shares());
    case v1::AwaitResponse::kSurvivors:
      MUSTER_RETURN_IF_ERROR(
          wire::CheckBitmap(at["survivors"]["bitmap"], wire.survivors().bitmap()));
      return secagg::Survivors{wire.survivors().bitmap()};
    case v1::AwaitResponse::kUnmask:
      return wire::Decode(at["unmask"], wire.unmask());
    case v1::AwaitResponse::kOutcome:
      return wire::Decode(at["outcome"], wire.outcome());
    case v1::AwaitResponse::kClosed:
      return wire::Decode(at["closed"], wire.closed());
    case v1::AwaitResponse::ANSWER_NOT_SET:
      break;
  }
  return wire::Refuse(at["answer"], "is not set");
}

v1::AwaitResponse EncodeAwaited(const secagg::Awaited& awaited) {
  v1::AwaitResponse wire;
  std::visit(wire::AwaitedEncoder{&wire}, awaited);
  return wire;
}

}  // namespace muster
