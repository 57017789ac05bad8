// Where a PostgreSQL server is, from its URL: libpq's own, postgresql://USER@HOST:PORT/DATABASE?...
// Whatever libpq knows passes through (sslmode, sslrootcert, options, target_session_attrs, ...),
// and what the URL leaves open comes from its environment (PGHOST, PGPASSFILE, PGPASSWORD, ...).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

// What a session is called on the server, unless the URL or PGAPPNAME says otherwise.
inline constexpr char kApplicationName[] = "muster-coordinator";

class ConnInfo {
 public:
  // InvalidArgument without a word of the URL: it may hold a password.
  static absl::StatusOr<std::shared_ptr<const ConnInfo>> Parse(const std::string& url);
  ~ConnInfo();  // wipes the password
  ConnInfo(const ConnInfo&) = delete;
  ConnInfo& operator=(const ConnInfo&) = delete;

  // "HOST:PORT/DATABASE", for messages.
  const std::string& where() const { return where_; }
  // `text` without the password, should it be in there.
  std::string Redacted(std::string text) const;

  // What PQconnectdbParams takes: both lists end with a null pointer and live as long as this.
  struct Parameters {
    std::vector<const char*> keywords, values;
  };
  Parameters parameters() const;
  // The value of a libpq keyword; "" if it is left to libpq.
  std::string_view Get(std::string_view keyword) const;

 private:
  ConnInfo() = default;
  void Default(std::string_view keyword, std::string_view value);

  std::vector<std::pair<std::string, std::string>> given_;
  std::string where_;
  std::string password_;
};

}  // namespace muster
