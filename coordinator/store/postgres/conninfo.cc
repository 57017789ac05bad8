#include "coordinator/store/postgres/conninfo.h"

#include <libpq-fe.h>
#include <openssl/crypto.h>

#include <cstdlib>

#include "proto/core/strings.h"

namespace muster {
namespace {

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using Options = std::unique_ptr<PQconninfoOption, FreeOptions>;

// What holds where neither the URL nor libpq's environment says otherwise. A peer that is gone is
// noticed within half a minute, and no Kerberos ticket is looked for.
constexpr std::pair<std::string_view, std::string_view> kDefaults[] = {
    {"connect_timeout", "5"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "20000"},
    {"gssencmode", "disable"},
    {"fallback_application_name", kApplicationName},
};

std::string_view ValueOf(const PQconninfoOption* options, std::string_view keyword) {
  for (const PQconninfoOption* option = options; option != nullptr && option->keyword != nullptr;
       ++option) {
    if (keyword == option->keyword) return option->val == nullptr ? "" : option->val;
  }
  return "";
}

// A Unix socket, or an address that no packet leaves the machine for.
bool IsLocal(std::string_view host) {
  return host.empty() || host.front() == '/' || host.front() == '@' || host == "localhost" ||
         host == "127.0.0.1" || host == "::1";
}

bool AllLocal(std::string_view hosts) {
  while (true) {
    const size_t comma = hosts.find(',');
    if (!IsLocal(hosts.substr(0, comma))) return false;
    if (comma == std::string_view::npos) return true;
    hosts.remove_prefix(comma + 1);
  }
}

void Wipe(std::string& secret) { OPENSSL_cleanse(secret.data(), secret.size()); }

}  // namespace

absl::StatusOr<std::shared_ptr<const ConnInfo>> ConnInfo::Parse(const std::string& url) {
  char* ignored = nullptr;  // libpq's message repeats the URL
  const Options options(PQconninfoParse(url.c_str(), &ignored));
  PQfreemem(ignored);
  if (options == nullptr) {
    return absl::InvalidArgumentError(
        "the store's URL is none that PostgreSQL's client library reads; the form is"
        " postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE, with special"
        " characters of a password percent-encoded (or the password in PGPASSFILE)");
  }
  const std::shared_ptr<ConnInfo> info(new ConnInfo);
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) info->given_.emplace_back(option->keyword, option->val);
  }
  const Options environment(PQconndefaults());
  const auto effective = [&](std::string_view keyword) {
    const std::string_view given = info->Get(keyword);
    return std::string(given.empty() ? ValueOf(environment.get(), keyword) : given);
  };
  info->password_ = effective("password");
  const std::string host = effective("host"), address = effective("hostaddr");
  // libpq would take a server without TLS where nothing is said.
  const bool says_sslmode = !effective("service").empty() || ::getenv("PGSSLMODE") != nullptr ||
                            !info->Get("sslmode").empty();
  if (!says_sslmode && !(AllLocal(host) && AllLocal(address))) {
    info->given_.emplace_back("sslmode", "verify-full");
  }
  for (const auto& [keyword, value] : kDefaults) info->Default(keyword, value);
  info->given_.emplace_back("client_encoding", "UTF8");
  const std::string at = !host.empty() ? host : !address.empty() ? address : "localhost";
  info->where_ = StrCat(at, ":", effective("port"), "/", effective("dbname"));
  return std::shared_ptr<const ConnInfo>(info);
}

ConnInfo::~ConnInfo() {
  Wipe(password_);
  for (auto& [keyword, value] : given_) {
    if (keyword == "password" || keyword == "sslpassword") Wipe(value);
  }
}

std::string ConnInfo::Redacted(std::string text) const {
  for (const std::string_view secret : {std::string_view(password_), Get("sslpassword")}) {
    if (secret.empty()) continue;
    constexpr std::string_view kHidden = "***";
    for (size_t at = text.find(secret); at != std::string::npos;
         at = text.find(secret, at + kHidden.size())) {
      text.replace(at, secret.size(), kHidden);
    }
  }
  return text;
}

ConnInfo::Parameters ConnInfo::parameters() const {
  Parameters parameters;
  for (const auto& [keyword, value] : given_) {
    parameters.keywords.push_back(keyword.c_str());
    parameters.values.push_back(value.c_str());
  }
  parameters.keywords.push_back(nullptr);
  parameters.values.push_back(nullptr);
  return parameters;
}

std::string_view ConnInfo::Get(std::string_view keyword) const {
  for (const auto& [known, value] : given_) {
    if (known == keyword) return value;
  }
  return "";
}

void ConnInfo::Default(std::string_view keyword, std::string_view value) {
  if (Get(keyword).empty()) given_.emplace_back(keyword, value);
}

}  // namespace muster
