#include "tests/support/postgres_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr char kSuperuser[] = "muster";
constexpr std::chrono::seconds kStartTimeout{60};
constexpr size_t kLogTail = 2'000;

absl::StatusOr<std::filesystem::path> FindPrograms() {
  if (const char* named = ::getenv("MUSTER_POSTGRES_BIN"); named != nullptr) return named;
  std::filesystem::path newest;
  int newest_version = 14;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", error)) {
    const int version = std::atoi(entry.path().filename().c_str());
    if (version <= newest_version || !std::filesystem::exists(entry.path() / "bin/initdb"))
      continue;
    newest_version = version;
    newest = entry.path() / "bin";
  }
  if (!newest.empty()) return newest;
  return absl::NotFoundError(
      "no PostgreSQL server of version 15 or newer; `scripts/dev setup` installs the package "
      "postgresql, MUSTER_POSTGRES_BIN names another one's programs");
}

// Free at this moment.
int FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof(address);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::abort();
  }
  ::close(fd);
  return ntohs(address.sin_port);
}

absl::Status WriteFor(uid_t user, gid_t group, const std::filesystem::path& path,
                      const std::string& text) {
  std::ofstream(path) << text;
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  if (::geteuid() == 0 && ::chown(path.c_str(), user, group) != 0) {
    return absl::InternalError("chown of " + path.string());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresServer>> PostgresServer::Start(const Options& options) {
  std::unique_ptr<PostgresServer> server(new PostgresServer(options));
  MUSTER_RETURN_IF_ERROR(server->Prepare());
  MUSTER_RETURN_IF_ERROR(server->Launch());
  return server;
}

PostgresServer::~PostgresServer() {
  Stop(SIGINT);
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

absl::Status PostgresServer::Prepare() {
  MUSTER_ASSIGN_OR_RETURN(programs_, FindPrograms());
  std::string pattern = (std::filesystem::temp_directory_path() / "muster-pg-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return absl::InternalError("mkdtemp " + pattern);
  folder_ = pattern;
  user_ = ::geteuid();
  group_ = ::getegid();
  if (user_ == 0) {
    const passwd* account = ::getpwnam("postgres");
    if (account == nullptr) account = ::getpwnam("nobody");
    if (account == nullptr) return absl::NotFoundError("no user to run PostgreSQL as");
    user_ = account->pw_uid;
    group_ = account->pw_gid;
    if (::chown(folder_.c_str(), user_, group_) != 0) return absl::InternalError("chown");
  }
  // An order of its own, as a database in the field may have: ours must not depend on it.
  MUSTER_RETURN_IF_ERROR(Run({programs_ / "initdb", "-D", folder_ / "data", "-U", kSuperuser, "-A",
                              "trust", "-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=icu",
                              "--icu-locale=en-US", "--no-sync", "--no-instructions"}));
  if (options_.tcp) port_ = FreePort();
  std::string hba = "local all all trust\n";
  const std::string method = options_.password.empty() ? "trust" : "scram-sha-256";
  if (!options_.certificate_pem.empty()) {
    MUSTER_RETURN_IF_ERROR(
        WriteFor(user_, group_, folder_ / "server.crt", options_.certificate_pem));
    MUSTER_RETURN_IF_ERROR(WriteFor(user_, group_, folder_ / "server.key", options_.key_pem));
    hba += "hostssl all all 127.0.0.1/32 " + method + "\n";
  } else if (options_.tcp) {
    hba += "host all all 127.0.0.1/32 " + method + "\n";
  }
  return WriteFor(user_, group_, folder_ / "hba.conf", hba);
}

std::vector<std::string> PostgresServer::ServerCommand() const {
  std::vector<std::string> command = {programs_ / "postgres", "-D", folder_ / "data", "-p",
                                      std::to_string(port_)};
  std::vector<std::string> settings = options_.settings;
  settings.push_back(StrCat("unix_socket_directories=", folder_.string()));
  settings.push_back(StrCat("hba_file=", (folder_ / "hba.conf").string()));
  settings.push_back(options_.tcp ? "listen_addresses=127.0.0.1" : "listen_addresses=");
  if (!options_.certificate_pem.empty()) {
    settings.push_back("ssl=on");
    settings.push_back(StrCat("ssl_cert_file=", (folder_ / "server.crt").string()));
    settings.push_back(StrCat("ssl_key_file=", (folder_ / "server.key").string()));
  }
  for (const std::string& setting : settings) {
    command.push_back("-c");
    command.push_back(setting);
  }
  return command;
}

pid_t PostgresServer::Spawn(const std::vector<std::string>& command) const {
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const std::string log = folder_ / "log";
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child != 0) return child;
  if (::geteuid() == 0 &&
      (::setgroups(1, &group_) != 0 || ::setgid(group_) != 0 || ::setuid(user_) != 0)) {
    ::_exit(126);
  }
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (::getppid() != parent) ::_exit(126);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  const int in = ::open("/dev/null", O_RDONLY);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(out, 2);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::chdir("/") != 0) ::_exit(126);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

absl::Status PostgresServer::Run(const std::vector<std::string>& command) const {
  const pid_t child = Spawn(command);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) {
    return absl::InternalError(StrCat(command[0], " failed: ", LogTail()));
  }
  return absl::OkStatus();
}

absl::Status PostgresServer::Launch() {
  pid_ = Spawn(ServerCommand());
  if (pid_ < 0) return absl::InternalError("fork");
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  const std::string url = Url();
  while (std::chrono::steady_clock::now() < deadline) {
    if (PQping(url.c_str()) == PQPING_OK) return absl::OkStatus();
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      return absl::InternalError("PostgreSQL did not start: " + LogTail());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return absl::DeadlineExceededError("PostgreSQL does not answer: " + LogTail());
}

void PostgresServer::Stop(int signal) {
  if (pid_ <= 0) return;
  ::kill(pid_, signal);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void PostgresServer::Crash() { Stop(SIGQUIT); }

std::string PostgresServer::Url() const {
  return StrCat("postgresql:///postgres?host=", folder_.string(), "&port=", port_,
                "&user=", kSuperuser);
}

std::string PostgresServer::FreshUrl() {
  const std::string schema = StrCat("schema_", ++schemas_);
  if (const auto made = Sql("CREATE SCHEMA " + schema); !made.ok()) {
    std::fprintf(stderr, "%s\n", made.status().ToString().c_str());
    std::abort();
  }
  return StrCat(Url(), "&options=-csearch_path%3D", schema);
}

absl::StatusOr<std::string> PostgresServer::Sql(const std::string& sql) const {
  return Sql(Url(), sql);
}

absl::StatusOr<std::string> PostgresServer::Sql(const std::string& url,
                                                const std::string& sql) const {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> db(PQconnectdb(url.c_str()), PQfinish);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(db.get(), sql.c_str()),
                                                             PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    return absl::InternalError(StrCat(sql, ": ", PQerrorMessage(db.get())));
  }
  return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

std::string PostgresServer::LogTail() const {
  std::stringstream text;
  text << std::ifstream(folder_ / "log").rdbuf();
  const std::string log = text.str();
  return log.size() <= kLogTail ? log : log.substr(log.size() - kLogTail);
}

PostgresServer& SharedPostgres() {
  static const std::unique_ptr<PostgresServer> server = [] {
    auto started = PostgresServer::Start({});
    if (!started.ok()) {
      std::fprintf(stderr, "%s\n", started.status().ToString().c_str());
      std::abort();
    }
    return *std::move(started);
  }();
  return *server;
}

}  // namespace muster
