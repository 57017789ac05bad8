#include "coordinator/serve.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>

#include "coordinator/blobs/at_rest/sealed_blobs.h"
#include "coordinator/blobs/open_blobs.h"
#include "coordinator/ca_audit.h"
#include "coordinator/doors.h"
#include "coordinator/drive/device_notary.h"
#include "coordinator/drive/dispatch.h"
#include "coordinator/drive/housekeeper.h"
#include "coordinator/drive/intake.h"
#include "coordinator/drive/secagg_session.h"
#include "coordinator/drive/tasks.h"
#include "coordinator/http/http_server.h"
#include "coordinator/http/probes.h"
#include "coordinator/identity/authority.h"
#include "coordinator/identity/ca_watch.h"
#include "coordinator/limit_rows.h"
#include "coordinator/listen/activation.h"
#include "coordinator/rpc/server.h"
#include "coordinator/store/open_store.h"
#include "coordinator/upkeep/backup.h"
#include "coordinator/wait_for_stop.h"
#include "models/package/package.h"
#include "proto/core/audit_limits.h"
#include "proto/core/files.h"
#include "proto/core/limits.h"
#include "proto/core/log.h"
#include "proto/core/status.h"

namespace muster {
namespace {

constexpr Duration kServerCertificateLifetime = std::chrono::hours(24 * 365);
constexpr size_t kOtherDescriptors = 512;  // files, the store, gRPC's own

// Blocked before any thread starts, so that only WaitForStop takes them.
sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

absl::Status RefuseHalfARestore(const std::filesystem::path& state_dir) {
  std::error_code error;
  if (!std::filesystem::exists(state_dir / kRestoringFile, error)) return absl::OkStatus();
  return absl::FailedPreconditionError("a restore into " + state_dir.string() +
                                       " was stopped in the middle; empty the folder and run"
                                       " `muster-coordinator restore` again");
}

absl::StatusOr<CertificateAuthority> OpenAuthority(const std::filesystem::path& state_dir) {
  auto authority = CertificateAuthority::Open(state_dir / kIdentityFolder);
  if (absl::IsNotFound(authority.status())) {
    return absl::FailedPreconditionError("no coordinator lives in " + state_dir.string() +
                                         "; make one with `muster-coordinator init --state-dir " +
                                         state_dir.string() + "`");
  }
  return authority;
}

absl::StatusOr<InheritedSockets> TakeSockets(const ServeOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(InheritedSockets sockets, TakeInheritedSockets());
  if (!sockets.grpc.empty()) {
    LogInfo("serving on inherited sockets",
            {{"grpc", sockets.grpc.size()}, {"http", sockets.http.valid()}});
  } else if (options.idle_exit > Duration::zero()) {
    return absl::InvalidArgumentError(
        "--idle-exit needs sockets that outlive the process, and none was passed (LISTEN_FDS): "
        "start"
        " the coordinator by a systemd socket unit, or leave --idle-exit out");
  }
  return sockets;
}

// A connection is a descriptor; the soft limit that shells set is too low for a fleet.
void AllowDescriptors(size_t max_connections) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max >= max_connections + kOtherDescriptors) return;
  LogWarning(
      "fewer descriptors than connections allowed: raise LimitNOFILE= or ulimit -n, or lower"
      " --max-connections",
      {{"descriptors", limit.rlim_max}, {"max_connections", max_connections}});
}

absl::Status WriteRunFile(const ServeOptions& options, int port, int http_port) {
  nlohmann::json run = {{"pid", getpid()}, {"port", port}};
  if (http_port > 0) run["http_port"] = http_port;
  const std::filesystem::path file =
      options.run_file.empty() ? options.state_dir / kRunFile : options.run_file;
  return WriteFileDurably(file, run.dump() + "\n");
}

absl::Status Collect(const ServeOptions& options, DriveContext& drive,
                     const PackageVerifier& verifier, std::stop_token stop) {
  MUSTER_ASSIGN_OR_RETURN(const GarbageReport report,
                          CollectGarbage({.store = drive.store,
                                          .blobs = drive.blobs,
                                          .staging = &drive.staging,
                                          .verifier = verifier,
                                          .audit_writer = drive.options.replica,
                                          .actor = "coordinator/gc",
                                          .stop = std::move(stop)},
                                         options.garbage, drive.clock.Now()));
  LogInfo("garbage collected", {{"versions", report.versions},
                                {"blobs", report.blobs},
                                {"blob_bytes", report.blob_bytes},
                                {"uploads", report.uploads}});
  return absl::OkStatus();
}

// How long a collection that fell due may wait; the task runner says when it does.
constexpr Duration kLookForCollection = std::chrono::seconds(1);

std::vector<Chore> ChoresFor(const ServeOptions& options, DriveContext& drive, RefusalLog& refusals,
                             const PackageVerifier& verifier, TaskRunner& tasks) {
  return {{.name = "refusals",
           .every = limits::kRefusalWindow,
           .run = [&refusals](std::stop_token) { return refusals.Flush(false); }},
          {.name = "gc", .every = kLookForCollection, .run = [&](std::stop_token stop) {
             if (!tasks.TakeCollection()) return absl::OkStatus();
             return Collect(options, drive, verifier, std::move(stop));
           }}};
}

