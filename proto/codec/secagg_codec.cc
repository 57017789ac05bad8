#include "proto/codec/secagg_codec.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <set>
#include <utility>

#include "proto/codec/device_codec.h"
#include "proto/codec/job_fields.h"
#include "proto/codec/offer_fields.h"
#include "proto/codec/secagg_fields.h"
#include "proto/core/limits.h"

namespace muster {
namespace wire {
namespace {

constexpr EnumPair<v1::SecAggMode, secagg::Mode> kModes[] = {
    {v1::SEC_AGG_MODE_SEMI_HONEST, secagg::Mode::kSemiHonest},
    {v1::SEC_AGG_MODE_MALICIOUS, secagg::Mode::kMalicious},
};
constexpr EnumPair<v1::SecAggPhase, secagg::Phase> kPhases[] = {
    {v1::SEC_AGG_PHASE_ADVERTISE, secagg::Phase::kAdvertise},
    {v1::SEC_AGG_PHASE_SHARE, secagg::Phase::kShare},
    {v1::SEC_AGG_PHASE_MASKED, secagg::Phase::kMasked},
    {v1::SEC_AGG_PHASE_CONSISTENCY, secagg::Phase::kConsistency},
    {v1::SEC_AGG_PHASE_UNMASK, secagg::Phase::kUnmask},
};
constexpr EnumPair<v1::AwaitedPhase, secagg::AwaitedPhase> kAwaitedPhases[] = {
    {v1::AWAITED_PHASE_ROSTER, secagg::AwaitedPhase::kRoster},
    {v1::AWAITED_PHASE_SHARES, secagg::AwaitedPhase::kShares},
    {v1::AWAITED_PHASE_SURVIVORS, secagg::AwaitedPhase::kSurvivors},
    {v1::AWAITED_PHASE_UNMASK, secagg::AwaitedPhase::kUnmask},
    {v1::AWAITED_PHASE_OUTCOME, secagg::AwaitedPhase::kOutcome},
};

absl::StatusOr<secagg::PublicKeyBytes> DecodeKey(const Field& at, const std::string& bytes) {
  secagg::PublicKeyBytes key;
  MUSTER_RETURN_IF_ERROR(CheckExactly(at, bytes.size(), key.size()));
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

std::string EncodeKey(const secagg::PublicKeyBytes& key) {
  return std::string(key.begin(), key.end());
}

absl::StatusOr<InvocationId> DecodeInvocationOf(const Field& at, const std::string& text) {
  return DecodeId<InvocationId>(at["invocation"], text);
}

absl::Status DecodeLanes(const Field& at, const v1::SecAggParams& wire, secagg::Params& decoded) {
  MUSTER_RETURN_IF_ERROR(CheckCount(at["metrics"], wire.metrics_size(), limits::kMaxSecAggMetrics));
  std::set<std::string_view> seen;
  for (int i = 0; i < wire.metrics_size(); ++i) {
    const std::string& name = wire.metrics(i);
    if (absl::Status status = ValidateId("metric name", name); !status.ok()) {
      return Refuse(at.At("metrics", i), status);
    }
    if (!seen.insert(name).second) {
      return Refuse(at.At("metrics", i), StrCat("'", name, "' comes twice"));
    }
    decoded.metrics.push_back(name);
  }
  decoded.clip_lane = wire.clip_lane();
  decoded.weighted = wire.weighted();
  MUSTER_RETURN_IF_ERROR(CheckRange(at["examples_cap"], wire.examples_cap(), 1,
                                    limits::kMaxExamplesPerUpdate, "examples"));
  decoded.examples_cap = wire.examples_cap();
  return absl::OkStatus();
}

absl::Status DecodeNumbers(const Field& at, const v1::SecAggParams& wire, secagg::Params& decoded) {
  const uint32_t bits = wire.ring_bits();
  if (bits != 16 && bits != 32 && bits != 64) {
    return Refuse(at["ring_bits"], StrCat(bits, " is none of 16, 32 and 64"));
  }
  decoded.ring_bits = bits;
  constexpr double kAnyReal = std::numeric_limits<double>::max();
  MUSTER_RETURN_IF_ERROR(CheckReal(at["clip"], wire.clip(), 0, kAnyReal, Open::kLow));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["scale"], wire.scale(), 0, kAnyReal, Open::kLow));
  decoded.clip = wire.clip();
  decoded.scale = wire.scale();
  MUSTER_RETURN_IF_ERROR(
      CheckRange(at["max_clients"], wire.max_clients(), 1, limits::kMaxSecAggClients, "clients"));
  MUSTER_RETURN_IF_ERROR(
      CheckRange(at["min_clients"], wire.min_clients(), 1, wire.max_clients(), "clients"));
  decoded.min_clients = wire.min_clients();
  decoded.max_clients = wire.max_clients();
  MUSTER_RETURN_IF_ERROR(CheckReal(at["drop"], wire.drop(), 0, 1, Open::kHigh));
  MUSTER_RETURN_IF_ERROR(CheckReal(at["corrupt"], wire.corrupt(), 0, 1, Open::kHigh));
  decoded.drop = wire.drop();
  decoded.corrupt = wire.corrupt();
  if (wire.has_noise()) {
    const Field noise = at["noise"];
    secagg::ClientNoise& out = decoded.noise.emplace();
    MUSTER_RETURN_IF_ERROR(CheckReal(noise["variance_per_client"],
                                     wire.noise().variance_per_client(), 0, kAnyReal, Open::kLow));
    out.variance_per_client = wire.noise().variance_per_client();
    MUSTER_ASSIGN_OR_RETURN(out.rotation_seed,
                            DecodeDigest(noise["rotation_seed"], wire.noise().rotation_seed()));
  }
  return absl::OkStatus();
}

absl::Status DecodeRevealed(const Field& at, std::string_view name,
                            const google::protobuf::RepeatedPtrField<v1::RevealedShare>& wire,
                            std::vector<secagg::RevealedShare>& decoded) {
  MUSTER_RETURN_IF_ERROR(CheckCount(at[name], wire.size(), limits::kMaxSecAggNeighbours));
  Ascending ascending;
  for (int i = 0; i < wire.size(); ++i) {
    const Field share = at.At(name, i);
    MUSTER_RETURN_IF_ERROR(
        CheckAtMost(share["index"], wire[i].index(), limits::kMaxSecAggClients - 1));
    MUSTER_RETURN_IF_ERROR(ascending.Check(share["index"], wire[i].index()));
    MUSTER_RETURN_IF_ERROR(
        CheckExactly(share["share"], wire[i].share().size(), limits::kSecAggShareBytes));
    decoded.push_back({.index = wire[i].index(), .share = wire[i].share()});
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckExactly(const Field& at, size_t bytes, size_t expected) {
  if (bytes == expected) return absl::OkStatus();
  return Refuse(at, StrCat("has ", expected, " bytes, not ", bytes));
}

absl::Status CheckSignature(const Field& at, const std::string& signature) {
  return CheckRange(at, signature.size(), 1, limits::kMaxSecAggSignatureBytes, "bytes");
}

absl::StatusOr<secagg::Params> DecodeParams(const Field& at, const v1::SecAggParams& wire) {
  secagg::Params decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.job, DecodeId<JobId>(at["job"], wire.job()));
  MUSTER_RETURN_IF_ERROR(CheckRange(at["round"], wire.round(), 1, limits::kMaxRounds));
  MUSTER_RETURN_IF_ERROR(CheckRange(at["attempt"], wire.attempt(), 1, limits::kMaxRoundAttempts));
  decoded.round = wire.round();
  decoded.attempt = wire.attempt();
  MUSTER_ASSIGN_OR_RETURN(decoded.model, DecodeDigest(at["model"], wire.model()));
  MUSTER_RETURN_IF_ERROR(
      CheckRange(at["dimension"], wire.dimension(), 1, limits::kMaxParameters, "parameters"));
  decoded.dimension = wire.dimension();
  MUSTER_RETURN_IF_ERROR(DecodeLanes(at, wire, decoded));
  MUSTER_RETURN_IF_ERROR(DecodeNumbers(at, wire, decoded));
  MUSTER_ASSIGN_OR_RETURN(decoded.mode, DecodeEnum(at["mode"], kModes, wire.mode()));
  MUSTER_ASSIGN_OR_RETURN(decoded.cipher, DecodeEnum(at["cipher"], kMaskCiphers, wire.cipher()));
  MUSTER_ASSIGN_OR_RETURN(decoded.nonce, DecodeDigest(at["nonce"], wire.nonce()));
  return decoded;
}

absl::StatusOr<secagg::Advert> DecodeAdvert(const Field& at, const v1::SecAggAdvert& wire) {
  secagg::Advert decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.client, DecodeId<DeviceId>(at["client"], wire.client()));
  MUSTER_ASSIGN_OR_RETURN(decoded.mask_key, DecodeKey(at["mask_key"], wire.mask_key()));
  MUSTER_ASSIGN_OR_RETURN(decoded.sharing_key, DecodeKey(at["sharing_key"], wire.sharing_key()));
  MUSTER_ASSIGN_OR_RETURN(decoded.nonce, DecodeDigest(at["nonce"], wire.nonce()));
  MUSTER_RETURN_IF_ERROR(CheckRange(at["certificate"], wire.certificate().size(), 1,
                                    limits::kMaxAdvertCertificateBytes, "bytes"));
  decoded.certificate = wire.certificate();
  MUSTER_RETURN_IF_ERROR(CheckSignature(at["signature"], wire.signature()));
  decoded.signature = wire.signature();
  return decoded;
}

}  // namespace wire

using wire::Field;

absl::StatusOr<secagg::JoinAsk> DecodeJoin(const v1::JoinRequest& wire) {
  secagg::JoinAsk decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.invocation,
                          wire::DecodeInvocationOf(Field("secagg.JoinRequest"), wire.invocation()));
  return decoded;
}

