// tokens create, ls and revoke.
#include "coordinator/cli/commands.h"
#include "coordinator/cli/duration.h"
#include "coordinator/cli/text.h"
#include "proto/core/ids.h"
#include "proto/core/labels.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

constexpr Duration kDefaultTtl = std::chrono::hours(1);
constexpr Duration kMinTtl = std::chrono::seconds(1);

std::string LabelsOf(const v1::TokenInfo& token) {
  return FormatLabels(Labels(token.labels().begin(), token.labels().end()));
}

absl::StatusOr<v1::CreateTokenRequest> OrderOf(const Arguments& arguments) {
  v1::CreateTokenRequest request;
  MUSTER_ASSIGN_OR_RETURN(const uint32_t uses,
                          CountOption(arguments, "uses", 1, 1, limits::kMaxTokenUses));
  MUSTER_ASSIGN_OR_RETURN(const Duration ttl, TimeOption(arguments, "ttl", kDefaultTtl));
  if (ttl < kMinTtl || ttl > limits::kMaxTokenTtl) {
    return absl::InvalidArgumentError(
        StrCat("--ttl must be from 1s to ", FormatDuration(limits::kMaxTokenTtl)));
  }
  auto labels = ParseLabels(StrJoin(arguments.All("label"), ","));
  if (!labels.ok()) return Annotate(labels.status(), "--label");
  request.set_uses(uses);
  request.set_ttl_us(ttl.count());
  request.mutable_labels()->insert(labels->begin(), labels->end());
  return request;
}

absl::StatusOr<ExitCode> Create(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const v1::CreateTokenRequest request, OrderOf(context.arguments));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_ASSIGN_OR_RETURN(const v1::CreateTokenResponse response, api->Call(request));
  if (context.json()) {
    PrintJson(context, ViewOf(response));
    return kExitDone;
  }
  const v1::TokenInfo& info = response.info();
  context.out << response.token() << std::endl;
  context.err << "token " << info.id() << " admits " << info.uses()
              << (info.uses() == 1 ? " device" : " devices") << " until "
              << FormatTime(info.expires_unix_us());
  if (!info.labels().empty()) context.err << ", with the labels " << LabelsOf(info);
  context.err << ".\nIt is shown this once. On a device: muster-client enroll --coordinator "
              << context.settings.coordinator
              << " --ca-pin PIN --token TOKEN\n(`muster-coordinator pin` prints the pin)"
              << std::endl;
  return kExitDone;
}

absl::StatusOr<ExitCode> List(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_ASSIGN_OR_RETURN(const v1::ListTokensResponse tokens, api->Call(v1::ListTokensRequest()));
  if (context.json()) {
    PrintJson(context, ViewOf(tokens));
    return kExitDone;
  }
  Table table({{"TOKEN"}, {"USED", Table::Align::kRight}, {"EXPIRES"}, {"LABELS"}, {"STATE"}});
  const Timestamp now = SystemClock().Now();
  for (const v1::TokenInfo& token : tokens.tokens()) {
    const std::string state = token.revoked()                          ? "revoked"
                              : token.expires_unix_us() <= now.unix_us ? "expired"
                              : token.used() >= token.uses()           ? "used up"
                                                                       : "open";
    table.Add({token.id(),
               StrCat(token.used(), "/", token.uses()),
               FormatTime(token.expires_unix_us()),
               LabelsOf(token),
               {state, ColorOf(state)}});
  }
  context.out << table.Render(context.color());
  return kExitDone;
}

absl::StatusOr<ExitCode> Revoke(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const TokenId id, TokenId::Parse(context.arguments.operands[0]));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  v1::RevokeTokenRequest request;
  request.set_id(id.value());
  MUSTER_ASSIGN_OR_RETURN(const v1::RevokeTokenResponse response, api->Call(request));
  if (context.json()) {
    PrintJson(context, ViewOf(response));
  } else {
    context.out << "token " << id.value() << " is revoked: it admits no more devices" << std::endl;
  }
  return kExitDone;
}

}  // namespace

std::vector<Command> TokenCommands() {
  return {
      {.words = "tokens create",
       .operands = "",
       .summary = "make a join token for devices",
       .description =
           "Makes a token with which devices enrol, and prints it, once: the "
           "coordinator keeps a hash of it only. The token alone goes to stdout. Devices "
           "get the token's labels, which they cannot change. With --json: {\"token\", "
           "\"info\"}.",
       .options = {{"uses", 0, "N", "devices that may enrol with it (1)"},
                   {"ttl", 0, "TIME", "how long it is good for (1h)"},
                   {"label", 0, "KEY=VALUE", "a label of these devices; may be repeated"}},
       .examples = "muster tokens create --uses 10 --ttl 1h --label site=a",
       .run = Create},
      {.words = "tokens ls",
       .operands = "",
       .summary = "list join tokens, newest first",
       .description = "Lists tokens with their uses and ends, never the tokens themselves. With "
                      "--json: {\"tokens\": [...]}.",
       .options = {},
       .examples = "muster tokens ls",
       .run = List},
      {.words = "tokens revoke",
       .operands = "ID",
       .operands_min = 1,
       .operands_max = 1,
       .summary = "make a join token useless",
       .description = "Lets no more devices enrol with this token. Devices that did stay.",
       .options = {},
       .examples = "muster tokens revoke 3f9c2a",
       .run = Revoke},
  };
}

}  // namespace muster::cli
