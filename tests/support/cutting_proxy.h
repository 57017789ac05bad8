// Stands between a PostgreSQL client and its server, and cuts the wire at the worst moment.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace muster {

class CuttingProxy {
 public:
  enum class Cut {
    kNever,
    kBeforeCommit,  // COMMIT does not reach the server
    kAfterCommit,   // the server's answer to COMMIT does not reach the client
  };

  // Listens in `folder` as a server on port 5432 would, and passes on to the socket `server`.
  CuttingProxy(const std::filesystem::path& folder, std::filesystem::path server);
  ~CuttingProxy();
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  // The next COMMIT is cut so; those after it pass.
  void CutNextCommit(Cut cut) { cut_ = cut; }
  bool WasCut() const { return cuts_ > 0; }
  // What happens when a COMMIT did not reach the server, before the client learns of it.
  void OnCutBeforeCommit(std::function<void()> then) { then_ = std::move(then); }
  // Nobody comes in any more until it is opened again.
  void Close(bool closed) { closed_ = closed; }

 private:
  void Accept();
  void Pass(int client);
  bool Forward(int from, int to, bool from_client, bool* commit_sent);

  const std::filesystem::path server_;
  int listener_ = -1;
  std::function<void()> then_ = [] {};
  std::atomic<Cut> cut_{Cut::kNever};
  std::atomic<int> cuts_{0};
  std::atomic<bool> closed_{false};
  std::atomic<bool> stopping_{false};
  std::thread acceptor_;
  std::mutex mutex_;
  std::vector<std::thread> passers_;
};

}  // namespace muster
