// A real PostgreSQL server in a temporary folder, for one test program: started as an unprivileged
// user (the server refuses root), stopped and removed at the end, gone with its parent if that
// dies. From Debian's package `postgresql`; MUSTER_POSTGRES_BIN names another folder of programs.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

class PostgresServer {
 public:
  struct Options {
    bool tcp = false;  // on 127.0.0.1 and a free port too, not only on a Unix socket
    // PEM files; with them, TCP clients must use TLS.
    std::string certificate_pem, key_pem;
    std::string password;               // that TCP clients must give; empty: none
    std::vector<std::string> settings;  // "name=value"
  };

  static absl::StatusOr<std::unique_ptr<PostgresServer>> Start(const Options& options);
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  // Over the Unix socket.
  std::string Url() const;
  // The same, with an empty schema of its own: a database that nobody else sees.
  std::string FreshUrl();
  // Statements as the superuser over `url`; the first column of the first row, "" if there is none.
  absl::StatusOr<std::string> Sql(const std::string& sql) const;
  absl::StatusOr<std::string> Sql(const std::string& url, const std::string& sql) const;

  int port() const { return port_; }
  const std::filesystem::path& socket_folder() const { return folder_; }

  // As a power cut would: no checkpoint, no farewell. Launch() recovers.
  void Crash();
  absl::Status Launch();  // runs again, and answers

 private:
  explicit PostgresServer(const Options& options) : options_(options) {}
  absl::Status Prepare();
  absl::Status Run(const std::vector<std::string>& command) const;
  std::vector<std::string> ServerCommand() const;
  pid_t Spawn(const std::vector<std::string>& command) const;
  std::string LogTail() const;
  void Stop(int signal);

  Options options_;
  std::filesystem::path folder_, programs_;
  uid_t user_ = 0;
  gid_t group_ = 0;
  int port_ = 5432;
  pid_t pid_ = -1;
  std::atomic<int> schemas_{0};
};

// The one server of this program, started when first asked for. Aborts, saying why, if there is
// none to be had: no test of a store may pass for want of a server.
PostgresServer& SharedPostgres();

}  // namespace muster
