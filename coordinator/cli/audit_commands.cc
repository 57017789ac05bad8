// audit ls and verify.
#include <algorithm>
#include <charconv>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/text.h"
#include "proto/core/digest.h"
#include "proto/core/limits.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

constexpr uint32_t kDefaultRows = 100;

std::string TimesOf(const v1::AuditRow& row) {
  return row.count() == 1 ? "" : FormatCount(row.count());
}

absl::StatusOr<ExitCode> List(Context& context) {
  v1::ListAuditRequest request;
  MUSTER_ASSIGN_OR_RETURN(const uint32_t limit,
                          CountOption(context.arguments, "limit", kDefaultRows, 1, kMaxListed));
  MUSTER_ASSIGN_OR_RETURN(const Duration since,
                          TimeOption(context.arguments, "since", Duration::zero()));
  if (since > Duration::zero()) {
    request.set_since_unix_us((SystemClock().Now() - since).unix_us);
  }
  request.set_actor(context.arguments.Get("actor"));
  request.set_action(context.arguments.Get("action"));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  v1::ListAuditResponse all;
  do {
    const uint32_t missing = limit - static_cast<uint32_t>(all.rows_size());
    request.set_page_size(std::min<uint32_t>(missing, limits::kMaxPageSize));
    MUSTER_ASSIGN_OR_RETURN(v1::ListAuditResponse page, api->Call(request));
    request.set_page_token(page.next_page_token());
    for (v1::AuditRow& row : *page.mutable_rows()) all.add_rows()->Swap(&row);
  } while (!request.page_token().empty() && static_cast<uint32_t>(all.rows_size()) < limit);
  if (context.json()) {
    PrintJson(context, ListView("rows", all.rows()));
    return kExitDone;
  }
  Table table(
      {{"TIME"}, {"ACTOR"}, {"ACTION"}, {"TIMES", Table::Align::kRight}, {"SUBJECT"}, {"DETAIL"}});
  for (const v1::AuditRow& row : all.rows()) {
    table.Add({FormatTime(row.at_unix_us()), Printable(row.actor()), Printable(row.action()),
               TimesOf(row), Printable(row.subject()), Printable(row.detail())});
  }
  context.out << table.Render(context.color());
  return kExitDone;
}

// CHAIN@NUMBER=HASH, as verify prints it.
absl::StatusOr<v1::AuditPlace> ParsePlace(std::string_view text) {
  const absl::Status bad = absl::InvalidArgumentError(StrCat(
      "--expect ", text, ": expected CHAIN@NUMBER=HASH, as `muster audit verify` prints it"));
  const size_t equals = text.rfind('=');
  if (equals == std::string_view::npos) return bad;
  const size_t at = text.rfind('@', equals);
  if (at == std::string_view::npos || at == 0) return bad;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data() + at + 1, text.data() + equals, number);
  if (error != std::errc() || end != text.data() + equals) return bad;
  auto hash = Digest::FromHex(text.substr(equals + 1));
  if (!hash.ok()) return bad;
  v1::AuditPlace place;
  place.set_chain(std::string(text.substr(0, at)));
  place.set_number(number);
  place.set_hash(std::string(hash->bytes()));
  return place;
}

absl::StatusOr<ExitCode> Verify(Context& context) {
  v1::VerifyAuditRequest request;
  for (const std::string& text : context.arguments.All("expect")) {
    MUSTER_ASSIGN_OR_RETURN(*request.add_expected(), ParsePlace(text));
  }
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_ASSIGN_OR_RETURN(const v1::VerifyAuditResponse answer, api->Call(request));
  bool intact = true;
  for (const v1::AuditChain& chain : answer.chains()) intact = intact && chain.intact();
  if (context.json()) {
    PrintJson(context, ViewOf(answer));
    return intact ? kExitDone : kExitFailed;
  }
  for (const v1::AuditChain& chain : answer.chains()) {
    if (chain.intact()) {
      context.out << Printable(chain.chain()) << "@" << chain.last() << "="
                  << HexEncode(chain.hash()) << "\n";
    } else {
      context.err << "not intact: " << Printable(chain.problem()) << "\n";
    }
  }
  context.out << std::flush;
  if (intact) {
    context.err << "the audit log is whole; keep these lines elsewhere and give them to the next "
                   "verify with --expect\n";
  }
  return intact ? kExitDone : kExitFailed;
}

}  // namespace

std::vector<Command> AuditCommands() {
  return {
      {.words = "audit ls",
       .operands = "",
       .summary = "show who did what, newest first",
       .description =
           "Lists the audit log: changes by operators and researchers (tokens, revocations, jobs, "
           "promotions, roll-backs), enrolments and renewals of devices, and refused calls, which "
           "are summed up. Actors are such as operator/ada, device/pump-7 or token/3f9c2a; actions "
           "are such as token.create, device.enrol, model.promote or refused.PERMISSION_DENIED. "
           "With --json: {\"rows\": [...]}.",
       .options = {{"since", 0, "TIME", "no older than this, such as 24h (all)"},
                   {"actor", 0, "TEXT", "whose actor begins with it"},
                   {"action", 0, "TEXT", "whose action begins with it"},
                   {"limit", 0, "N", "rows at most (100)"}},
       .examples = "muster audit ls --since 24h\nmuster audit ls --actor operator/ --action token.",
       .run = List},
      {.words = "audit verify",
       .operands = "",
       .summary = "check that no row of the audit log was changed or removed",
       .description =
           "Follows every chain of the audit log: each row's hash covers the row and the hash "
           "before it. Prints the end of each chain as CHAIN@NUMBER=HASH. Somebody who can write "
           "to the store could make a whole chain anew; so keep these lines elsewhere, and give "
           "them with --expect: then the log must still have that very row. Exit code 1 if "
           "anything is not as it was. With --json: {\"chains\": [...]}.",
       .options = {{"expect", 0, "CHAIN@NUMBER=HASH",
                    "a line that an earlier verify printed; may be repeated"}},
       .examples = "muster audit verify > audit-heads.txt",
       .run = Verify},
  };
}

}  // namespace muster::cli