v1::JoinRequest EncodeJoin(const secagg::JoinAsk& ask) {
  v1::JoinRequest wire;
  wire.set_invocation(ask.invocation.value());
  return wire;
}

absl::StatusOr<secagg::AdvertOffer> DecodeAdvertOffer(const v1::AdvertiseRequest& wire) {
  const Field at("secagg.AdvertiseRequest");
  secagg::AdvertOffer decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.invocation, wire::DecodeInvocationOf(at, wire.invocation()));
  MUSTER_RETURN_IF_ERROR(wire::CheckPresent(at["advert"], wire.has_advert()));
  MUSTER_ASSIGN_OR_RETURN(decoded.advert, wire::DecodeAdvert(at["advert"], wire.advert()));
  MUSTER_ASSIGN_OR_RETURN(decoded.metering, wire::DecodeMetering(at["metering"], wire.metering()));
  return decoded;
}

v1::AdvertiseRequest EncodeAdvertOffer(const secagg::AdvertOffer& offer) {
  v1::AdvertiseRequest wire;
  wire.set_invocation(offer.invocation.value());
  *wire.mutable_advert() = EncodeAdvert(offer.advert);
  *wire.mutable_metering() = EncodeMetering(offer.metering);
  return wire;
}

absl::StatusOr<secagg::ShareOffer> DecodeShareOffer(const v1::ShareRequest& wire) {
  const Field at("secagg.ShareRequest");
  secagg::ShareOffer decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.invocation, wire::DecodeInvocationOf(at, wire.invocation()));
  MUSTER_ASSIGN_OR_RETURN(decoded.bundle.commitment,
                          wire::DecodeDigest(at["commitment"], wire.commitment()));
  MUSTER_RETURN_IF_ERROR(wire::CheckRange(at["ciphertexts"], wire.ciphertexts_size(), 1,
                                          limits::kMaxSecAggNeighbours, "entries"));
  for (int i = 0; i < wire.ciphertexts_size(); ++i) {
    MUSTER_RETURN_IF_ERROR(wire::CheckExactly(at.At("ciphertexts", i), wire.ciphertexts(i).size(),
                                              limits::kSecAggBoxBytes));
    decoded.bundle.ciphertexts.push_back(wire.ciphertexts(i));
  }
  MUSTER_RETURN_IF_ERROR(wire::CheckSignature(at["signature"], wire.signature()));
  decoded.bundle.signature = wire.signature();
  return decoded;
}

