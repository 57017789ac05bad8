// A blocking HTTP client, model files and an event log for the tests of function processes.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "client/functions/function_host.h"
#include "proto/core/files.h"

namespace muster::testing_support {

struct Answer {
  int status = 0;  // 0: the connection ended without one
  std::string head, body;
};

UniqueFd ConnectTcp(uint16_t port);
UniqueFd ConnectUnix(const std::string& path);
// One request on a connection that may be used again.
Answer Exchange(int fd, std::string_view method, std::string_view target,
                std::string_view body = "", std::string_view extra_headers = "");
Answer Fetch(uint16_t port, std::string_view method, std::string_view target,
             std::string_view body = "", std::string_view extra_headers = "");

// A folder that goes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Writes the quantized "har_cnn1d" (input [9, 128], 6 outputs), whose weights come from `seed`.
std::filesystem::path WriteModel(const std::filesystem::path& folder, uint64_t seed);
// An infer request for it with every value `value`.
std::string InferBody(double value = 0.5, std::string_view id = "");
// The numbers of a JSON infer reply.
std::vector<float> OutputsOf(const Answer& answer);

// Collects a host's events; waits for conditions on them.
class EventLog {
 public:
  std::function<void(const FunctionEvent&)> Recorder();
  // False if it has not come true within 20 seconds.
  bool WaitUntil(const std::function<bool(const std::vector<FunctionEvent>&)>& condition);
  bool WaitForCount(FunctionEvent::Kind kind, size_t count);
  size_t Count(FunctionEvent::Kind kind);
  std::vector<FunctionEvent> events();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<FunctionEvent> events_;
};

}  // namespace muster::testing_support
