// The coordinator as a process: opens the state folder, wires the parts, serves until told to stop.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/blobs/blob_urls.h"
#include "coordinator/blobs/open_blobs.h"
#include "coordinator/drive/context.h"
#include "coordinator/flow/limits.h"
#include "coordinator/rpc/edge_limits.h"
#include "coordinator/upkeep/garbage.h"
#include "proto/core/time.h"

namespace muster {

struct ServeOptions {
  std::filesystem::path state_dir;
  std::string store_url;           // of a form of kStoreUrlForms; empty: SQLite in state_dir
  std::filesystem::path run_file;  // empty: STATE_DIR/coordinator.json
  std::string listen = "0.0.0.0:7443";
  std::string http_listen = "127.0.0.1:7480";  // empty: no HTTP
  Duration idle_exit{};                        // zero: serves until a signal
  size_t max_connections = limits::kDefaultMaxConnections;
  EdgeLimits edge;
  std::vector<std::string> hosts;  // more names for the server's certificate
  bool reflection = false;
  size_t threads = 8;
  size_t queue_limit = 10'000;  // calls waiting for a thread
  Duration device_certificate_lifetime{};
  Duration stop_grace = std::chrono::seconds(10);
  BlobPlaces blobs;  // its folders are below state_dir
  DirectDownloads direct_downloads;
  DriveOptions drive;
  bool migrate = true;                         // false: refuse an older schema
  Duration gc_every = std::chrono::hours(24);  // zero: never
  GarbagePolicy garbage;
};

// Blocks until SIGTERM or SIGINT, then stops gracefully; with `idle_exit` also when there was
// nothing to do for so long, which needs sockets that another process holds open. Sockets passed by
// LISTEN_FDS stand in for `listen` and `http_listen`. Writes the run file {pid, port, http_port}
// once it serves.
absl::Status Serve(const ServeOptions& options);

// Files and folders below the state folder.
inline constexpr char kIdentityFolder[] = "identity";  // the CA's key and certificate
inline constexpr char kPackageKeyFile[] = "package-key.pem";
inline constexpr char kAtRestKeyFile[] = "at-rest-key";
inline constexpr char kBlobFolder[] = "blobs";
inline constexpr char kStagingFolder[] = "staging";
inline constexpr char kRunFile[] = "coordinator.json";

}  // namespace muster