v1::ShareRequest EncodeShareOffer(const secagg::ShareOffer& offer) {
  v1::ShareRequest wire;
  wire.set_invocation(offer.invocation.value());
  wire.set_commitment(wire::EncodeDigest(offer.bundle.commitment));
  for (const std::string& box : offer.bundle.ciphertexts) wire.add_ciphertexts(box);
  wire.set_signature(offer.bundle.signature);
  return wire;
}

absl::StatusOr<secagg::MaskedOffer> DecodeMaskedOffer(const v1::SubmitMaskedRequest& wire) {
  const Field at("secagg.SubmitMaskedRequest");
  secagg::MaskedOffer decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.invocation, wire::DecodeInvocationOf(at, wire.invocation()));
  MUSTER_ASSIGN_OR_RETURN(decoded.report.vector, wire::DecodeDigest(at["vector"], wire.vector()));
  MUSTER_ASSIGN_OR_RETURN(decoded.report.neighbours,
                          wire::DecodeDigest(at["neighbours"], wire.neighbours()));
  MUSTER_RETURN_IF_ERROR(wire::CheckSignature(at["signature"], wire.signature()));
  decoded.report.signature = wire.signature();
  MUSTER_ASSIGN_OR_RETURN(decoded.metering, wire::DecodeMetering(at["metering"], wire.metering()));
  return decoded;
}

