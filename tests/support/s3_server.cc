#include "tests/support/s3_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#include "coordinator/blobs/s3/s3_http.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr char kRelease[] = "versitygw-1.8.0";  // as scripts/s3-server installs it
constexpr auto kStartTime = std::chrono::seconds(20);

fs::path Program() {
  if (const char* named = std::getenv("MUSTER_S3_SERVER")) return named;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const fs::path base =
      cache != nullptr && *cache != '\0' ? fs::path(cache) : fs::path(home ? home : "/") / ".cache";
  return base / "muster" / kRelease / "versitygw";
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

int FreePort() {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

bool Answers(int port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Loopback(port);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<S3Server>> S3Server::Start(const Tls& tls) {
  const fs::path program = Program();
  if (::access(program.c_str(), X_OK) != 0) {
    return absl::NotFoundError(StrCat("there is no S3-compatible server at ", program.string(),
                                      "; run scripts/s3-server, which needs Go"));
  }
  std::unique_ptr<S3Server> server(new S3Server(program, tls));
  fs::create_directories(server->folder_.path() / "data");
  fs::create_directories(server->folder_.path() / "attributes");
  absl::Status status;
  for (int tries = 0; tries < 5; ++tries) {  // somebody may take the port first
    server->port_ = FreePort();
    status = server->Launch();
    if (status.ok()) break;
  }
  MUSTER_RETURN_IF_ERROR(status);
  MUSTER_RETURN_IF_ERROR(server->MakeBucket());
  return server;
}

S3Server::~S3Server() { Kill(); }

S3Server* S3Server::Shared(std::string* why) {
  static const absl::StatusOr<std::unique_ptr<S3Server>> server = S3Server::Start();
  if (server.ok()) return server->get();
  *why = std::string(server.status().message());
  return nullptr;
}

void S3Server::Kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

absl::Status S3Server::Restart() {
  Kill();
  return Launch();
}

absl::Status S3Server::Launch() {
  const std::string address = StrCat("127.0.0.1:", port_);
  const std::string data = (folder_.path() / "data").string();
  const std::string attributes = (folder_.path() / "attributes").string();
  const std::string log = (folder_.path() / "server.log").string();
  std::vector<std::string> words = {program_.string(), "--keep-alive", "--quiet", "--port",
                                    address};
  if (!tls_.certificate.empty()) {
    words.insert(words.end(), {"--cert", tls_.certificate.string(), "--key", tls_.key.string()});
  }
  words.insert(words.end(), {"posix", "--sidecar", attributes, data});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    ::setenv("ROOT_ACCESS_KEY_ID", kAccessKey, 1);
    ::setenv("ROOT_SECRET_ACCESS_KEY", kSecretKey, 1);
    const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(fd, 1);
    ::dup2(fd, 2);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  const auto deadline = std::chrono::steady_clock::now() + kStartTime;
  while (!Answers(port_)) {
    const bool ended = ::waitpid(pid_, nullptr, WNOHANG) == pid_;
    if (ended) pid_ = -1;
    if (ended || std::chrono::steady_clock::now() > deadline) {
      Kill();
      return absl::UnavailableError(StrCat("the S3-compatible server did not start: ",
                                           ReadFile(log, 1 << 20).value_or("it wrote no log")));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return absl::OkStatus();
}

absl::Status S3Server::MakeBucket() {
  S3Options options = Options("");
  MUSTER_RETURN_IF_ERROR(CheckS3Options(options));
  MUSTER_ASSIGN_OR_RETURN(const auto http, S3Http::Create(options));
  const S3Answer answer = http->Perform({.method = S3Method::kPut});
  MUSTER_RETURN_IF_ERROR(answer.transport);
  if (answer.good()) return absl::OkStatus();
  return absl::InternalError(StrCat("no bucket could be made: ", answer.body));
}

std::string S3Server::endpoint() const {
  return StrCat(tls_.certificate.empty() ? "http" : "https", "://127.0.0.1:", port_);
}

S3Options S3Server::Options(const std::string& prefix) const {
  S3Options options;
  options.location = {.bucket = kBucket, .prefix = prefix};
  options.endpoint = endpoint();
  options.credentials.access_key_id = kAccessKey;
  options.credentials.secret_access_key = SecretText(kSecretKey);
  options.ca_file = tls_.certificate;
  return options;
}

std::shared_ptr<S3Client> S3Server::Client(const std::string& prefix) const {
  return S3Client::Create(Options(prefix)).value();
}

}  // namespace muster
