#include "proto/core/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "proto/core/files.h"

namespace muster {
namespace {

// Takes stderr's place. A datagram socket keeps each write apart.
class CapturedStderr {
 public:
  CapturedStderr() : saved_(dup(STDERR_FILENO)) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) std::abort();
    reader_ = UniqueFd(ends[0]);
    const UniqueFd writer(ends[1]);
    dup2(writer.get(), STDERR_FILENO);
  }
  ~CapturedStderr() { dup2(saved_.get(), STDERR_FILENO); }

  std::vector<std::string> Writes() {
    std::vector<std::string> writes;
    std::string buffer(65536, '\0');
    ssize_t n = 0;
    while ((n = recv(reader_.get(), buffer.data(), buffer.size(), 0)) > 0) {
      writes.emplace_back(buffer.data(), static_cast<size_t>(n));
    }
    return writes;
  }

 private:
  UniqueFd saved_, reader_;
};

TEST(Log, OneWriteIsOneJsonLineWithTheFieldsInOrder) {
  CapturedStderr captured;
  LogInfo("round opened", {{"round", 3}, {"job", "digits"}, {"loss", 0.5}, {"ok", true}});
  const auto writes = captured.Writes();
  ASSERT_EQ(writes.size(), 1u);
  EXPECT_EQ(writes[0].back(), '\n');
  EXPECT_EQ(writes[0].find('\n'), writes[0].size() - 1);
  const auto line = nlohmann::ordered_json::parse(writes[0]);
  std::vector<std::string> keys;
  for (const auto& [key, value] : line.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"ts", "level", "msg", "round", "job", "loss", "ok"}));
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["msg"], "round opened");
  EXPECT_EQ(line["round"], 3);
  EXPECT_EQ(line["ok"], true);
}

TEST(Log, HostileTextCannotBreakTheLine) {
  CapturedStderr captured;
  LogError("a\nb\"c", {{"bytes", std::string("\xff\xfe\n\0", 4)}, {"ts", "forged"}});
  const auto writes = captured.Writes();
  ASSERT_EQ(writes.size(), 1u);
  EXPECT_EQ(writes[0].find('\n'), writes[0].size() - 1);
  const auto line = nlohmann::json::parse(writes[0]);
  EXPECT_EQ(line["msg"], "a\nb\"c");
  EXPECT_NE(line["ts"], "forged");
}

TEST(Log, LevelsBelowTheMinimumAreSilent) {
  CapturedStderr captured;
  LogDebug("hidden");
  SetLogLevel(LogLevel::kError);
  LogWarning("hidden");
  LogError("shown");
  SetLogLevel(LogLevel::kInfo);
  EXPECT_EQ(captured.Writes().size(), 1u);
}

}  // namespace
}  // namespace muster