v1::SubmitMaskedRequest EncodeMaskedOffer(const secagg::MaskedOffer& offer) {
  v1::SubmitMaskedRequest wire;
  wire.set_invocation(offer.invocation.value());
  wire.set_vector(wire::EncodeDigest(offer.report.vector));
  wire.set_neighbours(wire::EncodeDigest(offer.report.neighbours));
  wire.set_signature(offer.report.signature);
  *wire.mutable_metering() = EncodeMetering(offer.metering);
  return wire;
}

absl::StatusOr<secagg::ConsentOffer> DecodeConsentOffer(const v1::AgreeRequest& wire) {
  const Field at("secagg.AgreeRequest");
  secagg::ConsentOffer decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.invocation, wire::DecodeInvocationOf(at, wire.invocation()));
  MUSTER_RETURN_IF_ERROR(wire::CheckSignature(at["signature"], wire.signature()));
  decoded.consent.signature = wire.signature();
  return decoded;
}

v1::AgreeRequest EncodeConsentOffer(const secagg::ConsentOffer& offer) {
  v1::AgreeRequest wire;
  wire.set_invocation(offer.invocation.value());
  wire.set_signature(offer.consent.signature);
  return wire;
}

absl::StatusOr<secagg::UnmaskOffer> DecodeUnmaskOffer(const v1::UnmaskSharesRequest& wire) {
  const Field at("secagg.UnmaskSharesRequest");
  secagg::UnmaskOffer decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.invocation, wire::DecodeInvocationOf(at, wire.invocation()));
  secagg::UnmaskReply& reply = decoded.reply;
  MUSTER_RETURN_IF_ERROR(
      wire::DecodeRevealed(at, "self_shares", wire.self_shares(), reply.self_shares));
  MUSTER_RETURN_IF_ERROR(
      wire::DecodeRevealed(at, "key_shares", wire.key_shares(), reply.key_shares));
  MUSTER_RETURN_IF_ERROR(wire::CheckRange(at["shares"],
                                          reply.self_shares.size() + reply.key_shares.size(), 1,
                                          limits::kMaxSecAggNeighbours, "entries"));
  for (size_t s = 0, k = 0; s < reply.self_shares.size() && k < reply.key_shares.size();) {
    const uint32_t self = reply.self_shares[s].index, key = reply.key_shares[k].index;
    if (self == key) {
      return wire::Refuse(at.At("key_shares", k)["index"],
                          StrCat("both secrets of client ", key, " would be opened"));
    }
    self < key ? ++s : ++k;
  }
  return decoded;
}

v1::UnmaskSharesRequest EncodeUnmaskOffer(const secagg::UnmaskOffer& offer) {
  v1::UnmaskSharesRequest wire;
  wire.set_invocation(offer.invocation.value());
  const auto add = [](const std::vector<secagg::RevealedShare>& shares, auto* out) {
    for (const secagg::RevealedShare& share : shares) {
      v1::RevealedShare& added = *out->Add();
      added.set_index(share.index);
      added.set_share(share.share);
    }
  };
  add(offer.reply.self_shares, wire.mutable_self_shares());
  add(offer.reply.key_shares, wire.mutable_key_shares());
  return wire;
}