// Until it is to stop (false), or to begin again with another CA (true).
absl::StatusOr<bool> ServeOnce(const ServeOptions& options, const sigset_t& stop_signals,
                               Doors& doors) {
  SystemClock clock;
  SystemRandom random;
  MUSTER_RETURN_IF_ERROR(RefuseHalfARestore(options.state_dir));
  MUSTER_ASSIGN_OR_RETURN(const CertificateAuthority authority, OpenAuthority(options.state_dir));
  CaWatch ca_watch(options.state_dir / kIdentityFolder, authority.state());
  const std::string trust_pem = authority.trust().ToPem();
  MUSTER_ASSIGN_OR_RETURN(const PackageSigner signer,
                          PackageSigner::Open(options.state_dir / kPackageKeyFile));
  MUSTER_ASSIGN_OR_RETURN(std::unique_ptr<StateStore> store,
                          OpenStore(options.store_url, options.state_dir, options.migrate));
  MUSTER_ASSIGN_OR_RETURN(const auto at_rest_keys,
                          AtRestKeys::Open(options.state_dir / kAtRestKeyFile));
  BlobPlaces places = options.blobs;
  places.blob_folder = options.state_dir / kBlobFolder;
  places.staging_folder = options.state_dir / kStagingFolder;
  places.at_rest_keys = at_rest_keys;
  MUSTER_ASSIGN_OR_RETURN(const OpenedBlobs opened, OpenBlobs(places));
  const std::unique_ptr<BlobStore> sealed = MakeSealedBlobs(*opened.blobs, at_rest_keys);
  MUSTER_ASSIGN_OR_RETURN(
      const ServerCredential credential,
      authority.IssueServer(options.hosts, kServerCertificateLifetime, clock.Now()));

  WakeUps wakeups;
  const HintListener hints(*store, wakeups);
  MUSTER_ASSIGN_OR_RETURN(const DeviceNotary notary,
                          DeviceNotary::Create(trust_pem, authority.trust_domain(), clock));
  SecAggRosters rosters;
  DriveContext drive{.store = *store,
                     .blobs = *opened.blobs,
                     .staging = *opened.staging,
                     .clock = clock,
                     .random = random,
                     .signer = signer,
                     .notary = notary,
                     .rosters = rosters,
                     .wakeups = wakeups,
                     .options = options.drive,
                     .sealed = sealed.get(),
                     .trust = {authority.state().generation, trust_pem}};
  MUSTER_RETURN_IF_ERROR(AuditCaChange(drive, authority, options.state_dir));
  Dispatcher dispatcher(drive);
  UpdateIntake intake(drive);
  wakeups.Start();
  intake.Start();
  TaskRunner tasks(drive, dispatcher);
  MUSTER_RETURN_IF_ERROR(tasks.PlanCollections(options.gc_every));
  Ticker ticker(drive, tasks);
  RpcCounters counters;
  Executor executor(options.threads, options.queue_limit);
  Edge edge(drive, executor, counters, authority.trust_domain(), options.edge);
  MUSTER_ASSIGN_OR_RETURN(std::vector<UniqueFd> grpc_sockets, doors.Grpc());
  MUSTER_ASSIGN_OR_RETURN(
      std::unique_ptr<RpcServer> server,
      RpcServer::Start({.listen = options.listen,
                        .inherited = std::move(grpc_sockets),
                        .max_connections = options.max_connections,
                        .ca_pem = trust_pem,
                        .certificate_pem = credential.certificate_pem,
                        .key_pem = credential.key_pem,
                        .reflection = options.reflection,
                        .device_certificate_lifetime = options.device_certificate_lifetime,
                        .direct_downloads = options.direct_downloads},
                       edge, dispatcher, intake, authority));
  std::unique_ptr<HttpServer> http;
  std::atomic<const HttpServer*> probed_http = nullptr;
  if (doors.has_http()) {
    const auto limits = [&] {
      return CollectLimits({*server, edge, dispatcher, ticker, probed_http});
    };
    MUSTER_ASSIGN_OR_RETURN(UniqueFd http_socket, doors.Http());
    MUSTER_ASSIGN_OR_RETURN(http, HttpServer::Start({doors.http_listen(), std::move(http_socket)},
                                                    MakeProbes({drive, counters, ticker, limits})));
    probed_http = http.get();
  }
  tasks.Start();
  RefusalLog& refusals = edge.refusals();
  MUSTER_ASSIGN_OR_RETURN(const PackageVerifier verifier,
                          PackageVerifier::FromPublicKeyPem(signer.public_key_pem()));
  const Housekeeper housekeeper(ChoresFor(options, drive, refusals, verifier, tasks));
  const int http_port = http != nullptr ? http->port() : 0;
  MUSTER_RETURN_IF_ERROR(WriteRunFile(options, server->port(), http_port));
  LogInfo("serving", {{"port", server->port()},
                      {"http_port", http_port},
                      {"ca_pin", authority.ca_pin()},
                      {"ca", CaStageName(authority.state().stage())},
                      {"trust_generation", authority.state().generation}});

  const WaitEnd end = WaitForStop(stop_signals, options.idle_exit, options.stop_grace,
                                  [&ca_watch] { return ca_watch.Changed(); },
                                  {*server, http.get(), tasks, housekeeper, counters, drive});
  if (end.again) {
    doors.KeepHttpPort(http_port);
  } else {
    doors.Close();  // nobody waits for what will not come
  }
  server->Stop(end.grace);
  MUSTER_RETURN_IF_ERROR(refusals.Flush(true));
  LogInfo(end.again ? "the CA changed: serving again" : "stopped");
  return end.again;
}

}  // namespace

absl::Status Serve(const ServeOptions& options) {
  const sigset_t stop_signals = BlockStopSignals();
  MUSTER_ASSIGN_OR_RETURN(InheritedSockets sockets, TakeSockets(options));
  AllowDescriptors(options.max_connections);
  MUSTER_ASSIGN_OR_RETURN(Doors doors,
                          Doors::Open(std::move(sockets), options.listen, options.http_listen));
  for (bool again = true; again;) {
    MUSTER_ASSIGN_OR_RETURN(again, ServeOnce(options, stop_signals, doors));
  }
  return absl::OkStatus();
}

}  // namespace muster
