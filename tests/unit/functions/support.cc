#include "tests/unit/functions/support.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "proto/core/strings.h"
#include "tests/unit/quantize/networks.h"

namespace muster::testing_support {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);

bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace

UniqueFd ConnectTcp(uint16_t port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fd.Reset();
  return fd;
}

UniqueFd ConnectUnix(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fd.Reset();
  return fd;
}

Answer Exchange(int fd, std::string_view method, std::string_view target, std::string_view body,
                std::string_view extra_headers) {
  Answer answer;
  if (!SendAll(fd, StrCat(method, " ", target, " HTTP/1.1\r\nHost: test\r\nContent-Length: ",
                          body.size(), "\r\n", extra_headers, "\r\n", body))) {
    // A refusal may be on its way all the same.
  }
  std::string received;
  size_t head_end = std::string::npos, length = 0;
  char buffer[4096];
  for (;;) {
    if (head_end == std::string::npos) {
      head_end = received.find("\r\n\r\n");
      if (head_end != std::string::npos) {
        head_end += 4;
        answer.head = received.substr(0, head_end);
        answer.status = std::atoi(received.c_str() + std::strlen("HTTP/1.1 "));
        const size_t at = answer.head.find("\r\nContent-Length: ");
        if (at != std::string::npos)
          length = std::strtoul(answer.head.c_str() + at + 18, nullptr, 10);
      }
    }
    if (head_end != std::string::npos && received.size() >= head_end + length) break;
    const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
    if (got <= 0) return {};
    received.append(buffer, static_cast<size_t>(got));
  }
  answer.body = received.substr(head_end, length);
  return answer;
}

Answer Fetch(uint16_t port, std::string_view method, std::string_view target, std::string_view body,
             std::string_view extra_headers) {
  const UniqueFd fd = ConnectTcp(port);
  if (!fd.valid()) return {};
  return Exchange(fd.get(), method, target, body, extra_headers);
}

TemporaryFolder::TemporaryFolder() {
  std::string name = testing::TempDir() + "/muster-functions-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) std::abort();
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(path_); }

std::filesystem::path WriteModel(const std::filesystem::path& folder, uint64_t seed) {
  const Network network = MakeZooNetwork("har_cnn1d", seed);
  const auto examples = MakeExamples(network.architecture, 8, seed);
  const auto bytes =
      QuantizeModel(network.architecture, network.layout, network.weights, examples, 8, {});
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  const auto path = folder / StrCat("model-", seed, ".mq8");
  std::ofstream(path, std::ios::binary) << *bytes;
  return path;
}

std::string InferBody(double value, std::string_view id) {
  nlohmann::json body = {{"inputs",
                          {{{"name", "input"},
                            {"datatype", "FP32"},
                            {"shape", {1, 9, 128}},
                            {"data", std::vector<double>(9 * 128, value)}}}}};
  if (!id.empty()) body["id"] = id;
  return body.dump();
}

std::vector<float> OutputsOf(const Answer& answer) {
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  if (!body.is_object() || !body.contains("outputs")) return {};
  return body["outputs"][0]["data"].get<std::vector<float>>();
}

std::function<void(const FunctionEvent&)> EventLog::Recorder() {
  return [this](const FunctionEvent& event) {
    std::lock_guard lock(mutex_);
    events_.push_back(event);
    changed_.notify_all();
  };
}

bool EventLog::WaitUntil(const std::function<bool(const std::vector<FunctionEvent>&)>& condition) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return condition(events_); });
}

bool EventLog::WaitForCount(FunctionEvent::Kind kind, size_t count) {
  return WaitUntil([&](const std::vector<FunctionEvent>& events) {
    return static_cast<size_t>(std::count_if(events.begin(), events.end(), [&](const auto& event) {
             return event.kind == kind;
           })) >= count;
  });
}

size_t EventLog::Count(FunctionEvent::Kind kind) {
  const auto all = events();
  return static_cast<size_t>(
      std::count_if(all.begin(), all.end(), [&](const auto& event) { return event.kind == kind; }));
}

std::vector<FunctionEvent> EventLog::events() {
  std::lock_guard lock(mutex_);
  return events_;
}

}  // namespace muster::testing_support