absl::StatusOr<secagg::Refusal> DecodeRefusal(const v1::RefuseRequest& wire) {
  const Field at("secagg.RefuseRequest");
  secagg::Refusal decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.invocation, wire::DecodeInvocationOf(at, wire.invocation()));
  MUSTER_ASSIGN_OR_RETURN(decoded.phase,
                          wire::DecodeEnum(at["phase"], wire::kPhases, wire.phase()));
  MUSTER_RETURN_IF_ERROR(wire::CheckText(at["reason"], wire.reason(), limits::kMaxTextLength));
  decoded.reason = wire.reason();
  return decoded;
}

v1::RefuseRequest EncodeRefusal(const secagg::Refusal& refusal) {
  v1::RefuseRequest wire;
  wire.set_invocation(refusal.invocation.value());
  wire.set_phase(wire::EncodeEnum(wire::kPhases, refusal.phase));
  wire.set_reason(wire::ClampText(refusal.reason, limits::kMaxTextLength));
  return wire;
}

absl::StatusOr<secagg::AwaitAsk> DecodeAwait(const v1::AwaitRequest& wire) {
  const Field at("secagg.AwaitRequest");
  secagg::AwaitAsk decoded;
  MUSTER_ASSIGN_OR_RETURN(decoded.invocation, wire::DecodeInvocationOf(at, wire.invocation()));
  MUSTER_ASSIGN_OR_RETURN(decoded.phase,
                          wire::DecodeEnum(at["phase"], wire::kAwaitedPhases, wire.phase()));
  constexpr auto kMaxWait = std::chrono::milliseconds(limits::kMaxCheckInWait);
  MUSTER_RETURN_IF_ERROR(wire::CheckAtMost(at["wait_ms"], wire.wait_ms(), kMaxWait.count(), "ms"));
  decoded.wait = std::chrono::milliseconds(wire.wait_ms());
  return decoded;
}

v1::AwaitRequest EncodeAwait(const secagg::AwaitAsk& ask) {
  v1::AwaitRequest wire;
  wire.set_invocation(ask.invocation.value());
  wire.set_phase(wire::EncodeEnum(wire::kAwaitedPhases, ask.phase));
  wire.set_wait_ms(static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(ask.wait).count()));
  return wire;
}

absl::StatusOr<secagg::Params> DecodeSecAggParams(const v1::SecAggParams& wire) {
  return wire::DecodeParams(Field("secagg.SecAggParams"), wire);
}

v1::SecAggParams EncodeSecAggParams(const secagg::Params& params) {
  v1::SecAggParams wire;
  wire.set_job(params.job.value());
  wire.set_round(params.round);
  wire.set_attempt(params.attempt);
  wire.set_model(wire::EncodeDigest(params.model));
  wire.set_dimension(params.dimension);
  for (const std::string& name : params.metrics) wire.add_metrics(name);
  wire.set_clip_lane(params.clip_lane);
  wire.set_weighted(params.weighted);
  wire.set_examples_cap(params.examples_cap);
  wire.set_ring_bits(params.ring_bits);
  wire.set_clip(params.clip);
  wire.set_scale(params.scale);
  wire.set_min_clients(params.min_clients);
  wire.set_max_clients(params.max_clients);
  wire.set_drop(params.drop);
  wire.set_corrupt(params.corrupt);
  wire.set_mode(wire::EncodeEnum(wire::kModes, params.mode));
  wire.set_cipher(wire::EncodeEnum(wire::kMaskCiphers, params.cipher));
  if (params.noise.has_value()) {
    wire.mutable_noise()->set_variance_per_client(params.noise->variance_per_client);
    wire.mutable_noise()->set_rotation_seed(wire::EncodeDigest(params.noise->rotation_seed));
  }
  wire.set_nonce(wire::EncodeDigest(params.nonce));
  return wire;
}

absl::StatusOr<secagg::Advert> DecodeAdvert(const v1::SecAggAdvert& wire) {
  return wire::DecodeAdvert(Field("secagg.SecAggAdvert"), wire);
}

v1::SecAggAdvert EncodeAdvert(const secagg::Advert& advert) {
  v1::SecAggAdvert wire;
  wire.set_client(advert.client.value());
  wire.set_mask_key(wire::EncodeKey(advert.mask_key));
  wire.set_sharing_key(wire::EncodeKey(advert.sharing_key));
  wire.set_nonce(wire::EncodeDigest(advert.nonce));
  wire.set_certificate(advert.certificate);
  wire.set_signature(advert.signature);
  return wire;
}

}  // namespace muster
