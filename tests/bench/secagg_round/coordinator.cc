#include "tests/bench/secagg_round/coordinator.h"

#include <stdlib.h>

#include <system_error>

#include "coordinator/blobs/directory/directory_blobs.h"
#include "coordinator/drive/jobs.h"
#include "coordinator/drive/vector_blob.h"
#include "coordinator/store/sqlite/sqlite_store.h"
#include "models/zoo/zoo.h"
#include "proto/core/log.h"
#include "proto/core/strings.h"
#include "tests/bench/secagg_round/wire.h"

namespace muster {
namespace {

constexpr double kQuorum = 0.8;  // of the clients
constexpr double kClip = 1000;   // far beyond any update here
constexpr Duration kPatience = std::chrono::hours(1);

CertificateAuthority NewAuthority(const std::filesystem::path& folder, RandomSource& random,
                                  Clock& clock) {
  Must(CertificateAuthority::Create(folder, random, clock.Now()));
  return Must(CertificateAuthority::Open(folder));
}

PackageSigner NewSigner(const std::filesystem::path& key) {
  Must(PackageSigner::Create(key));
  return Must(PackageSigner::Open(key));
}

}  // namespace

BenchCoordinator::BenchCoordinator(const std::filesystem::path& folder, Clock& clock)
    : clock_(clock),
      store_(Must(OpenSqliteStore({.directory = folder}))),
      blobs_(Must(OpenDirectoryBlobs(folder / "blobs"))),
      staging_(Must(StagingArea::Open(folder / "staging"))),
      authority_(NewAuthority(folder / "identity", random_, clock)),
      signer_(NewSigner(folder / "key.pem")),
      notary_(Must(DeviceNotary::Create(authority_.ca_pem(), authority_.trust_domain(), clock))),
      context_{.store = *store_,
               .blobs = *blobs_,
               .staging = *staging_,
               .clock = clock,
               .random = random_,
               .signer = signer_,
               .notary = notary_,
               .rosters = rosters_,
               .wakeups = wakeups_,
               .options = {}},
      dispatcher_(context_),
      intake_(context_),
      exchange_(context_, intake_),
      tasks_(context_, dispatcher_) {
  SetLogLevel(LogLevel::kError);
  wakeups_.Start();
  intake_.Start();
}

JobSpec BenchCoordinator::Spec(uint32_t features, uint32_t classes, uint32_t clients,
                               AggregationMode mode) {
  JobSpec spec;
  spec.name = ModelName::Trusted("m");
  spec.architecture =
      Must(MakeZooArchitecture("logreg", {.input_shape = {features}, .outputs = classes}));
  spec.layout = Must(LayoutOf(spec.architecture));
  spec.initial_weights =
      Must(WriteVector(*blobs_, std::vector<float>(spec.layout.total_size(), 0.0f)));
  spec.rounds = 1;
  spec.round.clients = clients;
  spec.round.quorum = static_cast<uint32_t>(kQuorum * clients);
  spec.round.deadline = kPatience;
  spec.aggregation.mode = mode;
  spec.aggregation.drop = 0.1;
  spec.aggregation.corrupt = 0.1;
  spec.aggregation.clip = kClip;
  spec.aggregation.phase_deadline = kPatience;
  return spec;
}

JobId BenchCoordinator::Submit(const JobSpec& spec) {
  return Must(SubmitJob(context_, spec, "researcher/bench", "researcher-bench", "")).id;
}

RoundRecord BenchCoordinator::Round(const JobId& job) const {
  RoundRecord round;
  Must(store_->Read([&](const StoreReader& reader) -> absl::Status {
    round = Must(reader.FindRound({job, 1, 1}));
    return absl::OkStatus();
  }));
  return round;
}

void BenchCoordinator::Commit(const JobId& job) {
  while (Must(tasks_.RunDue()) > 0) {
  }
  const RoundRecord round = Round(job);
  if (std::holds_alternative<Committed>(round.state)) return;
  Must(absl::InternalError(StrCat("the round is ", PhaseName(round.state))));
}

std::vector<float> BenchCoordinator::Model(const JobId& job) const {
  ModelRecord model;
  Must(store_->Read([&](const StoreReader& reader) -> absl::Status {
    const JobRecord record = Must(reader.FindJob(job));
    model = Must(reader.FindModel(
        {record.spec.name,
         std::get<Committed>(Must(reader.FindRound({job, 1, 1})).state).model_version}));
    return absl::OkStatus();
  }));
  return Must(ReadVector(*blobs_, model.weights, model.weights_bytes / sizeof(float)));
}

BenchFolder::BenchFolder() {
  std::string folder = std::filesystem::temp_directory_path() / "muster-secagg-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) Must(absl::InternalError("no temporary folder"));
  path_ = folder;
}

BenchFolder::~BenchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace muster
