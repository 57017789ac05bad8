// The audit log.
#include <algorithm>

#include "coordinator/rpc/operator_service.h"
#include "coordinator/rpc/refusal_log.h"
#include "coordinator/rpc/views.h"
#include "coordinator/store/audit_chain.h"
#include "proto/codec/operator_codec.h"
#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

using Caller = const std::optional<Principal>&;

// Follows the chain from its anchor to its end and compares with what the caller kept.
absl::Status FollowChain(const StoreReader& reader, const AuditChain& chain,
                         const std::vector<AuditPlace>& expected) {
  AuditVerifier verifier(chain);
  const auto check = [&](uint64_t number, const Digest& hash) -> absl::Status {
    for (const AuditPlace& place : expected) {
      if (place.chain != chain.chain || place.number != number || place.hash == hash) continue;
      return absl::DataLossError(StrCat("audit chain ", chain.chain, ": row ", number,
                                        " has another hash than the one that was expected: the",
                                        " chain was made anew"));
    }
    return absl::OkStatus();
  };
  MUSTER_RETURN_IF_ERROR(check(chain.anchor_number, chain.anchor_hash));
  while (true) {
    MUSTER_ASSIGN_OR_RETURN(const auto rows, reader.ReadAuditChain(chain.chain, verifier.number(),
                                                                   limits::kMaxPageSize));
    for (const AuditRecord& row : rows) {
      MUSTER_RETURN_IF_ERROR(verifier.Follow(row));
      MUSTER_RETURN_IF_ERROR(check(row.number, row.hash));
    }
    if (rows.size() < limits::kMaxPageSize) break;
  }
  for (const AuditPlace& place : expected) {
    if (place.chain != chain.chain || place.number <= chain.last_number) continue;
    return absl::DataLossError(StrCat("audit chain ", chain.chain, ": ends at row ",
                                      chain.last_number, ", but row ", place.number,
                                      " was there before"));
  }
  return verifier.Finish();
}

v1::AuditChain VerifyChain(const StoreReader& reader, const AuditChain& chain,
                           const std::vector<AuditPlace>& expected) {
  v1::AuditChain view;
  view.set_chain(chain.chain);
  view.set_first(chain.anchor_number + 1);
  view.set_last(chain.last_number);
  view.set_hash(std::string(chain.last_hash.bytes()));
  const absl::Status whole = FollowChain(reader, chain, expected);
  view.set_intact(whole.ok());
  view.set_problem(std::string(StdView(whole.message())));
  return view;
}

}  // namespace

OperatorServiceImpl::Reactor* OperatorServiceImpl::ListAudit(Context* context,
                                                             const v1::ListAuditRequest* request,
                                                             v1::ListAuditResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/ListAudit",
               [this, request, response](Caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const AuditListing listing, DecodeListAudit(*request));
                 MUSTER_RETURN_IF_ERROR(edge_.refusals().Flush(true));
                 return edge_.drive().store.Read([&](const StoreReader& reader) -> absl::Status {
                   MUSTER_ASSIGN_OR_RETURN(
                       const auto rows,
                       reader.ListAudit({listing.since, listing.actor, listing.action},
                                        {.after = listing.page.token, .limit = listing.page.size}));
                   for (const AuditRecord& row : rows) *response->add_rows() = ViewAudit(row);
                   if (rows.size() == listing.page.size) {
                     response->set_next_page_token(AuditKey::Of(rows.back()).ToString());
                   }
                   return absl::OkStatus();
                 });
               });
}

OperatorServiceImpl::Reactor* OperatorServiceImpl::VerifyAudit(
    Context* context, const v1::VerifyAuditRequest* request, v1::VerifyAuditResponse* response) {
  return Unary(edge_, context, "muster.v1.OperatorService/VerifyAudit",
               [this, request, response](Caller) -> absl::Status {
                 MUSTER_ASSIGN_OR_RETURN(const auto expected, DecodeVerifyAudit(*request));
                 return edge_.drive().store.Read([&](const StoreReader& reader) -> absl::Status {
                   MUSTER_ASSIGN_OR_RETURN(auto chains, reader.ListAuditChains());
                   for (const AuditPlace& place : expected) {
                     const bool known = std::any_of(
                         chains.begin(), chains.end(),
                         [&](const AuditChain& chain) { return chain.chain == place.chain; });
                     // Expected, and gone: shown as a chain that ends before it begins.
                     if (!known) chains.push_back({.chain = place.chain});
                   }
                   for (const AuditChain& chain : chains) {
                     *response->add_chains() = VerifyChain(reader, chain, expected);
                   }
                   return absl::OkStatus();
                 });
               });
}

}  // namespace muster
