// LISTEN and NOTIFY: replicas tell each other that something may have changed under a key. Only a
// hint: what is lost while a connection is away, or too much at once, is found by polling.
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "coordinator/store/postgres/pg_connect.h"
#include "proto/core/files.h"

namespace muster {

// More keys than this wait for nobody.
inline constexpr size_t kMaxHintsQueued = 10'000;
// A notification's text; the server takes less than 8000 bytes.
inline constexpr size_t kMaxHintBytes = 7'900;

class HintChannel {
 public:
  using Callback = std::function<void(const std::string& key)>;

  explicit HintChannel(const PgConnector& connector);
  ~HintChannel();
  HintChannel(const HintChannel&) = delete;
  HintChannel& operator=(const HintChannel&) = delete;

  // Does not wait, and does not come back to the callback of this channel.
  void Send(const std::vector<std::string>& keys);
  // From the channel's own thread, one key at a time. None: no more calls once this has returned.
  void Listen(Callback callback);

 private:
  void Start();  // under mutex_
  void Run();
  bool Serve(PgConnection& db);
  absl::Status SendQueued(PgConnection& db);
  void Deliver(const std::string& payload);
  bool Pause(std::chrono::milliseconds time);
  void Nudge();
  bool stopping() const;

  const PgConnector& connector_;
  UniqueFd wake_;
  mutable std::mutex mutex_;
  std::set<std::string> queued_;
  bool stopping_ = false;
  std::mutex callback_mutex_;  // held during a call
  Callback callback_;
  std::string channel_;
  std::thread thread_;
};

}  // namespace muster
