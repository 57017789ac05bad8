// muster-infer: one quantized model as a process that speaks Open Inference Protocol v2. It links
// neither LibTorch nor gRPC, because its cold start is what a device pays for scaling to zero.
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>

#include "client/functions/http.h"
#include "client/functions/inference_service.h"
#include "models/quantize/runtime.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr char kUsage[] =
    R"(muster-infer - serve one quantized model over Open Inference Protocol v2

usage: muster-infer --model FILE.mq8 --name NAME --version V WHERE [--ready-fd N]

WHERE is one of
  --listen ADDRESS:PORT   TCP on a numeric address; port 0 picks a free one
  --listen unix:PATH      a Unix socket
  --listen-fd N           an inherited socket that listens already
  --connection-fd N       one inherited, connected socket; the process ends when it closes

  --ready-fd N            write "ready ADDRESS" and a newline there instead of to stdout
  --parent PID            end when this parent ends

GET /v2 and GET /v2/models/NAME describe the server. SIGTERM ends it after the requests in
progress. Exit codes: 0 ended as asked, 1 failed, 2 wrong usage.
)";

using Arguments = std::map<std::string, std::string, std::less<>>;

absl::StatusOr<Arguments> ParseArguments(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view key = argv[i];
    static constexpr std::string_view kKnown[] = {"--model",    "--name",      "--version",
                                                  "--listen",   "--listen-fd", "--connection-fd",
                                                  "--ready-fd", "--parent"};
    if (std::find(std::begin(kKnown), std::end(kKnown), key) == std::end(kKnown)) {
      return absl::InvalidArgumentError(StrCat("unknown argument ", key));
    }
    if (i + 1 == argc) return absl::InvalidArgumentError(StrCat(key, " needs a value"));
    arguments[std::string(key)] = argv[i + 1];
  }
  for (const char* needed : {"--model", "--name", "--version"}) {
    if (!arguments.contains(needed)) {
      return absl::InvalidArgumentError(StrCat(needed, " is missing"));
    }
  }
  if (arguments.count("--listen") + arguments.count("--listen-fd") +
          arguments.count("--connection-fd") !=
      1) {
    return absl::InvalidArgumentError("give one of --listen, --listen-fd, --connection-fd");
  }
  return arguments;
}

absl::StatusOr<int> ParseNumber(std::string_view what, std::string_view text, int max) {
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > max) {
    return absl::InvalidArgumentError(StrCat(what, " '", text, "' is not a number"));
  }
  return value;
}

// Where clients reach it, for the ready line.
absl::StatusOr<std::string> Listen(FunctionServer& server, const Arguments& arguments) {
  if (const auto fd = arguments.find("--listen-fd"); fd != arguments.end()) {
    MUSTER_ASSIGN_OR_RETURN(const int number, ParseNumber(fd->first, fd->second, 1 << 20));
    MUSTER_RETURN_IF_ERROR(server.ListenFd(UniqueFd(number)));
    return "inherited";
  }
  const std::string& where = arguments.find("--listen")->second;
  if (where.starts_with("unix:")) {
    MUSTER_RETURN_IF_ERROR(server.ListenUnix(where.substr(5)));
    return where;
  }
  const size_t colon = where.rfind(':');
  if (colon == where.npos) {
    return absl::InvalidArgumentError(StrCat("--listen ", where, " is not ADDRESS:PORT"));
  }
  MUSTER_ASSIGN_OR_RETURN(const int port, ParseNumber("port", where.substr(colon + 1), 65535));
  MUSTER_ASSIGN_OR_RETURN(const uint16_t bound,
                          server.ListenTcp(where.substr(0, colon), static_cast<uint16_t>(port)));
  return StrCat(where.substr(0, colon), ":", bound);
}

absl::Status FollowParent(const Arguments& arguments) {
  const auto parent = arguments.find("--parent");
  if (parent == arguments.end()) return absl::OkStatus();
  MUSTER_ASSIGN_OR_RETURN(const int pid, ParseNumber(parent->first, parent->second, 1 << 30));
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // It may have ended before that.
  if (getppid() != pid) return absl::UnavailableError("the parent process has ended");
  return absl::OkStatus();
}

void NotifyReady(const Arguments& arguments, const std::string& where) {
  int fd = STDOUT_FILENO;
  if (const auto ready = arguments.find("--ready-fd"); ready != arguments.end()) {
    fd = ParseNumber(ready->first, ready->second, 1 << 20).value_or(STDOUT_FILENO);
  }
  const std::string line = StrCat("ready ", where, "\n");
  // Nobody listening is no reason to stop serving.
  [[maybe_unused]] const ssize_t written = write(fd, line.data(), line.size());
  if (fd != STDOUT_FILENO) close(fd);
}

absl::Status Serve(const Arguments& arguments) {
  MUSTER_RETURN_IF_ERROR(FollowParent(arguments));
  const auto connection = arguments.find("--connection-fd");
  auto model = Int8Model::Open(arguments.find("--model")->second);
  // A host on the other end of a connection gets the reason as an answer.
  if (!model.ok() && connection == arguments.end()) return model.status();
  InferenceService service(arguments.find("--name")->second, arguments.find("--version")->second,
                           std::move(model));

  boost::asio::io_context io(1);
  FunctionServerOptions options;
  options.server_name = "muster-infer";
  options.body_bytes_max = kMaxInferBodyBytes;
  FunctionServer server(io, options, [&](HttpRequest request, FunctionServer::Responder respond) {
    respond(service.Handle(request));
  });
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) server.Stop();
  });
  if (connection != arguments.end()) {
    MUSTER_ASSIGN_OR_RETURN(const int fd,
                            ParseNumber(connection->first, connection->second, 1 << 20));
    MUSTER_RETURN_IF_ERROR(server.Serve(UniqueFd(fd), [&] { signals.cancel(); }));
  } else {
    MUSTER_ASSIGN_OR_RETURN(const std::string where, Listen(server, arguments));
    NotifyReady(arguments, where);
  }
  io.run();
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  if (argc == 2 && (std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h")) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  const auto arguments = ParseArguments(argc, argv);
  if (!arguments.ok()) {
    std::fprintf(stderr, "muster-infer: %s\n\n%s",
                 std::string(arguments.status().message()).c_str(), kUsage);
    return 2;
  }
  const absl::Status status = Serve(*arguments);
  if (status.ok()) return 0;
  std::fprintf(stderr, "muster-infer: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) { return muster::Main(argc, argv); }
