// muster-coordinator serve
#include "coordinator/serve.h"

#include "coordinator/commands/blob_options.h"
#include "coordinator/commands/command.h"
#include "coordinator/commands/limit_options.h"
#include "coordinator/commands/retention_options.h"
#include "proto/core/log.h"
#include "proto/core/status.h"

namespace muster::commands {
namespace {

namespace po = boost::program_options;

// Certificates are dated five minutes back: shorter ones would be due for renewal at once.
constexpr Duration kMinCertificateLifetime = std::chrono::minutes(3);
constexpr double kMaxCertificateHours = 24 * 825;
using std::chrono::milliseconds;

po::options_description OptionsFor(ServeOptions& serve) {
  po::options_description options = CommonOptions();
  options.add_options()(
      "store", po::value(&serve.store_url)->default_value("sqlite")->value_name("URL"),
      "where jobs, rounds and devices are kept: sqlite (in the state folder), sqlite:FOLDER, or"
      " postgresql://USER@HOST:PORT/DATABASE?... for any number of replicas")(
      "run-file", po::value<std::string>()->value_name("FILE"),
      "where the pid and the ports are told (default: STATE-DIR/coordinator.json)")(
      "listen", po::value(&serve.listen)->default_value(serve.listen)->value_name("HOST:PORT"),
      "gRPC address; port 0 picks a free one")(
      "http",
      po::value(&serve.http_listen)->default_value(serve.http_listen)->value_name("HOST:PORT"),
      "address of /healthz, /readyz, /metrics and /tick; empty: none")(
      "replica",
      po::value(&serve.drive.replica)->default_value(serve.drive.replica)->value_name("NAME"),
      "this process's name among the replicas over one store; a restart goes on under it")(
      "host", po::value(&serve.hosts)->composing()->value_name("NAME"),
      "one more DNS name or IP address for the server's certificate")(
      "reflection", po::bool_switch(&serve.reflection), "serve gRPC reflection")(
      "threads", po::value(&serve.threads)->default_value(serve.threads)->value_name("N"),
      "threads that handle calls")(
      "device-certificate-hours", po::value<double>()->default_value(24 * 7)->value_name("HOURS"),
      "lifetime of device certificates, at least 0.05; devices renew at two thirds of it")(
      "pace-min-ms", po::value<int>()->default_value(2000)->value_name("MS"),
      "shortest time between an idle device's check-ins")(
      "pace-max-ms", po::value<int>()->default_value(600'000)->value_name("MS"),
      "longest time between an idle device's check-ins")(
      "check-ins-per-second",
      po::value(&serve.drive.check_ins_per_second)
          ->default_value(serve.drive.check_ins_per_second)
          ->value_name("RATE"),
      "rate of idle check-ins that the pace aims at")(
      "stop-grace-ms", po::value<int>()->default_value(10'000)->value_name("MS"),
      "time for open calls to end after SIGTERM")("verbose,v", po::bool_switch(),
                                                  "log debug messages too")(
      "no-migrate", po::bool_switch(), "refuse an older schema instead of migrating it")(
      "gc-every-hours", po::value<uint32_t>()->default_value(24)->value_name("HOURS"),
      "how often garbage is collected (see `gc --help`); 0: never");
  AddRetentionOptions(options);
  options.add(LimitOptions(serve));
  return options;
}

po::options_description BlobOptions(ServeOptions& serve) {
  po::options_description options = BlobOptionsFor(serve.blobs);
  options.add_options()(
      "direct-download-bytes",
      po::value(&serve.direct_downloads.above_bytes)
          ->default_value(serve.direct_downloads.above_bytes)
          ->value_name("BYTES"),
      "devices fetch larger blobs from the store itself, by a presigned URL; 0: never")(
      "direct-download-seconds",
      po::value<int64_t>()
          ->default_value(
              std::chrono::duration_cast<std::chrono::seconds>(DirectDownloads{}.lifetime).count())
          ->value_name("SECONDS"),
      "lifetime of such a URL, up to a week");
  return options;
}

absl::Status CheckOptions(const ServeOptions& serve) {
  MUSTER_RETURN_IF_ERROR(ValidateId("--replica", serve.drive.replica));
  if (serve.threads == 0 || serve.drive.check_ins_per_second <= 0 ||
      serve.drive.pace_min <= Duration::zero() || serve.drive.pace_max < serve.drive.pace_min ||
      serve.device_certificate_lifetime < kMinCertificateLifetime) {
    return absl::InvalidArgumentError(
        "threads, pace and rate must be positive, pace-max-ms at least pace-min-ms, and"
        " device-certificate-hours at least 0.05");
  }
  if (serve.direct_downloads.lifetime < std::chrono::seconds(1) ||
      serve.direct_downloads.lifetime > kMaxPresignLifetime) {
    return absl::InvalidArgumentError("direct-download-seconds must be from 1 to 604800, a week");
  }
  return absl::OkStatus();
}

absl::StatusOr<int> RunServe(CommandLine& line) {
  ServeOptions serve;
  po::options_description options = OptionsFor(serve);
  options.add(BlobOptions(serve));
  if (!line.Parse(options)) return kExitDone;
  serve.state_dir = line.Get<std::string>("state-dir");
  if (line.Has("run-file")) serve.run_file = line.Get<std::string>("run-file");
  serve.device_certificate_lifetime =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::ratio<3600>>(
          std::clamp(line.Get<double>("device-certificate-hours"), 0.0, kMaxCertificateHours)));
  serve.drive.pace_min = milliseconds(line.Get<int>("pace-min-ms"));
  serve.drive.pace_max = milliseconds(line.Get<int>("pace-max-ms"));
  serve.stop_grace = milliseconds(line.Get<int>("stop-grace-ms"));
  MUSTER_RETURN_IF_ERROR(ReadLimits(line, serve));
  serve.direct_downloads.lifetime =
      std::chrono::seconds(line.Get<int64_t>("direct-download-seconds"));
  serve.migrate = !line.Get<bool>("no-migrate");
  serve.gc_every = std::chrono::hours(line.Get<uint32_t>("gc-every-hours"));
  MUSTER_ASSIGN_OR_RETURN(serve.garbage, RetentionFrom(line));
  MUSTER_RETURN_IF_ERROR(CheckOptions(serve));
  if (line.Get<bool>("verbose")) SetLogLevel(LogLevel::kDebug);
  MUSTER_RETURN_IF_ERROR(Serve(serve));
  return kExitDone;
}

}  // namespace

const Command& ServeCommand() {
  static const Command command = {
      .name = "serve",
      .summary = "serves devices, researchers and operators until SIGTERM or SIGINT",
      .synopsis =
          "--state-dir DIR [--store URL] [--blobs URL] [--listen HOST:PORT] [--idle-exit SECONDS]",
      .description =
          R"(Opens the state folder and serves gRPC over mTLS: enrolment, devices, blobs, secure
aggregation, and the operators' calls of `muster`. Probes and metrics are plain HTTP on
an address of their own. Logs are JSON lines on stderr.

It may be killed at any instant: what was acknowledged is in the store, and the next
start goes on from there. SIGTERM and SIGINT stop it gracefully: open calls get
--stop-grace-ms to end. With sockets passed by LISTEN_FDS (systemd's socket activation;
names grpc and http) it answers on those, and with --idle-exit it ends when there is
nothing to do: the next caller, or a POST to /tick, starts it again.
The run file tells the pid and the ports once it serves.

One process at a time serves from SQLite. With --store postgresql://... any number of
replicas share one database (PostgreSQL 15 or newer), each with a run file of its own;
the schema is made, and brought up to date, by whichever starts first. The URL is
libpq's, and takes all of its parameters. A server on another machine must prove who it
is (sslmode=verify-full) unless the URL says otherwise; sslrootcert names its CA. Keep
the password out of the command line: libpq reads it from PGPASSFILE or PGPASSWORD.

With --blobs s3://BUCKET/PREFIX blobs and uploads live in an S3-compatible store, and any
number of coordinators may share them. The store must be strongly consistent, as S3 is.
Devices are sent there for large blobs, by URLs that are good for one blob and some time.
)",
      .examples =
          R"(muster-coordinator serve --state-dir /var/lib/muster --listen 0.0.0.0:7443
muster-coordinator serve -d ./state --blobs s3://fleet/muster --s3-region eu-central-1
muster-coordinator serve -d ./state --listen 127.0.0.1:0 --http 127.0.0.1:0
muster-coordinator serve -d ./state --host coordinator.example.org --host 192.0.2.7
muster-coordinator serve -d ./state --run-file ./replica-1.json --store \
    'postgresql://muster@db.example.org/muster?sslrootcert=/etc/muster/db-ca.pem'
)",
      .run = RunServe};
  return command;
}

}  // namespace muster::commands
