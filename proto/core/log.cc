#include "proto/core/log.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "proto/core/time.h"

namespace muster {
namespace {

std::atomic<LogLevel> minimum_level{LogLevel::kInfo};

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "unknown";
}

// One write per line, so that lines of several processes on one stderr stay whole. A short write is
// carried on; nothing can be done about a stderr that is gone.
void WriteLine(std::string_view line) {
  while (!line.empty()) {
    const ssize_t n = write(STDERR_FILENO, line.data(), line.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    line.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace

void SetLogLevel(LogLevel level) { minimum_level.store(level, std::memory_order_relaxed); }

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (level < minimum_level.load(std::memory_order_relaxed)) return;
  const int saved_errno = errno;
  nlohmann::ordered_json line;
  line["ts"] = SystemClock().Now().ToString();
  line["level"] = LevelName(level);
  line["msg"] = message;
  for (const LogField& field : fields) {
    std::string key(field.key);
    while (line.contains(key)) key += '_';
    std::visit([&](const auto& value) { line[key] = value; }, field.value);
  }
  // Text that is not UTF-8 must not cost the line.
  std::string text =
      line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  WriteLine(text);
  errno = saved_errno;
}

}  // namespace muster
